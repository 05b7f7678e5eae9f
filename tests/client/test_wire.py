"""One HTTP/1.1 connection: what answers may look like, and how it is reached."""

import errno
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.client.conftest import sample
from tests.client.fake import FakeServer, serving
from towpath import errors
from towpath.client import Client, words
from towpath.client.control import Control, Stop, Stopped
from towpath.client.dial import split
from towpath.client.peer import Peer, Reply, expect
from towpath.client.wire import Connection


@contextmanager
def scripted(*answers: bytes) -> Iterator[Connection]:
    """A connection to somebody who says these things, one after each request's head."""
    ours, theirs = socket.socketpair()

    def speak() -> None:
        with theirs:
            for answer in answers:
                head = b""
                while b"\r\n\r\n" not in head:
                    data = theirs.recv(65536)
                    if not data:
                        return
                    head += data
                theirs.sendall(answer)

    speaker = threading.Thread(target=speak)
    speaker.start()
    connection = Connection(ours, timeout=5)
    try:
        yield connection
    finally:
        connection.close()
        speaker.join()


def ask(connection: Connection, method: str = "GET") -> tuple[int, bytes, bool]:
    connection.request(method, "/", {"Host": "x"}.items(), lambda: None)
    answer = connection.answer()
    body = answer.text()
    return answer.status, body, answer.is_reusable


@pytest.mark.parametrize(
    ("answer", "body", "reusable"),
    [
        pytest.param(b"HTTP/1.1 200 X\r\nContent-Length: 3\r\n\r\nabc", b"abc", True, id="length"),
        pytest.param(b"HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n", b"", True, id="empty"),
        pytest.param(
            b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            b"abc",
            True,
            id="chunked",
        ),
        pytest.param(b"HTTP/1.1 200 X\r\n\r\nabc", b"abc", False, id="until-the-end"),
        pytest.param(b"HTTP/1.0 200 X\r\nContent-Length: 1\r\n\r\na", b"a", False, id="1.0"),
        pytest.param(
            b"HTTP/1.1 200 X\r\nConnection: close\r\nContent-Length: 1\r\n\r\na",
            b"a",
            False,
            id="close",
        ),
        pytest.param(
            b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 104 Y\r\n\r\n"
            b"HTTP/1.1 200 X\r\nContent-Length: 1\r\n\r\na",
            b"a",
            True,
            id="informational",
        ),
    ],
)
def test_a_body_is_read_to_its_end(answer: bytes, body: bytes, reusable: bool) -> None:
    with scripted(answer) as connection:
        assert ask(connection) == (200, body, reusable)


def test_a_head_has_no_body_whatever_it_announces() -> None:
    announced = b"HTTP/1.1 200 X\r\nContent-Length: 99\r\n\r\n"
    with scripted(announced, announced) as connection:
        assert ask(connection, "HEAD") == (200, b"", True)
        assert ask(connection, "HEAD") == (200, b"", True)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 200 X\r\nConte", id="half-a-head"),
        pytest.param(b"HTTP/1.1 200 X\r\nContent-Length: 3\r\n\r\nab", id="half-a-body"),
        pytest.param(
            b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", id="half-a-chunk"
        ),
    ],
)
def test_an_answer_that_ends_early_is_a_lost_connection(answer: bytes) -> None:
    with scripted(answer) as connection, pytest.raises(errors.Cut):
        ask(connection)


def test_what_is_not_http_is_a_bad_answer() -> None:
    with scripted(b"SSH-2.0-OpenSSH\r\n\r\n") as connection, pytest.raises(errors.BadAnswer):
        ask(connection)


def test_silence_ends_at_the_timeout() -> None:
    ours, theirs = socket.socketpair()
    with theirs, ours, pytest.raises(errors.Cut, match="Nothing moved"):
        ask(Connection(ours, timeout=0.01))


def test_a_wish_to_stop_is_heard_while_waiting() -> None:
    ours, theirs = socket.socketpair()
    control = Control()
    with theirs, ours:
        connection = Connection(ours, timeout=30)
        connection.request("GET", "/", {"Host": "x"}.items(), control.check)
        control.stop(Stop.PAUSE)
        with pytest.raises(Stopped):
            connection.answer()


def test_a_cancel_overrides_a_pause_but_not_the_other_way_round() -> None:
    control = Control()
    control.stop(Stop.PAUSE)
    control.stop(Stop.CANCEL)
    control.stop(Stop.PAUSE)
    control.renew()
    with pytest.raises(Stopped) as stopped:
        control.sleep(10)
    assert stopped.value.why is Stop.CANCEL


