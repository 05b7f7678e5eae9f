"""A file in parts to servers that join uploads, each in a way of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.testing.stub import Ask, Say, Sin
from tests.testing.stub_tus import TusStub
from towpath import errors
from towpath.cli.main import main
from towpath.client import Client, UploadResult
from towpath.client.resume import Notebook

MIB = 1024 * 1024
SIZE = 20 * MIB + 321
CONTENT = Random(4).randbytes(SIZE)
PARTS = 5


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("towpath.client.joined_upload.SMALLEST_PART", 4 * MIB)
    monkeypatch.setattr("towpath.client.joined_upload._FIRST_LOOK", 0.001)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large.bin"
    path.write_bytes(CONTENT)
    return path


def send(stub: TusStub, path: Path, state: Path, **options: Any) -> UploadResult:
    with Client(stub.url.removesuffix("files/"), state_dir=state, **options) as client:
        return client.upload(path).result()


def whole(stub: TusStub) -> list[bytes]:
    """The content of whatever is no part."""
    return [each.content for each in stub.uploads.values() if each.concat != "partial"]


class Odd(TusStub):
    """Joins uploads, but `first` may answer in its place; it also counts what it is asked."""

    def __init__(
        self, first: Callable[[Ask], Say | None] = lambda _: None, sin: Sin | None = None
    ) -> None:
        super().__init__(sin)
        self.first = first
        self.asked: list[tuple[str, str, dict[str, str]]] = []

    def _answer(self, ask: Ask) -> Say:
        self.asked.append((ask.method, ask.path, ask.fields))
        return self.first(ask) or super()._answer(ask)

    def count(self, method: str, concat: str = "") -> int:
        """Requests of the method, with an Upload-Concat that begins so."""
        return sum(
            each[0] == method and each[2].get("upload-concat", "").startswith(concat)
            for each in self.asked
        )


def test_a_server_may_take_its_time_to_join(large: Path, tmp_path: Path) -> None:
    looks = []

    def say(ask: Ask, said: Say) -> None:
        if ask.method == "HEAD" and ask.upload.final:
            looks.append(ask.path)
            if len(looks) < 4:
                said.fields.pop("upload-offset")

    with Odd(sin=Sin(say=say)) as stub:
        up = send(stub, large, tmp_path / "state")
        assert (up.length, up.url.endswith(looks[0])) == (SIZE, True)
        assert whole(stub) == [CONTENT]
    assert len(looks) == 4


def test_a_server_that_never_finishes_is_given_up_and_nothing_is_lost(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("towpath.client.retry._MAKING", -1000.0)

    def say(ask: Ask, said: Say) -> None:
        if ask.method == "HEAD" and ask.upload.final and not patient:
            said.fields.pop("upload-offset")

    patient = False
    with Odd(sin=Sin(say=say)) as stub:
        with pytest.raises(errors.TransferError, match="does not finish"):
            send(stub, large, tmp_path / "state", retries=0)
        patient = True
        assert send(stub, large, tmp_path / "state").sent_bytes == 0
        assert whole(stub) == [CONTENT]


def test_a_server_that_takes_no_parts_after_all_gets_one_upload(
    large: Path, tmp_path: Path
) -> None:
    def first(ask: Ask) -> Say | None:
        return Say(400) if ask.fields.get("upload-concat") == "partial" else None

    with Odd(first) as stub:
        send(stub, large, tmp_path / "state")
        assert whole(stub) == [CONTENT]
        assert (stub.count("POST", "partial"), stub.count("POST", "final")) == (1, 0)


def test_long_addresses_make_fewer_parts(large: Path, tmp_path: Path) -> None:
    def ask(asked: Ask) -> None:
        asked.path = asked.path.partition("?")[0]

    def say(asked: Ask, said: Say) -> None:
        if "location" in said.fields:
            said.fields["location"] += "?" + "t" * 2000

    with Odd(sin=Sin(ask=ask, say=say)) as stub:
        send(stub, large, tmp_path / "state")
        assert whole(stub) == [CONTENT]
        assert stub.count("POST", "partial") == 2
        assert max(len(each[2].get("upload-concat", "")) for each in stub.asked) < 8000


def test_chunks_that_are_too_large_for_it_get_smaller(large: Path, tmp_path: Path) -> None:
    def first(ask: Ask) -> Say | None:
        if ask.method == "PATCH" and int(ask.fields["content-length"]) > MIB // 2:
            for _ in ask.blocks():
                pass
            return Say(413)
        return None

    with Odd(first) as stub:
        send(stub, large, tmp_path / "state")
        assert whole(stub) == [CONTENT]


def test_bytes_that_were_taken_and_refused_all_the_same_are_not_sent_again(
    large: Path, tmp_path: Path
) -> None:
    late: list[str] = []

    def say(ask: Ask, said: Say) -> None:
        if ask.method == "PATCH" and len(late) < 3:  # as if the bytes had come by another request
            late.append(ask.path)
            said.status, said.fields = 403, {}

    with Odd(sin=Sin(say=say)) as stub:
        up = send(stub, large, tmp_path / "state")
        assert whole(stub) == [CONTENT]
    assert (up.sent_bytes, len(late)) == (SIZE, 3)


def test_bytes_that_the_server_had_acknowledged_and_lost_are_sent_again(
    large: Path, tmp_path: Path
) -> None:
    lost: list[int] = []

    def first(ask: Ask) -> Say | None:
        if ask.method == "PATCH" and ask.upload.data and not lost:
            lost.append(len(ask.upload.data))
            ask.upload.data.clear()
        return None

    with Odd(first) as stub:
        up = send(stub, large, tmp_path / "state", chunk_size=MIB)
        assert whole(stub) == [CONTENT]
    assert up.sent_bytes >= SIZE + lost[0]


def test_what_is_against_the_joining_is_said_and_the_parts_are_kept(
    large: Path, tmp_path: Path
) -> None:
    full = True

    def first(ask: Ask) -> Say | None:
        return Say(507) if full and ask.fields.get("upload-concat", "")[:5] == "final" else None

    with Odd(first) as stub:
        with pytest.raises(errors.StoreFull):
            send(stub, large, tmp_path / "state")
        (note,) = Notebook(tmp_path / "state").all()
        assert (note.offset, len(note.parts)) == (SIZE, PARTS)
        full = False
        assert send(stub, large, tmp_path / "state").sent_bytes == 0
        assert whole(stub) == [CONTENT]


def test_parts_stay_where_uploads_cannot_be_terminated(large: Path, tmp_path: Path) -> None:
    def say(ask: Ask, said: Say) -> None:
        if ask.method == "OPTIONS":
            said.fields["tus-extension"] = "creation,concatenation"

    def first(ask: Ask) -> Say | None:
        return Say(507) if ask.fields.get("upload-concat", "")[:5] == "final" else None

    with Odd(first, Sin(say=say)) as stub:
        with pytest.raises(errors.StoreFull):
            send(stub, large, tmp_path / "state")
        url = stub.url.removesuffix("files/")
        with Client(url, state_dir=tmp_path / "state") as client:
            (note,) = client.unfinished()
            client.forget(note)
        assert stub.count("DELETE") == 0
        assert len(stub.uploads) == PARTS
    assert list(Notebook(tmp_path / "state").all()) == []


def is_joining(ask: Ask) -> bool:
    return ask.method == "POST" and ask.fields.get("upload-concat", "").startswith("final")


def losing(count: int) -> Sin:
    """Whoever asks for the joining hears nothing, so many times; the parts are joined all right."""
    lost: list[str] = []

    def say(ask: Ask, _: Say) -> None:
        if is_joining(ask) and len(lost) < count:
            lost.append(ask.path)
            raise ConnectionError

    return Sin(say=say)


def test_who_hears_nothing_of_the_joining_asks_again_and_says_that_it_may_be_there_twice(
    large: Path, tmp_path: Path
) -> None:
    with Odd(sin=losing(1)) as stub:
        up = send(stub, large, tmp_path / "state")
        assert whole(stub) == [CONTENT, CONTENT]
    assert up.perhaps_twice


def test_that_nothing_was_heard_is_remembered_for_another_process(
    large: Path, tmp_path: Path
) -> None:
    with Odd(sin=losing(1)) as stub:
        with pytest.raises(errors.Cut):
            send(stub, large, tmp_path / "state", retries=0)
        (note,) = Notebook(tmp_path / "state").all()
        assert (note.unheard, note.url) == (True, "")
        assert send(stub, large, tmp_path / "state").perhaps_twice


@pytest.mark.parametrize("status", [503, 507])
def test_a_joining_that_was_refused_leaves_no_doubt(
    large: Path, tmp_path: Path, status: int
) -> None:
    refused: list[str] = []

    def first(ask: Ask) -> Say | None:
        if is_joining(ask) and not refused:
            refused.append(ask.path)
            return Say(status)
        return None

    with Odd(first) as stub:
        if status == 507:
            with pytest.raises(errors.StoreFull):
                send(stub, large, tmp_path / "state")
        assert not send(stub, large, tmp_path / "state").perhaps_twice
        assert whole(stub) == [CONTENT]


def test_a_proxy_that_gave_up_waiting_leaves_doubt(large: Path, tmp_path: Path) -> None:
    given_up: list[str] = []

    def say(ask: Ask, said: Say) -> None:
        if is_joining(ask) and not given_up:
            given_up.append(ask.path)
            said.status, said.fields = 504, {}

    with Odd(sin=Sin(say=say)) as stub:
        assert send(stub, large, tmp_path / "state").perhaps_twice


def test_what_may_be_there_twice_is_said_on_the_command_line(
    large: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    with Odd(sin=losing(1)) as stub:
        assert main(["put", str(large), "--url", stub.url.removesuffix("files/")]) == 0
    said = capsys.readouterr()
    assert said.out == "large.bin\n"
    assert "have the file twice" in said.err
