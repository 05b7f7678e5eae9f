"""Calls to other servers: bounded in time and size, and to nobody who was not meant."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.receiver import Call, Receiver, receiver
from towpath.errors import SettingsError, Unanswered
from towpath.web.courier import MOST_ANSWER, Courier, check_address

pytestmark = pytest.mark.anyio


@pytest.fixture
def ear() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


async def post(url: str, *, seconds: float = 5, public_only: bool = False) -> bytes:
    courier = Courier(seconds=seconds, public_only=public_only)
    return (await courier.post(url, [("x-say", "so")], b"{}")).body


async def test_a_call_carries_its_fields_and_brings_the_answer(ear: Receiver) -> None:
    ear.answers = lambda call: (200, {"X-Answer": "yes"}, call.body * 2)
    answer = await Courier(seconds=5).post(ear.url, [("x-say", "so")], b"abc")
    call = ear.next()
    assert (call.path, call.fields["x-say"], call.body) == ("/told?by=towpath", "so", b"abc")
    assert (answer.status, answer.fields["x-answer"], answer.body) == (200, "yes", b"abcabc")


async def test_tls_is_verified(certificate: tuple[Path, Path]) -> None:
    with receiver(certificate) as ear:
        url = ear.url.replace("127.0.0.1", "localhost")
        trusting = ssl.create_default_context(cafile=certificate[0])
        answer = await Courier(seconds=5, context=trusting).post(url, [], b"{}")
        assert answer.status == 200
        with pytest.raises(Unanswered, match="certificate") as refused:
            await post(url)
        assert not refused.value.reached
        with pytest.raises(Unanswered):  # its name is another one
            await Courier(seconds=5, context=trusting).post(ear.url, [], b"{}")


async def test_private_addresses_are_not_called_where_that_is_set(ear: Receiver) -> None:
    port = ear.url.rpartition(":")[2]
    for host in (
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "10.0.0.1",
        "169.254.1.1",
    ):
        with pytest.raises(Unanswered, match="public") as refused:
            await post(f"http://{host}:{port}", public_only=True)
        assert not refused.value.reached
    assert ear.calls.empty()


async def test_who_does_not_answer_in_time_is_not_waited_for(ear: Receiver) -> None:
    never = threading.Event()

    def slow(call: Call) -> None:
        never.wait(10)

    ear.answers = slow
    began = time.monotonic()
    with pytest.raises(Unanswered) as silent:
        await post(ear.url, seconds=2)
    never.set()
    assert time.monotonic() - began < 9
    assert silent.value.reached


async def test_an_answer_that_comes_drop_by_drop_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        over = threading.Event()

        def drip() -> None:
            line, _ = listener.accept()
            with line:
                line.sendall(b"HTTP/1.1 200 OK\r\n")
                while not over.wait(0.05):
                    line.sendall(b"X-Drop: 1\r\n")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        began = time.monotonic()
        with pytest.raises(Unanswered):
            await post(f"http://127.0.0.1:{listener.getsockname()[1]}/", seconds=0.5)
        assert time.monotonic() - began < 5
        over.set()
        thread.join(5)


async def test_an_answer_that_is_too_long_or_none_is_none(ear: Receiver) -> None:
    ear.answers = lambda _: (200, {}, bytes(MOST_ANSWER))
    assert len(await post(ear.url)) == MOST_ANSWER
    ear.answers = lambda _: (200, {}, bytes(MOST_ANSWER + 1))
    with pytest.raises(Unanswered, match="longer"):
        await post(ear.url)
    ear.answers = lambda _: None
    with pytest.raises(Unanswered) as gone:
        await post(ear.url)
    assert gone.value.reached
    ear.answers = lambda _: (200, {"X": "y" * 70_000}, b"")
    with pytest.raises(Unanswered):
        await post(ear.url)


async def test_where_nobody_listens_nothing_was_heard() -> None:
    for url in ("http://127.0.0.1:1/", "http://nowhere.invalid/"):
        with pytest.raises(Unanswered) as nobody:
            await post(url)
        assert not nobody.value.reached


async def test_an_error_does_not_tell_the_path_of_an_address() -> None:
    with pytest.raises(Unanswered) as nobody:
        await post("http://127.0.0.1:1/s3cret?key=s3cret")
    assert "s3cret" not in str(nobody.value)


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1", "ftp://a/", "http://", "http://u:p@a/", "http://a/#b", "http://a:99999/"],
)
def test_what_cannot_be_called_is_no_setting(url: str) -> None:
    with pytest.raises(SettingsError, match="hook"):
        check_address(url, "hook")
    assert check_address("https://a.example:8443/b?c", "hook")
