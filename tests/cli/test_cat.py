"""`towpath cat`: objects on stdout, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from random import Random

import pytest

from tests.cli.conftest import Run
from tests.client.fake import FakeServer
from tests.web.running import Served
from tests.web.talk import Tus, metadata
from towpath.client.outflow import Outflow
from towpath.client.peer import Peer
from towpath.errors import Cut, DigestMismatch, NameConflict

CONTENT = Random(7).randbytes(3_000_000)
Start = Callable[..., "subprocess.Popen[str]"]


def put(served: Served, name: str, content: bytes) -> str:
    return Tus(served).put(content, upload_metadata=metadata(name=name))


def bytes_of(*args: str) -> subprocess.CompletedProcess[bytes]:
    words = [sys.executable, "-m", "towpath", "cat", *args]
    return subprocess.run(words, capture_output=True, check=False)


def test_objects_come_one_after_the_other_and_nothing_else(live: Served) -> None:
    put(live, "a/one", CONTENT)
    put(live, "a/ü two", b"and more")
    ran = bytes_of("a/one", "a/ü two")
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert ran.stdout == CONTENT + b"and more"


def test_a_link_is_read_without_a_name(live: Served, run: Run) -> None:
    put(live, "a", b"by a link")
    link = run("link", "a").out.strip()
    assert bytes_of(link).stdout == b"by a link"


def test_whoever_reads_may_go_away(live: Served) -> None:
    put(live, "a", CONTENT)
    script = f"set -o pipefail; {sys.executable} -m towpath cat a | head -c 10 | wc -c"
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout.strip(), ran.stderr) == (0, "10", "")


@pytest.mark.parametrize(("name", "code"), [("nothing", 4), ("folder/", 2), ("", 2)])
def test_what_is_no_object_is_an_error_on_stderr(
    live: Served, run: Run, name: str, code: int
) -> None:
    put(live, "folder/a", b"x")
    ran = run("cat", name)
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith("towpath: ")


@pytest.fixture
def reading(server: FakeServer) -> Iterator[Outflow]:
    """Of an object that the fake server has, by its address, with no wait between tries."""
    upload = server.add("a", CONTENT)
    peer = Peer(server.url, timeout=10)
    yield Outflow(peer, f"{server.url}files/{upload.id}", retries=2, sleep=lambda _: None)
    peer.done_with()


def test_a_line_that_breaks_is_dialled_again_and_no_byte_comes_twice(
    server: FakeServer, reading: Outflow
) -> None:
    server.fail_download("cut", at=1_000_000)
    server.fail_download("cut", at=1_000_000)
    assert b"".join(bytes(block) for block in reading.blocks()) == CONTENT
    asked = [request[2].get("range") for request in server.requests]
    assert asked == [None, "bytes=1000000-", "bytes=2000000-"]


def test_a_line_that_breaks_again_and_again_without_a_byte_is_given_up(
    server: FakeServer, reading: Outflow
) -> None:
    for _ in range(3):
        server.fail_download("cut", at=0)
    with pytest.raises(Cut):
        list(reading.blocks())


def test_bytes_that_are_not_the_announced_ones_are_told_of(
    server: FakeServer, reading: Outflow
) -> None:
    server.fail_download("wrong-digest")
    with pytest.raises(DigestMismatch):
        list(reading.blocks())


def test_a_name_that_is_replaced_meanwhile_is_not_mixed(
    server: FakeServer, reading: Outflow
) -> None:
    server.fail_download("cut", at=1_000_000)
    blocks = reading.blocks()
    next(blocks)
    upload = server.named("a")
    upload.data[:] = bytes(len(CONTENT))
    upload.crc = 1  # another ETag
    with pytest.raises(NameConflict):
        list(blocks)
