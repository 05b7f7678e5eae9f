"""/ws/{client_id}: what is heard in the rooms of document sessions, how often, and by whom."""

from __future__ import annotations

import contextlib
import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.web.forming import FORM, Forms, form
from tests.web.listening import Socket, room
from tests.web.running import House, Served, running
from tests.web.sessions import BASE, CHUNK, CONTENT, TOTAL, begin, send, send_all
from tests.web.talk import Line, Tus
from tests.web.tokens import token, write_tokens

PROGRESS = {
    "session_id",
    "status",
    "uploaded_bytes",
    "total_bytes",
    "uploaded_chunks",
    "total_chunks",
    "progress_percentage",
    "upload_speed_bps",
    "estimated_time_remaining",
    "current_chunk",
    "message",
}
CHUNKED = {
    "type",
    "session_id",
    "chunk_id",
    "chunks_uploaded",
    "total_chunks",
    "bytes_uploaded",
    "total_bytes",
    "progress_percentage",
    "upload_speed_bps",
    "eta_seconds",
}
UPGRADE: dict[str, str | int] = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": 13,
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tokens(tmp_path_factory.mktemp("tokens") / "tokens.toml")


@pytest.fixture(params=["direct", "plain", "tls", "granian"])
def client(house: House, request: pytest.FixtureRequest) -> Forms:
    return Forms(house.get(request.param, document_uploads=1000), BASE)


@pytest.fixture
def here(house: House) -> Forms:
    return Forms(house.get("direct", document_uploads=1000), BASE)


@pytest.fixture
def guarded(house: House, tokens: Path) -> Served:
    return house.get("direct", tokens=tokens)


def connected(socket: Socket) -> Socket:
    assert socket.until(type="connected")
    return socket


def test_a_client_hears_of_its_session_from_the_beginning_to_the_end(client: Forms) -> None:
    with room(client.served, "browser-7") as socket:
        first = socket.hear()
        assert (first["type"], first["client_id"]) == ("connected", "browser-7")
        key = begin(client, client_id="browser-7")["session_id"]
        opened = socket.until(type="upload_status")
        assert opened.keys() == {"type", "session_id", "status", "message"}
        assert (opened["session_id"], opened["status"]) == (key, "initializing")
        send_all(client, key)
        assert socket.until(type="upload_status", status="processing")
        client.json("POST", f"/complete/{key}")
        assert socket.until(type="upload_status", status="completed")["session_id"] == key
        progress = [each for each in socket.heard if each["type"] == "upload_progress"]
        assert all(each.keys() == {"type", "data"} for each in progress)
        assert all(each["data"].keys() == PROGRESS for each in progress)
        last = progress[-1]["data"]
        assert last.pop("upload_speed_bps") >= 0
        assert last == {
            "session_id": key,
            "status": "completed",
            "uploaded_bytes": len(CONTENT),
            "total_bytes": len(CONTENT),
            "uploaded_chunks": TOTAL,
            "total_chunks": TOTAL,
            "progress_percentage": 100.0,
            "estimated_time_remaining": 0.0,
            "current_chunk": TOTAL - 1,
            "message": "The document is complete.",
        }
        chunk = [each for each in socket.heard if each["type"] == "chunk_progress"][-1]
        assert chunk.keys() == CHUNKED
        assert (chunk["chunk_id"], chunk["chunks_uploaded"]) == (TOTAL - 1, TOTAL)
        assert (chunk["bytes_uploaded"], chunk["total_bytes"]) == (len(CONTENT), len(CONTENT))


def test_a_long_chunk_is_heard_of_at_least_twice_a_second_and_not_more_than_four(
    client: Forms,
) -> None:
    size, seconds = 60_000, 3.0
    with room(client.served, f"slow-{client.served.kind}") as socket:
        connected(socket)
        key = begin(client, file_size=size, client_id=f"slow-{client.served.kind}")["session_id"]
        socket.until(type="upload_status", status="initializing")

        def upload() -> float:
            body = form([("chunk_id", "0"), ("file", random.Random(1).randbytes(size))])
            with contextlib.closing(Line(client.served)) as line:
                fields: dict[str, str | int] = {
                    "Content-Type": FORM,
                    "Content-Length": len(body),
                }
                line.send_head("POST", f"{BASE}/chunk/{key}", fields)
                began = time.monotonic()
                for at in range(0, len(body), 2_000):
                    line.send(body[at : at + 2_000])
                    time.sleep(seconds / 30)  # the sender's pace is what is tested
                took = time.monotonic() - began
                assert line.answer().status == 200
            client.json("POST", f"/complete/{key}")
            return took

        with ThreadPoolExecutor(1) as pool:
            uploading = pool.submit(upload)
            socket.until(type="upload_status", status="completed")
            took = uploading.result()
    moving = [
        each["data"]["uploaded_bytes"]
        for each in socket.heard
        if each["type"] == "upload_progress" and 0 < each["data"]["uploaded_bytes"] < size
    ]
    assert moving == sorted(set(moving))
    assert len(moving) + 1 >= 2 * took - 1, (moving, took)
    # How many fall into any one second is tested where time stands still; here the line may jitter.
    assert len(socket.times) - 1 <= 4 * (socket.times[-1] - socket.times[0] + 1)


