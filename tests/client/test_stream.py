"""Uploads of what has no path: what each source survives, and what it honestly does not."""

import asyncio
import io
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from awscrt.checksums import crc64nvme

import towpath
from tests.client.conftest import Carry
from tests.client.fake import FakeServer, serving
from tests.client.givers import DATA, ONCE, REWINDS, SMALL, SOURCES, Pipe, each_source, generator
from towpath import errors
from towpath.client import stream
from towpath.client.transfer import in_thread


@each_source
def test_a_source_arrives_whole_and_is_verified(
    carry: Carry, server: FakeServer, state: Path, kind: str
) -> None:
    result = carry("upload", SOURCES[kind](DATA), "a/b", client=SMALL)
    assert bytes(server.named("a/b").data) == DATA
    assert (result.name, result.length, result.verified) == ("a/b", 5_000_001, True)
    assert (result.path, result.crc64nvme) == ("-", f"{crc64nvme(DATA):016x}")
    created = next(fields for method, _, fields in server.requests if method == "POST")
    assert ("upload-length" in created) == (kind in REWINDS)
    assert ("upload-defer-length" in created) == (kind in ONCE)
    assert not state.exists() or list(state.iterdir()) == []


@each_source
def test_an_empty_source_becomes_an_empty_object(
    carry: Carry, server: FakeServer, kind: str
) -> None:
    result = carry("upload", SOURCES[kind](b""), "empty")
    assert (result.length, result.verified, server.named("empty").size) == (0, True, 0)


@each_source
@pytest.mark.parametrize("at", [0, 1, 999_999])
def test_a_cut_is_survived_and_only_the_rest_is_sent(
    carry: Carry, server: FakeServer, kind: str, at: int
) -> None:
    server.fail("PATCH", "cut", at=at)
    server.fail("PATCH", "reset", at=500_000)
    result = carry("upload", SOURCES[kind](DATA), "x", client=SMALL)
    assert bytes(server.named("x").data) == DATA
    assert (server.received, result.verified) == (5_000_001, True)


def test_a_file_is_sent_from_where_it_is(carry: Carry, server: FakeServer, big: Path) -> None:
    with big.open("rb") as file:
        file.seek(1_000_000)
        result = carry("upload", file, "tail")
        assert not file.closed
    assert bytes(server.named("tail").data) == big.read_bytes()[1_000_000:]
    assert result.length == 4_000_001


def test_memory_of_wider_items_is_sent_as_bytes(carry: Carry, server: FakeServer) -> None:
    carry("upload", memoryview(DATA[:800]).cast("Q"), "wide")
    assert bytes(server.named("wide").data) == DATA[:800]


class LosesSome(io.BytesIO):
    """A file whose server forgets most of what it had, once, while it is read."""

    server: FakeServer
    lost = False

    def readinto(self, buffer: Any) -> int:
        if self.tell() > 4_000_000 and not self.lost:
            self.lost = True
            (upload,) = self.server.uploads.values()
            del upload.data[1_234_567:]
            upload.size, upload.crc = 1_234_567, crc64nvme(bytes(upload.data))
        return super().readinto(buffer)


def test_what_the_server_lost_is_read_again_where_that_can_be(
    carry: Carry, server: FakeServer
) -> None:
    LosesSome.server = server
    source = LosesSome(DATA)
    result = carry("upload", source, "x", client=SMALL)
    assert source.lost
    assert bytes(server.named("x").data) == DATA
    assert result.verified


@pytest.mark.parametrize("kind", ONCE)
def test_a_stream_says_that_it_cannot_be_read_again_and_leaves_nothing(
    carry: Carry, server: FakeServer, kind: str
) -> None:
    server.fail("PATCH", "lose-answer")  # the first window
    server.fail("PATCH", "lose-answer")  # the second one: then the server is asked
    server.fail("HEAD", "status", status=200, fields={"Upload-Offset": "1000000"})
    server.fail("HEAD", "status", status=200, fields={"Upload-Offset": "7"})
    with pytest.raises(errors.TransferError, match="cannot be read again") as failed:
        carry("upload", SOURCES[kind](DATA), "x", client=SMALL)
    assert "from its beginning" in failed.value.todo
    assert server.uploads == {}


def test_an_upload_that_vanished_begins_anew_where_that_can_be(
    carry: Carry, server: FakeServer
) -> None:
    server.fail("PATCH", "cut", at=500_000)
    server.fail("HEAD", "status", status=404)
    assert carry("upload", DATA, "x", client=SMALL).verified
    assert server.count("POST") == 2
    assert bytes(server.named("x").data) == DATA