@pytest.mark.parametrize("url", ["ftp://x", "x", "http://", "http://x:y", "https://u:p@x/"])
def test_what_is_no_address_of_a_server_is_refused(url: str) -> None:
    with pytest.raises(errors.SettingsError):
        split(url)


def test_hosts_and_ports_are_told_as_http_wants_them() -> None:
    assert split("https://x.org/a?b")[0].authority == "x.org"
    assert split("http://[::1]:8000")[0].authority == "[::1]:8000"
    assert split("http://x.org?b=1") == (split("http://x.org")[0], "/?b=1")


def test_a_token_is_not_told_to_other_servers(server: FakeServer) -> None:
    peer = Peer("http://towpath.invalid/", token="secret")
    peer.ask("GET", f"{server.url}api/v1/server")
    peer.done_with()
    assert "authorization" not in server.requests[0][2]


def test_an_address_from_behind_a_proxy_is_corrected_to_https() -> None:
    peer = Peer("https://up.example.org/base/")
    assert peer.address("http://up.example.org/files/1") == "https://up.example.org/files/1"
    assert peer.address("/files/1") == "https://up.example.org/files/1"
    assert peer.address("http://other.org/1") == "http://other.org/1"
    assert peer.api("names", "a b/ü?", after=None) == (
        "https://up.example.org/base/api/v1/names/a%20b/%C3%BC%3F"
    )


def test_idle_connections_are_used_again_and_stale_ones_replaced(server: FakeServer) -> None:
    peer = Peer(server.url)
    for _ in range(3):
        assert peer.ask("GET", peer.api("server")).ok
    assert server.hang_up() == 1
    assert peer.ask("GET", peer.api("server"), again=True).ok
    peer.done_with()