def test_a_room_is_joined_and_left(client: Forms) -> None:
    session = begin(client, client_id="somebody")
    key, name = session["session_id"], session["websocket_room"]
    send(client, key, 0)
    with room(client.served, "watcher") as socket:
        connected(socket)
        socket.say(type="join", room=name)
        assert socket.until(type="joined")["room"] == name
        state = socket.until(type="upload_progress")["data"]
        assert (state["uploaded_chunks"], state["current_chunk"]) == (1, 1)
        send(client, key, 1)
        assert socket.until(type="chunk_progress")["chunk_id"] == 1
        socket.say(type="leave", room=name)
        assert socket.until(type="left")["room"] == name
        send(client, key, 2)
        assert socket.quiet(1.0), socket.heard
        socket.say(type="ping")
        assert socket.hear() == {"type": "pong"}


def test_who_comes_back_hears_how_its_sessions_stand(client: Forms) -> None:
    key = begin(client, client_id=f"again-{client.served.kind}")["session_id"]
    send(client, key, 0)
    with room(client.served, f"again-{client.served.kind}") as socket:
        state = socket.until(type="upload_progress")["data"]
        assert (state["session_id"], state["uploaded_bytes"]) == (key, CHUNK)
        assert socket.until(type="upload_status")["status"] == "uploading"


def test_another_device_hears_of_the_session_that_it_resumes(here: Forms) -> None:
    key = begin(here, client_id="old")["session_id"]
    with room(here.served, "new") as new:
        connected(new)
        here.json("POST", "/resume", {"session_id": key, "client_id": "new"})
        send(here, key, 0)
        assert new.until(type="upload_progress")["data"]["session_id"] == key


def test_a_cancelled_session_says_its_reason(here: Forms) -> None:
    with room(here.served, "fickle") as socket:
        connected(socket)
        key = begin(here, client_id="fickle")["session_id"]
        here.json("POST", f"/cancel/{key}", {"reason": "not this one"})
        last = socket.until(type="upload_status", status="cancelled")
        assert last["message"] == "not this one"


def test_a_foreign_client_id_or_room_hears_nothing(guarded: Served) -> None:
    alice, secret = Forms(guarded, BASE, "alice"), Forms(guarded, BASE, "alice")
    with room(guarded, "shared", who="bob") as bob, room(guarded, "shared", who="carol") as carol:
        with room(guarded, "shared", who="alice") as own, room(guarded, "x", who="admin") as chief:
            for each in (bob, carol, own, chief):
                connected(each)
            key = begin(alice, client_id="shared")["session_id"]
            for each in (bob, carol):
                each.say(type="join", room=f"upload_{key}")
                refused = each.until(type="error")
                assert (refused["code"], refused["room"]) == ("not-found", f"upload_{key}")
                each.say(type="join", room="upload_" + "z" * 31)
                nothing = each.until(type="error")
                assert {**nothing, "room": ""} == {**refused, "room": ""}
            chief.say(type="join", room=f"upload_{key}")
            assert chief.until(type="joined")
            send(secret, key, 0)
            assert own.until(type="chunk_progress")["session_id"] == key
            assert chief.until(type="chunk_progress")["session_id"] == key
        for each in (bob, carol):
            assert each.quiet(0.5), each.heard
            assert key not in json.dumps([one for one in each.heard if one["type"] != "error"])