def test_a_stream_may_vanish_within_its_first_window(carry: Carry, server: FakeServer) -> None:
    server.fail("PATCH", "cut", at=500_000)
    server.fail("HEAD", "status", status=410)
    assert carry("upload", generator(DATA), "x", client=SMALL).verified
    assert bytes(server.named("x").data) == DATA


def test_a_stream_that_vanished_later_is_an_error(carry: Carry, server: FakeServer) -> None:
    server.fail("PATCH", "lose-answer")
    server.fail("PATCH", "cut", at=1)
    server.fail("HEAD", "status", status=200, fields={"Upload-Offset": "1000000"})
    server.fail("HEAD", "status", status=410)
    with pytest.raises(errors.TransferError, match="cannot be read again"):
        carry("upload", generator(DATA), "x", client=SMALL)


def test_a_stream_that_fails_for_good_is_removed_from_the_server(
    carry: Carry, server: FakeServer
) -> None:
    server.fail("PATCH", "status", status=403)
    with pytest.raises(errors.Forbidden) as failed:
        carry("upload", generator(DATA), "x")
    assert "from its beginning" in failed.value.todo
    assert server.uploads == {}


@pytest.mark.parametrize("kind", ["generator", "asynchronous", "bytes"])
def test_a_pause_loses_nothing(server: FakeServer, state: Path, kind: str) -> None:
    server.fail("PATCH", "hold", at=300_000)

    async def main() -> Any:
        async with towpath.AsyncClient(server.url, state_dir=state, **SMALL) as client:  # type: ignore[arg-type]
            transfer = client.upload(SOURCES[kind](DATA), "x")
            await in_thread(lambda: server.wait_for(300_000))
            await transfer.pause()
            server.release.set()
            await transfer.resume()
            return await transfer

    result = asyncio.run(main())
    assert bytes(server.named("x").data) == DATA
    assert (result.verified, server.received) == (True, 5_000_001)


@pytest.mark.parametrize("fingerprint", [None, "mine"])
def test_a_client_that_ends_leaves_only_what_can_go_on(
    server: FakeServer, state: Path, fingerprint: str | None
) -> None:
    server.fail("PATCH", "hold", at=300_000)
    with towpath.Client(server.url, state_dir=state) as client:
        transfer = client.upload(generator(DATA), "x", fingerprint=fingerprint)
        server.wait_for(300_000)
        client.close()
    assert transfer.done
    assert len(server.uploads) == (1 if fingerprint else 0)


def test_the_source_is_read_no_further_than_a_window_ahead(state: Path) -> None:
    piece, ahead = bytes(1_000_000), 0

    with serving(keep=False) as server:

        def pieces() -> Iterator[bytes]:
            nonlocal ahead
            for count in range(60):
                ahead = max(ahead, count * len(piece) - server.received)
                yield piece

        with towpath.Client(server.url, state_dir=state) as client:
            assert client.upload(pieces(), "x").result().length == 60_000_000
    assert ahead <= stream.CHUNK + len(piece)


