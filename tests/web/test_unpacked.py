"""A file that is only compressed, asked for by who knows nothing of chunks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from towpath.client import Client
from towpath.codec import PACKED
from towpath.codec.keys import KeyFile
from towpath.core.crc import crc
from towpath.core.digest import crc_bytes, format_digests
from towpath.errors import LimitReached
from towpath.testing.rawhttp import Answer, Gone, Line
from towpath.testing.server import Server
from towpath.web import unpacked

CHUNK = 64 * 1024
TEXT = b"the same words again and again, " * 10_000
DATA = TEXT + Random(5).randbytes(200_000)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("unpacked")
    (folder / "data.txt").write_bytes(DATA)
    (folder / "empty").write_bytes(b"")
    with (
        Server(folder / "server") as server,
        Client(server.url, state_dir=folder / "state", chunk_size=CHUNK) as client,
    ):
        client.upload(folder / "data.txt", compress="auto").result()
        client.upload(folder / "empty", compress="auto").result()
        client.upload(folder / "data.txt", "sealed", encrypt=[KeyFile.new()]).result()
        yield server


def ask(server: Server, path: str, method: str = "GET", **fields: str) -> Answer:
    with Line("127.0.0.1", server.port) as line:
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        return line.ask(method, path, {**named, "Connection": "close"})


def put(server: Server, path: str, stored: bytes | bytearray) -> None:
    fields: dict[str, str | int] = {"Content-Type": PACKED, "Content-Length": len(stored)}
    with Line("127.0.0.1", server.port) as line:
        line.send_head("PUT", path, {**fields, "Connection": "close"})
        line.socket.sendall(stored)
        assert line.answer().status in {200, 201, 204}


def address(server: Server, name: str, folder: Path) -> str:
    with Client(server.url, state_dir=folder / "state") as client:
        return f"/files/{client.stat(name).id}"


def test_a_plain_reader_gets_the_file(server: Server, tmp_path: Path) -> None:
    for path in ("/names/data.txt", address(server, "data.txt", tmp_path)):
        answer = ask(server, path)
        assert (answer.status, answer.body) == (200, DATA)
        assert answer.fields["repr-digest"] == format_digests({"crc64nvme": crc_bytes(crc(DATA))})
        assert answer.fields["vary"] == "accept"
        head = ask(server, path, "HEAD")
        assert head.fields["content-length"] == str(len(DATA))
    assert ask(server, "/names/empty").body == b""


def test_who_takes_chunks_gets_what_is_stored(server: Server) -> None:
    stored = ask(server, "/names/data.txt", Accept=PACKED)
    assert stored.fields["content-type"] == PACKED
    assert len(stored.body) < len(DATA)
    assert stored.fields["vary"] == "accept"
    assert stored.fields["etag"] != ask(server, "/names/data.txt").fields["etag"]


@pytest.mark.parametrize(
    ("start", "end"), [(0, 1), (CHUNK - 1, CHUNK + 1), (300_000, 400_000), (len(DATA) - 1, None)]
)
def test_ranges_are_those_of_the_file(server: Server, start: int, end: int | None) -> None:
    last = "" if end is None else end - 1
    answer = ask(server, "/names/data.txt", Range=f"bytes={start}-{last}")
    assert (answer.status, answer.body) == (206, DATA[start:end])
    assert answer.fields["content-range"].endswith(f"/{len(DATA)}")


def test_conditions_are_those_of_the_file(server: Server) -> None:
    tag = ask(server, "/names/data.txt").fields["etag"]
    assert ask(server, "/names/data.txt", If_None_Match=tag).status == 304
    assert ask(server, "/names/data.txt", Accept=PACKED, If_None_Match=tag).status == 200


def test_what_is_sealed_is_served_as_it_is_stored(server: Server) -> None:
    answer = ask(server, "/names/sealed")
    assert "vary" not in answer.fields
    assert len(answer.body) > len(DATA)


@pytest.mark.parametrize("stored", [b"", b"x", b"no chunks at all" * 100])
def test_what_only_claims_to_be_chunks_is_served_as_it_is(server: Server, stored: bytes) -> None:
    put(server, "/names/claim", stored)
    assert ask(server, "/names/claim").body == stored


def test_a_damaged_chunk_ends_the_answer_early(server: Server) -> None:
    stored = bytearray(ask(server, "/names/data.txt", Accept=PACKED).body)
    stored[len(stored) // 2] ^= 1
    put(server, "/names/damaged", stored)
    with pytest.raises(Gone):
        ask(server, "/names/damaged")
    assert ask(server, "/names/data.txt").status == 200


def test_no_more_readers_than_fit_are_let_in_and_each_lets_in_the_next() -> None:
    source = object.__new__(unpacked.Unpacked)
    readings = [source.read(0, 0) for _ in range(unpacked.MOST_READERS)]
    with pytest.raises(LimitReached):
        source.read(0, 0)
    readings[0].close()
    readings[0].close()
    readings.append(source.read(0, 0))
    with pytest.raises(LimitReached):
        source.read(0, 0)
    for reading in readings:
        reading.close()
