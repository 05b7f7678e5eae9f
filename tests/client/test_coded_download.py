"""Coded objects that come down: by several connections, in order to a sink, in bounded memory."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.client.coding import CHUNK, KEY, MIXED, another
from towpath import errors
from towpath.client import Client
from towpath.client.coded_object import CodedObject
from towpath.core.crc import crc
from towpath.testing.server import Server


def test_after_a_cut_only_the_chunks_that_did_not_come_are_asked_for(
    client: Client, mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.upload(mixed, "cut", encrypt=[KEY]).result()
    whole, turn = CodedObject.blocks, threading.Lock()
    came: list[int] = []
    cuts: list[int] = []

    def cut(self: CodedObject, start: int, end: int, check: Any) -> Iterator[memoryview]:
        for block in whole(self, start, end, check):
            with turn:
                if len(came) == 3 and not cuts:
                    cuts.append(start)
                    raise errors.Cut("The connection was lost.")
                came.append(start)
            start += len(block)
            yield block

    monkeypatch.setattr(CodedObject, "blocks", lambda *all_of: (each for each in cut(*all_of)))
    result = client.download("cut", tmp_path / "b", keys=[KEY]).result()
    assert (tmp_path / "b").read_bytes() == MIXED
    assert sorted(came) == list(range(0, len(MIXED), CHUNK))
    assert len(cuts) == 1
    assert (result.verified, result.received_bytes) == (True, len(MIXED))


def test_chunks_come_by_several_connections_and_in_any_order(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = MIXED * 4
    (tmp_path / "a").write_bytes(data)
    client.upload(tmp_path / "a", "many", compress="auto", encrypt=[KEY]).result()
    whole, both, turn = CodedObject.blocks, threading.Barrier(2), threading.Lock()
    first: list[int] = []

    def blocks(self: CodedObject, start: int, end: int, check: Any) -> Iterator[memoryview]:
        with turn:
            first.append(start)
            number = len(first)
        if number <= 2:
            both.wait(10)  # a second one is under way
        if start == 0:
            while len(first) < 3:  # and a third begins before the first has brought a byte
                check()
                time.sleep(0.01)
        yield from whole(self, start, end, check)

    monkeypatch.setattr(CodedObject, "blocks", blocks)
    result = client.download("many", tmp_path / "b", keys=[KEY]).result()
    assert (tmp_path / "b").read_bytes() == data
    assert (result.verified, result.crc64nvme) == (True, f"{crc(memoryview(data)):016x}")


def test_a_download_that_stopped_goes_on_from_the_chunks_that_are_here(
    real: Server, client: Client, mixed: Path, state: Path, tmp_path: Path
) -> None:
    client.upload(mixed, "halfway", encrypt=[KEY]).result()
    whole = CodedObject.blocks

    def stop(self: CodedObject, start: int, end: int, check: Any) -> Iterator[memoryview]:
        for number, block in enumerate(whole(self, start, end, check)):
            if number == 2:
                raise errors.Forbidden("It ends here.")
            yield block

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CodedObject, "blocks", stop)
        with another(real, state) as first, pytest.raises(errors.Forbidden):
            first.download("halfway", tmp_path / "b", keys=[KEY]).result()
    (note,) = client.unfinished()
    assert 2 * CHUNK <= note.offset < len(MIXED)
    with pytest.raises(errors.WrongKey):
        client.resume(note).result()
    result = client.resume(note, keys=[KEY]).result()
    assert (result.resumed_from, result.verified) == (note.offset, True)
    assert result.resumed_from + result.received_bytes == len(MIXED)
    assert (tmp_path / "b").read_bytes() == MIXED


@pytest.mark.parametrize("data", [MIXED, b""], ids=len)
def test_a_sink_gets_the_file(real: Server, client: Client, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    name = f"poured-{len(data)}"
    client.upload(tmp_path / "a", name, compress="auto", encrypt=[KEY]).result()
    for source in (name, f"{real.url}/files/{client.stat(name).id}"):
        found = io.BytesIO()
        result = client.download(source, found, keys=[KEY]).result()
        assert (found.getvalue() == data, result.verified, result.length) == (True, True, len(data))
    with pytest.raises(errors.WrongKey):
        client.download(name, io.BytesIO()).result()


def test_a_sink_goes_on_after_a_cut_with_no_byte_twice(
    client: Client, mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.upload(mixed, "poured-cut", compress="auto").result()
    whole, starts = CodedObject.blocks, list[int]()

    def cut(self: CodedObject, start: int, end: int, check: Any) -> Iterator[memoryview]:
        starts.append(start)
        for number, block in enumerate(whole(self, start, end, check)):
            if number == 2 and len(starts) < 3:
                raise errors.Cut("The connection was lost.")
            yield block

    monkeypatch.setattr(CodedObject, "blocks", lambda *all_of: (each for each in cut(*all_of)))
    found = io.BytesIO()
    assert client.download("poured-cut", found).result().verified
    assert found.getvalue() == MIXED
    assert starts == [0, 2 * CHUNK, 4 * CHUNK]


def test_many_at_once_share_a_budget_that_is_too_small_for_one(
    real: Server, state: Path, tmp_path: Path
) -> None:
    how: dict[str, Any] = {"compress": "auto", "encrypt": [KEY]}
    names = [f"crowd-{number}" for number in range(4)]
    with Client(real.url, state_dir=state, memory=1, chunk_size=600_000) as client:
        with client.open("crowd-stream", "wb") as stream:
            stream.write(MIXED)
            for name in names:
                (tmp_path / name).write_bytes(MIXED + name.encode())
            for up in [client.upload(tmp_path / name, name, **how) for name in names]:
                assert up.result(30).verified
            stream.write(MIXED)
        sinks = {name: io.BytesIO() for name in names}
        downs = [client.download(name, tmp_path / f"{name}.b", keys=[KEY]) for name in names]
        downs += [client.download(name, sink, keys=[KEY]) for name, sink in sinks.items()]
        for down in downs:
            assert down.result(30).verified
        assert client.stat("crowd-stream").length == 2 * len(MIXED)
    for name, sink in sinks.items():
        assert sink.getvalue() == (tmp_path / f"{name}.b").read_bytes() == MIXED + name.encode()