def test_a_connection_that_is_in_use_when_all_are_closed_is_closed_after_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = Peer(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        with peer.open("GET", peer.api("server")) as exchange:
            line, _ = listener.accept()
            line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            peer.done_with()
            assert exchange.reply().ok
        with line, line.makefile("rb") as heard:
            line.settimeout(10)
            assert heard.read().startswith(b"GET /api/v1/server HTTP/1.1\r\n")  # and then the end


def test_json_that_is_none_is_a_bad_answer() -> None:
    with pytest.raises(errors.BadAnswer):
        Reply(200, {}, b"<html>").json()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate and its key for 127.0.0.1, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("LOUD: no client has spoken TLS: install openssl, which makes the certificate")
    path = tmp_path / "cert.pem"
    kind = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=127.0.0.1"
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(path)]
    subject = "-addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        ["openssl", "req", "-x509", *kind.split(), *subject.split(), *files],
        check=True,
        capture_output=True,
    )
    return path


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[FakeServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    with serving(tls=context) as server:
        yield server


def test_tls_carries_both_ways_and_over_cuts(
    tls_server: FakeServer, certificate: Path, tmp_path: Path, state: Path
) -> None:
    data = sample(20_000_000)
    (tmp_path / "a").write_bytes(data)
    tls_server.fail("PATCH", "cut", at=7_000_000)
    tls_server.fail_download("cut", at=9_000_000)
    with Client(tls_server.url, state_dir=state, ca=certificate) as client:
        assert client.upload(tmp_path / "a").result().verified
        assert client.download("a", tmp_path / "b").result().verified
    assert bytes(tls_server.named("a").data) == data == (tmp_path / "b").read_bytes()


def test_an_unknown_certificate_is_not_trusted_and_not_tried_again(
    tls_server: FakeServer, tmp_path: Path, state: Path
) -> None:
    (tmp_path / "a").write_bytes(b"x")
    with (
        pytest.raises(errors.TransferError, match=r"cannot be trusted.*--ca"),
        Client(tls_server.url, state_dir=state) as client,
    ):
        client.upload(tmp_path / "a").result()
    assert tls_server.requests == []


def test_a_proxy_from_the_environment_is_used(
    monkeypatch: pytest.MonkeyPatch, server: FakeServer, tmp_path: Path, state: Path
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    asked: list[bytes] = []

    def proxy() -> None:
        sock, _ = listener.accept()
        with sock, socket.create_connection(("127.0.0.1", server.port)) as onward:
            head = b""
            while b"\r\n\r\n" not in head:
                head += sock.recv(65536)
            asked.append(head)
            sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=pump, args=(onward, sock))
            back.start()
            pump(sock, onward)
            back.join()

    def pump(one: socket.socket, other: socket.socket) -> None:
        while data := one.recv(65536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=proxy)
    thread.start()
    monkeypatch.setenv("http_proxy", f"http://me:pass@127.0.0.1:{listener.getsockname()[1]}")
    monkeypatch.setenv("no_proxy", "")
    (tmp_path / "a").write_bytes(b"x")
    with Client("http://up.example.org", state_dir=state) as client:
        assert client.upload(tmp_path / "a").result().verified
    thread.join()
    listener.close()
    assert asked[0].startswith(b"CONNECT up.example.org:80 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic bWU6cGFzcw==\r\n" in asked[0]
    assert server.requests[0][2]["host"] == "up.example.org"


def test_interim_answers_are_known_beside_the_answer(server: FakeServer) -> None:
    peer = Peer(server.url)
    location = expect(peer.ask("POST", f"{server.url}files/", words.creation(4, {"name": "a"})))
    url = peer.address(location.fields["location"])
    server.fail("PATCH", "informational", at=2)
    with peer.open("PATCH", url, words.chunk(0), length=4) as exchange:
        exchange.send(memoryview(b"abcd"))
        assert exchange.reply().status == 204
        assert exchange.interim == {104}
    with peer.open("HEAD", url, words.TUS) as exchange:
        assert exchange.reply().status == 200
        assert exchange.interim == set()
    peer.done_with()


NO_WAY = (
    OSError(errno.ENETUNREACH, "Network is unreachable"),
    socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
)


@pytest.mark.parametrize("trouble", NO_WAY, ids=["network", "names"])
def test_who_is_offline_waits_and_goes_on(
    server: FakeServer, big: Path, state: Path, monkeypatch: pytest.MonkeyPatch, trouble: OSError
) -> None:
    connect, left = socket.create_connection, [20]

    def later(*args: Any) -> socket.socket:
        left[0] -= 1
        if left[0] >= 0:
            raise trouble
        return connect(*args)

    monkeypatch.setattr("socket.create_connection", later)
    monkeypatch.setattr("towpath.client.retry._LONGEST", 0.002)
    with Client(server.url, state_dir=state, retries=3) as client:
        transfer = client.upload(big)
        states = {progress.state.value for progress in transfer}
        assert transfer.result().verified
    assert "waiting" in states


def test_a_server_that_refuses_is_not_taken_for_being_offline(big: Path, state: Path) -> None:
    with Client("http://127.0.0.1:9", state_dir=state, retries=1) as client:
        with pytest.raises(errors.ServerUnreachable) as failed:
            client.upload(big).result()
        assert not failed.value.offline
        assert failed.value.why == "Connection refused."


def test_a_token_that_cannot_be_sent_is_not_shown() -> None:
    with pytest.raises(errors.SettingsError) as refused:
        Peer("http://127.0.0.1:9", "tow_1_secret\nX-Other: 1")
    assert "secret" not in f"{refused.value} {refused.value!r}"


@pytest.mark.parametrize("host", ["a..b", f"{'a' * 64}.example"])
def test_what_cannot_be_the_name_of_a_machine_is_a_wrong_address(host: str) -> None:
    with pytest.raises(errors.SettingsError, match="no name of a machine"):
        Peer(f"http://{host}:9").ask("GET", f"http://{host}:9/")


def test_an_address_with_letters_of_any_kind_can_be_asked_for() -> None:
    assert split("http://h/a b/ü?x=%20ä")[1] == "/a%20b/%C3%BC?x=%20%C3%A4"
    assert split("http://h/a%2Fb;c=(d)?e=f&g=~h")[1] == "/a%2Fb;c=(d)?e=f&g=~h"


@pytest.mark.parametrize("proxy", ["http://p:port", "http://p:99999999", "socks5://p:1", "http://"])
def test_what_cannot_be_the_address_of_a_proxy_is_a_wrong_setting(proxy: str) -> None:
    with pytest.raises(errors.SettingsError, match=r"proxy at .* cannot be used"):
        Peer("http://example.org", proxy=proxy).ask("GET", "http://example.org/")


def test_a_tunnel_that_is_refused_leaves_no_connection_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(65_536)
                peer.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
                gone.append(peer.recv(1) == b"")

        gone: list[bool] = []
        answering = threading.Thread(target=refuse)
        answering.start()
        proxy = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(errors.ServerUnreachable, match="407") as failed:  # and is kept
            Peer("https://example.org", proxy=proxy).ask("GET", "https://example.org/")
        answering.join(10)
        assert gone == [True], failed
