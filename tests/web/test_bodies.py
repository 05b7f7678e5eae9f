"""Bodies arrive whole, whatever carries them, and the connection goes on after them."""

from __future__ import annotations

import random
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import websockets.sync.client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.web.serving import PATIENCE, Client, Serving
from towpath.web.pace import LONGEST_PAUSE

BODY = random.Random(1).randbytes(3_000_001)


def chunked(body: bytes, size: int) -> bytes:
    """The chunked coding of `body` (RFC 9112 section 7.1)."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def upload(client: Client, body: bytes, *fields: str) -> Any:
    client.head("/write", *fields, length=len(body))
    client.send(body)
    return client.answer()


def test_a_body_with_content_length_is_received_directly(serve: Any) -> None:
    serving = serve()
    with serving.connect() as client:
        answer = upload(client, BODY)
        result = serving.result()
    assert (answer.status, answer.json()["way"]) == (200, "direct")
    assert (result.body == BODY, result.ending) == (True, "whole")


@pytest.mark.parametrize("size", [1, 0xFFF, 300_000])
@pytest.mark.parametrize("direct", [True, False])
def test_a_chunked_body_goes_the_universal_way(serve: Any, size: int, direct: bool) -> None:
    serving, body = serve(direct=direct), BODY if size > 1 else BODY[:5000]
    with serving.connect() as client:
        client.head("/write", "Transfer-Encoding: chunked", method="POST")
        client.send(chunked(body, size))
        assert client.answer().json() == {"count": len(body), "ending": "whole", "way": "asgi"}
        client.head("/next")
        assert client.answer().json() == {"path": "/next"}
    assert serving.result().body == body


def test_tls_goes_the_universal_way(serve: Any, certificate: tuple[Path, Path]) -> None:
    serving = serve(tls=certificate)
    with serving.connect() as client:
        for _ in range(3):
            assert upload(client, BODY).json()["way"] == "asgi"
            assert serving.result().body == BODY


def test_a_tls_client_that_leaves_is_a_cut(serve: Any, certificate: tuple[Path, Path]) -> None:
    serving = serve(tls=certificate)
    with serving.connect() as client:
        client.head("/write", length=len(BODY))
        client.send(BODY[:700_000])
        assert isinstance(client.socket, ssl.SSLSocket)
        client.socket.unwrap()
    result = serving.result()
    assert (result.ending, result.body == BODY[:700_000]) == ("cut", True)


@pytest.mark.parametrize("direct", [True, False])
def test_a_connection_carries_many_requests(serve: Any, direct: bool) -> None:
    serving = serve(direct=direct)
    with serving.connect() as client:
        for number in range(60):
            body = BODY[: number * 4001]
            assert upload(client, body).json()["count"] == len(body)
            assert serving.result().body == body
            client.head(f"/{number}")
            assert client.answer().json() == {"path": f"/{number}"}


@pytest.mark.parametrize("size", [10, 200_000, 3_000_001])
def test_requests_pipelined_behind_a_body_are_answered_in_order(serve: Any, size: int) -> None:
    serving, body = serve(), BODY[:size]
    head = b"POST /write HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size
    with serving.connect() as client:
        client.send(head + body + b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n" + head + body)
        client.send(b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n")
        answers = [client.answer().json() for _ in range(4)]
    assert [answer.get("path", answer.get("count")) for answer in answers] == [
        "/a" if step == 1 else "/b" if step == 3 else size for step in range(4)
    ]
    assert [serving.result().body == body for _ in range(2)] == [True, True]


def test_who_waits_for_100_continue_gets_it_once(serve: Any) -> None:
    serving = serve()
    with serving.connect() as client:
        client.head("/write", "Expect: 100-continue", length=1000)
        assert client.answer().status == 100
        client.send(BODY[:1000])
        assert client.answer().json()["count"] == 1000


def test_a_refused_expectation_ends_the_connection(serve: Any) -> None:
    serving = serve()
    with serving.connect() as client:
        client.head("/refuse", "Expect: 100-continue", length=1000)
        answer = client.answer()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        assert client.ended()


def test_a_byte_at_a_time(serve: Any) -> None:
    serving, body = serve(), BODY[:3000]
    with serving.connect() as client:
        client.head("/write", length=len(body))
        for number in range(len(body)):
            client.send(body[number : number + 1])
        assert client.answer().status == 200
    assert serving.result().body == body


def test_a_trickle_costs_few_wake_ups(serve: Any) -> None:
    serving, pieces = serve(), 150
    with serving.connect() as client:
        client.head("/write", length=pieces)
        began = time.monotonic()
        for _ in range(pieces):
            client.send(b"x")
            time.sleep(0.01)
        took = time.monotonic() - began
        assert client.answer().status == 200
    assert serving.result().rounds < 20 + took / LONGEST_PAUSE


def test_a_client_that_sends_no_more_still_gets_its_answer(serve: Any) -> None:
    serving = serve()
    with serving.connect() as client:
        client.head("/write", length=len(BODY))
        client.send(BODY)
        client.socket.shutdown(socket.SHUT_WR)
        assert client.answer().json()["count"] == len(BODY)
        assert client.ended()


def test_a_half_closed_short_body_is_cut_and_answered(serve: Any) -> None:
    serving = serve()
    with serving.connect() as client:
        client.head("/write", length=len(BODY))
        client.send(BODY[:1_234_567])
        client.socket.shutdown(socket.SHUT_WR)
        assert client.answer().json()["ending"] == "cut"
        assert client.ended()
    assert serving.result().body == BODY[:1_234_567]


@pytest.mark.parametrize("count", [0, 1, 65_536, 2_999_999])
def test_a_cut_keeps_every_byte_that_came(serve: Any, count: int) -> None:
    serving = serve()
    with serving.connect() as client:
        client.head("/write", length=len(BODY))
        client.send(BODY[:count])
    result = serving.result()
    assert (result.ending, result.body == BODY[:count]) == ("cut", True)


def test_a_cut_is_noticed_by_way_of_plain_uvicorn(serve: Any) -> None:
    serving = serve(direct=False)
    with serving.connect() as client:
        client.head("/write", length=len(BODY))
        client.send(BODY[:1_000_000])
        serving.source()
    result = serving.result()  # uvicorn itself drops what it had buffered at a disconnect
    assert (result.ending, BODY.startswith(result.body)) == ("cut", True)


def test_a_chunked_cut_behind_a_slow_reader_keeps_every_byte(serve: Any) -> None:
    serving = serve()
    with serving.connect() as client:
        client.head("/hold", "Transfer-Encoding: chunked", method="POST")
        client.send(chunked(BODY[:40_000], 1000)[:-5])
        serving.source()
    serving.go.set()
    result = serving.result()
    assert (result.ending, result.body == BODY[:40_000]) == ("cut", True)


def test_a_reset_is_a_cut(serve: Any) -> None:
    serving = serve()
    client = serving.connect()
    client.head("/write", length=len(BODY))
    client.send(BODY[:100_000])
    serving.source()
    client.reset()
    result = serving.result()
    assert result.ending == "cut"
    assert BODY.startswith(result.body)


def test_a_body_received_by_receive_is_not_read_past_its_end(serve: Any) -> None:
    serving = serve()
    with serving.connect() as client:
        client.head("/read", length=len(BODY))
        client.send(BODY + b"GET /after HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.answer().json() == {"count": len(BODY)}
        assert client.answer().json() == {"path": "/after"}
    assert serving.result().body == BODY


def test_an_interim_response_comes_before_the_final_one(serve: Any) -> None:
    serving = serve()
    with serving.connect() as client:
        client.head("/interim")
        interim = client.answer()
        assert (interim.status, interim.headers) == (104, {"upload-offset": "7"})
        assert client.answer().status == 200


def test_a_web_socket_is_handed_on(serve: Any) -> None:
    serving = serve()
    with websockets.sync.client.connect(f"ws://127.0.0.1:{serving.port}/") as client:
        client.send("hello")
        assert client.recv(timeout=PATIENCE) == "hello"


@given(cuts=st.lists(st.integers(0, 70_000), max_size=12), way=st.sampled_from(["length", "coded"]))
@settings(
    max_examples=30,
    deadline=PATIENCE * 1000,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_split_into_writes_arrives_intact(cuts: list[int], way: str, shared: Serving) -> None:
    body = BODY[:70_000]
    with shared.connect() as client:
        if way == "length":
            client.head("/write", length=len(body))
            wire = body
        else:
            client.head("/write", "Transfer-Encoding: chunked", method="POST")
            wire = chunked(body, 9999)
        send_in_pieces(client, wire, cuts)
        assert client.answer().json()["count"] == len(body)
    assert shared.result().body == body


REQUESTS = st.tuples(
    st.sampled_from(["write", "read", "refuse", "coded", "get"]), st.integers(0, 65_000)
)


@given(requests=st.lists(REQUESTS, max_size=8), cuts=st.lists(st.integers(0, 300_000), max_size=9))
@settings(
    max_examples=40,
    deadline=PATIENCE * 1000,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_requests_in_one_stream_are_answered_in_order(
    requests: list[tuple[str, int]], cuts: list[int], shared: Serving
) -> None:
    wire = b""
    expected: list[tuple[int, object]] = []
    for kind, size in requests:
        if kind == "get":
            wire += b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % size
            expected.append((200, f"/{size}"))
        elif kind == "coded":
            head = b"POST /read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            wire += head + chunked(BODY[:size], 10_000)
            expected.append((200, size))
        else:
            head = b"POST /%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
            wire += head % (kind.encode(), size) + BODY[:size]
            expected.append((413, True) if kind == "refuse" else (200, size))
    with shared.connect() as client:
        sender = threading.Thread(target=send_in_pieces, args=(client, wire, cuts))
        sender.start()
        answers = []
        for _ in requests:
            answer = client.answer()
            answers.append((answer.status, next(iter(answer.json().values()))))
        sender.join(PATIENCE)
    assert answers == expected
    for kind, size in requests:
        if kind in ("write", "read", "coded"):
            assert shared.result().body == BODY[:size]


def send_in_pieces(client: Client, wire: bytes, cuts: list[int]) -> None:
    last = 0
    for cut in [*sorted(cuts), len(wire)]:
        client.send(wire[last:cut])
        last = max(last, cut)


@pytest.fixture
def shared(serve: Any) -> Serving:
    serving: Serving = serve()
    return serving