def test_what_came_is_sent_before_a_slow_source_has_filled_the_window(
    server: FakeServer, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_LINGER", 0)

    def pieces() -> Iterator[bytes]:
        yield b"first"
        server.wait_for(5)
        yield b"second"

    with towpath.Client(server.url, state_dir=state) as client:
        client.upload(pieces(), "x").result()
    assert bytes(server.named("x").data) == b"firstsecond"


def test_a_proxy_that_takes_little_gets_smaller_chunks(carry: Carry, server: FakeServer) -> None:
    server.fail("PATCH", "early", status=413, fields={"Tus-Resumable": ""})
    result = carry("upload", generator(DATA), "x", client={"chunk_size": 4_000_000})
    assert (result.verified, bytes(server.named("x").data) == DATA) == (True, True)
    sizes = [
        int(fields["content-length"]) for method, _, fields in server.requests if method == "PATCH"
    ]
    assert sizes[:2] == [4_000_000, 2_000_000]


def test_wrong_bytes_on_the_server_are_taken_away(carry: Carry, server: FakeServer) -> None:
    server.fail("PATCH", "wrong-digest")
    with pytest.raises(errors.DigestMismatch, match="The upload was removed"):
        carry("upload", DATA, "x")
    assert server.uploads == {}


def test_without_verifying_no_checksum_is_told(carry: Carry, server: FakeServer) -> None:
    result = carry("upload", DATA, "x", client={"verify": False})
    assert (result.crc64nvme, result.verified) == (None, False)


# -- what is wrong with a source


def test_an_error_of_the_source_ends_the_upload_and_leaves_nothing(
    carry: Carry, server: FakeServer
) -> None:
    def pieces() -> Iterator[bytes]:
        yield DATA[:2_000_000]
        raise ValueError("the tape is torn")

    with pytest.raises(errors.TransferError, match="the tape is torn") as failed:
        carry("upload", pieces(), "x", client=SMALL)
    assert isinstance(failed.value.__cause__, ValueError)
    assert server.uploads == {}


@pytest.mark.parametrize("error", [LookupError, GeneratorExit, SystemExit])
@pytest.mark.parametrize("kind", ["generator", "asynchronous", "pipe"])
def test_whatever_a_source_raises_ends_the_upload_and_leaves_nothing(
    carry: Carry, server: FakeServer, kind: str, error: type[BaseException]
) -> None:
    class Torn(Pipe):
        def readinto(self, buffer: Any) -> int:
            return super().readinto(buffer) or torn()

    def torn() -> int:
        raise error("torn")

    def pieces() -> Iterator[bytes]:
        yield from generator(DATA[:2_000_000])
        torn()

    async def later() -> AsyncIterator[bytes]:
        for piece in pieces():
            yield piece

    sources: dict[str, Any] = {"generator": pieces(), "asynchronous": later(), "pipe": Torn(DATA)}
    with pytest.raises(errors.TransferError, match=f"{error.__name__}: torn") as failed:
        carry("upload", sources[kind], "x", client=SMALL)
    assert type(failed.value.__cause__) is error
    assert server.uploads == {}


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("pieces", [["text"], [b"a", 7], [b"a", None, b"b"]])
def test_pieces_that_are_no_bytes_are_refused(
    carry: Carry, server: FakeServer, pieces: list[Any], asynchronous: bool
) -> None:
    async def later() -> AsyncIterator[Any]:
        for piece in pieces:
            yield piece

    bad = next(type(piece).__name__ for piece in pieces if not isinstance(piece, bytes))
    with pytest.raises(errors.TransferError, match=f"A piece of it is {bad}, not bytes"):
        carry("upload", later() if asynchronous else pieces, "x")
    assert server.uploads == {}


@pytest.mark.parametrize(
    ("source", "words"), [(io.StringIO("text"), 'Open it with "rb"'), (7, "int is nothing")]
)
def test_what_cannot_be_uploaded_is_refused_at_once(
    carry: Carry, server: FakeServer, source: Any, words: str
) -> None:
    with pytest.raises(errors.Malformed, match=words):
        carry("upload", source, "x")
    assert server.requests == []


def test_a_source_without_a_path_needs_a_name(carry: Carry, server: FakeServer) -> None:
    for name in (None, "folder/"):
        with pytest.raises(errors.Malformed, match="needs a name"):
            carry("upload", DATA, name)


def test_a_path_needs_no_fingerprint(carry: Carry, big: Path) -> None:
    with pytest.raises(errors.Malformed, match="no fingerprint"):
        carry("upload", big, fingerprint="mine")


@pytest.mark.parametrize("change", ["grow", "shrink", "touch"])
def test_an_open_file_that_changes_is_noticed(
    carry: Carry, server: FakeServer, big: Path, change: str
) -> None:
    class Changes(io.FileIO):
        def readinto(self, buffer: Any) -> int:
            if self.tell() > 2_000_000:
                if change == "touch":
                    os.utime(big, ns=(1, 1))
                else:
                    os.truncate(big, 9_000_000 if change == "grow" else 3_000_000)
            return super().readinto(buffer)

    with Changes(big) as file, pytest.raises(errors.SourceChanged):
        carry("upload", file, "x", client=SMALL)
    assert server.uploads == {}


def test_an_open_file_that_ends_early_is_noticed(carry: Carry, server: FakeServer) -> None:
    class Shrinks(io.BytesIO):
        def readinto(self, buffer: Any) -> int:
            if self.tell() > 2_000_000:
                self.truncate(3_000_000)
            return super().readinto(buffer)

    with pytest.raises(errors.SourceChanged, match="shorter"):
        carry("upload", Shrinks(DATA), "x", client=SMALL)


@pytest.mark.skipif(os.name == "nt", reason="pipes that do not block are made otherwise there")
def test_a_stream_that_has_nothing_yet_is_waited_for(carry: Carry, server: FakeServer) -> None:
    taking, giving = os.pipe()
    os.set_blocking(taking, False)

    def write() -> None:
        time.sleep(0.1)  # the reader finds nothing first
        os.write(giving, b"late")
        os.close(giving)

    writer = threading.Thread(target=write)
    writer.start()
    with os.fdopen(taking, "rb", buffering=0) as file:
        assert carry("upload", file, "x").verified
    writer.join()
    assert bytes(server.named("x").data) == b"late"


def test_a_file_that_only_says_that_it_is_empty_is_read(carry: Carry, server: FakeServer) -> None:
    with Path("/proc/self/status").open("rb") as file:
        assert carry("upload", file, "status").length > 100
    assert bytes(server.named("status").data).startswith(b"Name:")
