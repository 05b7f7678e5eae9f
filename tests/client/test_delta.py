"""Uploads of what has changed, against a real server: bytes are counted on the wire."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.client.awaited import Either
from tests.web.ranging import Ranger
from tests.web.running import House, Served
from tests.web.tokens import token, write_tokens
from towpath import errors
from towpath.client import Client, UploadResult
from towpath.client.delta_talk import Talk
from towpath.codec.cdc import CUTS
from towpath.protocol.ranges import Copy
from towpath.testing.plan import Fault, Lane, Plan
from towpath.testing.server import Server
from towpath.testing.wire import Wire, threaded

MIB = 1 << 20
AVERAGE = CUTS["v1-256k"].average
ONE_SIDE = pytest.mark.parametrize("either", [Client], ids=["blocking"])  # where both cost much
LITTLE = 64 * 1024  # bytes on the wire, in both directions, when nothing is to be sent


@dataclass
class Place:
    """A client of a server behind a wire that counts."""

    served: Served
    wire: Wire
    folder: Path
    name: str
    side: Either

    def client(self, **more: Any) -> AbstractContextManager[Client]:
        url = "http://{}:{}".format(*self.wire.address)
        return self.side(url, state_dir=self.folder / "state", **more)

    def put(self, data: bytes, name: str = "", **more: Any) -> tuple[UploadResult, int]:
        """Upload these bytes as the file; the result, and what went over the wire."""
        path = self.folder / "file"
        path.write_bytes(data)
        before = self.wire.up + self.wire.down
        with self.client() as client:
            said = {"on_conflict": "replace", "delta": True, **more}
            result = client.upload(path, name or self.name, **said).result()
        return result, self.wire.up + self.wire.down - before

    def get(self, name: str = "") -> bytes:
        """What the server has under the name."""
        with self.client() as client:
            path = self.folder / "copy"
            client.download(name or self.name, path, overwrite=True).result()
        return path.read_bytes()

    @contextmanager
    def stalling(self, after: int) -> Iterator[Callable[[], None]]:
        """Every new connection sticks after so many bytes; what is given waits for one to."""
        before = self.wire.up
        self.wire.plan = lambda _: Plan(up=Lane(fault=Fault.STALL, at=after))
        yield lambda: self.wire.when(lambda: self.wire.up >= before + after).result(20)
        self.wire.plan = lambda _: Plan()

    @property
    def ranger(self) -> Ranger:
        return Ranger(self.served)


@pytest.fixture
def place(direct: Served, tmp_path: Path, either: Either) -> Iterator[Place]:
    with threaded(Wire(*direct.address)) as wire:
        yield Place(direct, wire, tmp_path, f"delta/{tmp_path.name}", either)


def sample(size: int, seed: int | str) -> bytes:
    return random.Random(seed).randbytes(size)


@ONE_SIDE
def test_of_one_byte_in_the_middle_three_chunks_travel_at_most(place: Place) -> None:
    data = sample(32 * MIB, 1)
    _, first = place.put(data)
    assert first > len(data)
    new = data[: 16 * MIB] + b"x" + data[16 * MIB :]
    result, travelled = place.put(new)
    assert travelled <= 3 * AVERAGE
    assert 0 < result.sent_bytes < travelled
    assert (result.name, result.length, result.verified) == (place.name, len(new), True)
    assert place.get() == new
    with place.client() as client:
        record = client.stat(place.name)
    assert (record.digests["crc64nvme"], record.length) == (result.crc64nvme, len(new))
    assert place.ranger.have(hashlib.sha256(new).digest()) == [record.id]
    assert place.ranger.have(hashlib.sha256(data).digest()) == []  # replaced, and gone


def test_of_a_file_that_is_there_nothing_is_sent(place: Place) -> None:
    data = sample(8 * MIB, 2)
    place.put(data)
    for name in (place.name, place.name + " again"):
        result, travelled = place.put(data, name)
        assert (result.sent_bytes, result.verified, result.name) == (0, True, name)
        assert travelled <= LITTLE
        assert place.get(name) == data


@ONE_SIDE
def test_a_file_that_plain_put_brought_is_known_too(place: Place) -> None:
    data = sample(2 * MIB, 3)
    place.put(data, delta=False)
    assert place.put(data)[1] <= LITTLE
    new = data + b"and more"
    assert place.put(new)[1] <= 3 * AVERAGE
    assert place.get() == new


@ONE_SIDE
@pytest.mark.parametrize("change", ["begin", "end", "cut", "swap", "none of it", "empty"])
def test_what_arrives_is_the_file_whatever_has_changed(place: Place, change: str) -> None:
    data = sample(4 * MIB, 4)
    new = {
        "begin": b"first" + data,
        "end": data + b"last",
        "cut": data[: 2 * MIB + 7],
        "swap": data[3 * MIB :] + data[: 3 * MIB],
        "none of it": sample(4 * MIB, 5),
        "empty": b"",
    }[change]
    place.put(data)
    result, _ = place.put(new)
    assert place.get() == new
    assert result.sent_bytes <= (len(new) if change == "none of it" else len(new) // 2)


@ONE_SIDE
def test_without_being_told_to_replace_both_are_kept(place: Place) -> None:
    data = sample(2 * MIB, 6)
    place.put(data)
    result, _ = place.put(data + b"!", on_conflict="keep-both")
    assert result.name == f"{place.name} (2)"
    assert (place.get(), place.get(result.name)) == (data, data + b"!")
    with pytest.raises(errors.NameConflict):
        place.put(data + b"?", on_conflict="fail")
    assert place.get() == data


@ONE_SIDE
def test_after_a_cut_it_goes_on_where_it_was(place: Place) -> None:
    data = sample(12 * MIB, 7)
    place.put(data[: 8 * MIB])
    before = place.wire.up
    cutting = place.wire.when(lambda: place.wire.up - before > 2 * MIB)
    cutting.add_done_callback(lambda _: place.wire.sever())
    result, _ = place.put(data)
    assert place.get() == data
    assert result.verified
    assert result.sent_bytes < 10 * MIB  # 4 are new; what was on its way may come again


def test_an_upload_that_was_left_is_taken_up_by_another_process(place: Place) -> None:
    data = sample(16 * MIB, place.name)  # else the server has it of the other client
    place.put(data[: 8 * MIB])
    path = place.folder / "file"
    path.write_bytes(data)
    with place.client() as client:
        with place.stalling(4 * MIB) as stalled:
            transfer = client.upload(path, place.name, on_conflict="replace", delta=True)
            stalled()
            transfer.pause()
        assert client.unfinished() != []
    with place.client() as client:
        (note,) = client.unfinished()
        assert place.get() == data[: 8 * MIB]  # the name has what it had
        result = client.resume(note).result()
    assert 7 * MIB < result.resumed_from < len(data)
    assert result.sent_bytes == len(data) - result.resumed_from
    assert place.get() == data


@ONE_SIDE
def test_what_is_given_up_leaves_nothing(place: Place) -> None:
    data = sample(16 * MIB, 9)
    place.put(data[: 8 * MIB])
    kept = place.served.files()
    path = place.folder / "file"
    path.write_bytes(data)
    with place.client() as client:
        with place.stalling(2 * MIB) as stalled:
            transfer = client.upload(path, place.name, on_conflict="replace", delta=True)
            stalled()
        transfer.cancel()
        assert client.unfinished() == []
    assert place.served.files() == kept
    assert place.get() == data[: 8 * MIB]


@ONE_SIDE
def test_a_file_that_changed_since_is_begun_anew(place: Place) -> None:
    data = sample(16 * MIB, 10)
    path = place.folder / "file"
    path.write_bytes(data)
    with place.client() as client:
        with place.stalling(2 * MIB) as stalled:
            transfer = client.upload(path, place.name, on_conflict="replace", delta=True)
            stalled()
            transfer.pause()
        (left,) = (u for u in client.uploads() if u.name == place.name)
    place.put(b"another")
    assert place.get() == b"another"
    with place.client() as client:
        assert left.id not in {upload.id for upload in client.uploads()}


@ONE_SIDE
def test_a_base_that_goes_meanwhile_is_done_without(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = sample(4 * MIB, 11)
    asked = Talk.told

    def told(talk: Talk, command: Any) -> Any:
        if isinstance(command, Copy):
            with place.client() as client:
                client.remove(place.name)
        return asked(talk, command)

    monkeypatch.setattr(Talk, "told", told)
    place.put(data)
    result, _ = place.put(data + b"!")
    assert result.sent_bytes == len(data) + 1
    assert place.get() == data + b"!"


def test_a_file_that_changes_while_it_is_read_is_noticed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = sample(4 * MIB, 12)
    place.put(data)
    path, asked = place.folder / "file", Talk.send

    def send(talk: Talk, *args: Any) -> Any:
        os.utime(path, ns=(1, 1))
        return asked(talk, *args)

    monkeypatch.setattr(Talk, "send", send)
    with pytest.raises(errors.SourceChanged):
        place.put(data + b"!")
    assert place.get() == data


def test_bytes_that_change_unnoticed_are_refused_by_the_server(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = sample(4 * MIB, 13)
    place.put(data)
    path, asked = place.folder / "file", Talk.send

    def send(talk: Talk, *args: Any) -> Any:
        stat = path.stat()
        with path.open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"?")
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        return asked(talk, *args)

    monkeypatch.setattr(Talk, "send", send)
    with pytest.raises(errors.DigestMismatch):
        place.put(data + b"!")
    assert place.get() == data
    with place.client() as client:
        assert client.unfinished() == []


def test_who_may_only_write_sends_all_of_it(house: House, tmp_path: Path) -> None:
    data = sample(2 * MIB, 14)
    (tmp_path / "file").write_bytes(data)
    served = house.get("direct", tokens=write_tokens(tmp_path / "tokens.toml"))
    with Client(served.url, token("alice"), state_dir=tmp_path / "a") as client:
        client.upload(tmp_path / "file", "held").result()
    with Client(served.url, token("writer"), state_dir=tmp_path / "b") as client:
        transfer = client.upload(tmp_path / "file", "held", on_conflict="replace", delta=True)
        result = transfer.result()
    assert (result.sent_bytes, result.verified) == (len(data), True)


def test_a_server_that_is_killed_amid_copies_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("towpath.client.retry._LONGEST", 0.2)
    data, asked = sample(32 * MIB, 15), Talk.told
    new = data[: 16 * MIB] + b"x" + data[16 * MIB :]
    path, killed = tmp_path / "file", list[threading.Timer]()
    with Server(tmp_path / "server") as server:

        def told(talk: Talk, command: Any) -> Any:
            if isinstance(command, Copy) and not killed:
                killed.append(threading.Timer(0.02, server.restart))
                killed[0].start()
            return asked(talk, command)

        monkeypatch.setattr(Talk, "told", told)
        with Client(server.url, state_dir=tmp_path / "state", retries=1000) as client:
            path.write_bytes(data)
            client.upload(path, "a").result()
            path.write_bytes(new)
            result = client.upload(path, "a", on_conflict="replace", delta=True).result()
            killed[0].join()
            client.download("a", tmp_path / "copy").result()
    assert (tmp_path / "copy").read_bytes() == new
    assert result.sent_bytes <= 6 * AVERAGE


@ONE_SIDE
def test_a_client_that_is_killed_is_followed_by_one_that_sends_the_rest(place: Place) -> None:
    data = sample(16 * MIB, 16)
    place.put(data[: 8 * MIB])
    path = place.folder / "file"
    path.write_bytes(data)
    environment = {
        **os.environ,
        "TOWPATH_URL": "http://{}:{}".format(*place.wire.address),
        "XDG_STATE_HOME": str(place.folder / "xdg"),
        "PYTHONPATH": "src",
    }
    command = [sys.executable, "-m", "towpath", "put", str(path), place.name, "--delta", "--json"]
    with place.stalling(4 * MIB) as stalled:
        with subprocess.Popen(command, env=environment) as first:
            stalled()
            first.send_signal(signal.SIGKILL)
        place.wire.sever()
    assert place.get() == data[: 8 * MIB]
    second = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    (result,) = (
        said
        for line in second.stdout.splitlines()
        if (said := json.loads(line))["type"] == "result"
    )
    assert result["resumed_from"] > 7 * MIB
    assert result["sent_bytes"] == len(data) - result["resumed_from"]
    assert place.get() == data
