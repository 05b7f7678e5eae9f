"""Streams and open files against a real server, through kills on both sides."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from towpath import errors
from towpath.client import Client
from towpath.testing.plan import Fault, seeded
from towpath.testing.server import Server
from towpath.testing.wire import Wire, threaded

DATA = Random(3).randbytes(30_000_000)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("sources") / "server") as server:
        yield server


@pytest.fixture
def client(server: Server, tmp_path: Path) -> Iterator[Client]:
    with Client(server.url, state_dir=tmp_path / "state", retries=100) as client:
        yield client


@pytest.fixture(autouse=True)
def _nothing_stays(client: Client) -> Iterator[None]:
    """Each test has the server for itself."""
    yield
    for name in list(client.names()):
        client.remove(name.path)
    for upload in list(client.uploads()):
        client.cancel(upload.id)


def read(client: Client, name: str) -> bytes:
    return b"".join(client.blocks(name))


@pytest.mark.parametrize("kind", ["bytes", "generator"])
def test_a_stream_outlives_the_server(server: Server, client: Client, kind: str) -> None:
    def pieces() -> Iterator[bytes]:
        for start in range(0, len(DATA), 100_000):
            if start == 15_000_000:
                server.kill()
                server.start()
            yield DATA[start : start + 100_000]

    class Killing(io.BytesIO):
        def readinto(self, buffer: Any) -> int:
            if self.tell() == 15 * 2**20:
                server.kill()
                server.start()
            return super().readinto(buffer)

    result = client.upload(pieces() if kind == "generator" else Killing(DATA), "x").result()
    assert (result.length, result.verified) == (len(DATA), True)
    assert read(client, "x") == DATA


@contextmanager
def breaking(server: Server, seed: int, state: Path) -> Iterator[Client]:
    """A client whose every connection to the server is cut, within its first 4 MiB."""
    plan = seeded(seed, [Fault.RESET], 4 * 2**20)
    with threaded(Wire("127.0.0.1", server.port, plan=plan)) as wire:
        host, port = wire.address
        with Client(f"http://{host}:{port}", state_dir=state, retries=200) as client:
            yield client
    assert wire.opened > len(DATA) // (4 * 2**20)


@pytest.mark.timeout(120)
def test_a_line_that_breaks_at_random_loses_and_doubles_nothing(
    server: Server,
    client: Client,
    commit_seed: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("towpath.client.retry._LONGEST", 0.05)
    draw = Random(commit_seed)
    with breaking(server, commit_seed, tmp_path) as shaky:
        pieces = (DATA[start : start + 70_000] for start in range(0, len(DATA), 70_000))
        assert shaky.upload(pieces, "x").result().verified
        with shaky.open("y", "wb") as writer:
            writer.write(DATA)
        assert read(shaky, "y") == DATA
        found = io.BytesIO()
        assert shaky.download("x", found).result().verified
        assert found.getvalue() == DATA
        with shaky.open("x") as file:
            for _ in range(50):
                start, size = draw.randrange(len(DATA)), draw.choice([10, 100_000, 2_000_000])
                file.seek(start)
                assert file.read(size) == DATA[start : start + size]
    assert sorted(name.path for name in client.names()) == ["x", "y"]


def test_a_fingerprint_goes_on_after_the_process_was_killed(
    server: Server, client: Client, tmp_path: Path
) -> None:
    program = f"""
import random, sys, time
from towpath import Client
data = random.Random(3).randbytes(30_000_000)
def pieces():
    for start in range(0, len(data), 1_000_000):
        if start == 20_000_000:
            print("there", flush=True)
            time.sleep(60)
        yield data[start : start + 1_000_000]
with Client({server.url!r}, state_dir={str(tmp_path / "state")!r}) as client:
    client.upload(pieces(), "x", fingerprint="the same").result()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env={**os.environ}
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"there\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    result = client.upload(DATA, "y", fingerprint="another").result()
    assert result.resumed_from == 0  # a name and a word of its own
    result = client.upload(iter([DATA]), "x", fingerprint="the same").result()
    assert 8 * 2**20 <= result.resumed_from <= 20_000_000  # two windows, if none lingered
    assert (result.sent_bytes, result.verified) == (len(DATA) - result.resumed_from, True)
    assert read(client, "x") == DATA


def test_an_open_file_outlives_the_server(server: Server, client: Client) -> None:
    client.upload(DATA, "x").result()
    with client.open("x") as file:
        first = file.read(10_000_000)
        server.kill()
        server.start()
        assert first + file.read() == DATA


def test_an_object_that_was_replaced_is_never_mixed(server: Server, client: Client) -> None:
    client.upload(DATA, "x").result()
    with client.open("x") as file:
        assert file.read(1000) == DATA[:1000]
        client.upload(DATA[::-1], "x", on_conflict="replace").result()
        file.seek(20_000_000)
        with pytest.raises((errors.NotFound, errors.NameConflict), match="replaced"):
            file.read(1000)
    assert read(client, "x") == DATA[::-1]


def test_an_archive_is_written_and_read_in_part(server: Server, client: Client) -> None:
    with client.open("a.zip", "wb") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("large", DATA)
        archive.writestr("small", b"wanted")
    with client.open("a.zip") as found, zipfile.ZipFile(found) as archive:
        assert archive.read("small") == b"wanted"
        assert archive.testzip() is None


def test_what_is_given_up_leaves_nothing(server: Server, client: Client) -> None:
    file = client.open("x", "wb")

    def spoil() -> None:
        file.write(DATA)
        raise KeyError("mine")

    with pytest.raises(KeyError), file:
        spoil()
    assert list(client.names()) == []
    assert list(client.uploads()) == []


def test_a_record_of_a_name_tells_the_metadata_of_every_dialect(
    server: Server, client: Client
) -> None:
    client.upload(b"by tus", "tus", metadata={"case": "ü 42"}).result()
    assert client.stat("tus").metadata["case"] == "ü 42"
    ask = urllib.request.Request(
        f"{server.url}/ranges/",
        method="POST",
        data=json.dumps({"length": 0, "name": "ranges", "metadata": {"a": "b", "n": 1}}).encode(),
    )
    urllib.request.urlopen(ask, timeout=10).close()
    urllib.request.urlopen(
        urllib.request.Request(f"{server.url}/names/put", method="PUT", data=b"x"), timeout=10
    ).close()
    ends = time.monotonic() + 10
    while len(found := {name.path: dict(name.metadata) for name in client.names()}) < 3:
        assert time.monotonic() < ends, found
    assert (found["ranges"], found["put"]) == ({"a": "b"}, {})