def test_pages_show_their_token_as_a_subprotocol_that_is_not_echoed(guarded: Served) -> None:
    protocols = ["towpath.v1", f"towpath.bearer.{token('alice')}"]
    with room(guarded, "page", protocols=protocols) as socket:
        assert socket.line.subprotocol == "towpath.v1"
        connected(socket)
        key = begin(Forms(guarded, BASE, "alice"), client_id="page")["session_id"]
        assert socket.until(type="upload_status")["session_id"] == key


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ({}, 401),
        ({"protocols": ["towpath.v1", "towpath.bearer.tow_alice_wrong"]}, 401),
        ({"fields": {"Authorization": "Basic abc"}}, 401),
    ],
    ids=["nothing", "wrong subprotocol", "basic"],
)
def test_a_handshake_without_a_token_is_refused(
    guarded: Served, how: dict[str, object], status: int
) -> None:
    with pytest.raises(InvalidStatus) as refused, room(guarded, "x", **how):  # type: ignore[arg-type]
        pass
    assert refused.value.response.status_code == status
    document = json.loads(refused.value.response.body or b"")
    assert (document["code"], document["success"]) == ("unauthenticated", False)


def test_a_token_in_the_address_is_not_looked_at(guarded: Served) -> None:
    with pytest.raises(InvalidStatus), room(guarded, f"x?token={token('alice')}"):
        pass


@pytest.mark.parametrize("kind", ["direct", "plain", "granian"])
@pytest.mark.parametrize(
    "fields",
    [{"Origin": "https://evil.example"}, {"Host": "evil.example"}],
    ids=["origin", "host"],
)
def test_without_tokens_a_foreign_page_gets_no_socket(
    house: House, kind: str, fields: dict[str, str]
) -> None:
    served = house.get(kind, document_uploads=1000)
    path = "/ws/x"
    host = fields.get("Host")
    with contextlib.closing(Line(served)) as line:
        others = {name: value for name, value in fields.items() if name != "Host"}
        line.send_head("GET", path, {**UPGRADE, **others}, host=host)
        assert line.head()[0] == 403
    with contextlib.closing(Line(served)) as line:
        own = {"Origin": f"http://127.0.0.1:{served.address[1]}"}
        line.send_head("GET", path, {**UPGRADE, **own})
        assert line.head()[0] == 101


def test_there_is_a_socket_at_no_other_address(here: Forms) -> None:
    for path in ("/ws", "/ws/", "/x", "/files/"):
        with contextlib.closing(Line(here.served)) as line:
            line.send_head("GET", path, UPGRADE)
            assert line.head()[0] == 404


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("nonsense", "type"),
        ("[]", "type"),
        ('{"type": "shout"}', "type"),
        ('{"type": "join"}', "room"),
        ('{"type": "join", "room": "lobby"}', "room"),
        ('{"type": "leave", "room": 7}', "room"),
        ("[" * 5000, "type"),
    ],
)
def test_what_is_not_understood_is_said_and_does_no_harm(
    here: Forms, text: str, field: str
) -> None:
    with room(here.served, "odd") as socket:
        connected(socket)
        socket.line.send(text)
        refused = socket.until(type="error")
        assert (refused["code"], refused["field"]) == ("malformed", field)
        assert refused["todo"] in refused["message"]
        socket.line.send(b"\x00\x01")
        assert socket.until(type="error")["field"] == "type"
        socket.say(type="ping")
        assert socket.hear() == {"type": "pong"}


def test_a_message_that_is_too_large_ends_the_connection(client: Forms) -> None:
    with room(client.served, "loud") as socket:
        connected(socket)
        socket.line.send("x" * 20_000)
        with pytest.raises(ConnectionClosed) as closed:
            socket.hear()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


def test_rooms_are_for_any_upload_whose_length_is_known(here: Forms) -> None:
    known, unknown = (Tus(here.served).new(length) for length in (3, None))
    with room(here.served, "x") as socket:
        connected(socket)
        socket.say(type="join", room=f"upload_{unknown.rpartition('/')[2]}")
        assert socket.until(type="error")["code"] == "state-conflict"
        key = known.rpartition("/")[2]
        socket.say(type="join", room=f"upload_{key}")
        assert socket.until(type="joined")["room"] == f"upload_{key}"
        assert Tus(here.served).patch(known, 0, b"abc").status == 204
        assert socket.until(type="upload_progress")["data"]["total_bytes"] == 3


def test_rooms_live_below_the_base_path(tmp_path: Path) -> None:
    with running("direct", tmp_path, base_path="/tow") as served:
        with room(served, "x") as socket:
            connected(socket)
        with contextlib.closing(Line(served)) as line:
            line.send_head("GET", "/ws/x", UPGRADE)
            assert line.head()[0] == 404
