"""Small files, which go in one request."""

from __future__ import annotations

import signal
import subprocess
import sys
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.client.conftest import Carry, sample
from tests.client.fake import FakeServer
from towpath import errors
from towpath.client import Client
from towpath.client.peer import Exchange, Reply
from towpath.client.resume import Notebook
from towpath.client.whole import SMALL
from towpath.testing.server import Server

KNOWN = "creation,creation-with-upload,checksum"


@pytest.fixture
def able(server: FakeServer) -> FakeServer:
    """A server that takes bytes together with the creation."""
    server.extensions = KNOWN
    return server


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.bin"
    path.write_bytes(sample(5_000))
    return path


def posts(server: FakeServer) -> list[dict[str, str]]:
    return [fields for method, _, fields in server.requests if method == "POST"]


def test_a_small_file_goes_in_one_request(
    carry: Carry, able: FakeServer, small: Path, state: Path
) -> None:
    result = carry("upload", small, "docs/", metadata={"case": "42"})
    assert [method for method, _, _ in able.requests] == ["OPTIONS", "POST"]
    made = able.named("docs/small.bin")
    assert (bytes(made.data), made.metadata["case"]) == (small.read_bytes(), "42")
    assert (result.length, result.sent_bytes, result.resumed_from) == (5_000, 5_000, 0)
    assert (result.verified, result.crc64nvme) == (True, f"{made.crc:016x}")
    assert result.url == f"{able.url}files/{made.id}"
    assert list(state.iterdir()) == []  # nothing is left to remember
    digest = b64encode(sha256(small.read_bytes()).digest()).decode()
    assert posts(able)[0]["upload-checksum"] == f"sha256 {digest}"


def test_what_the_server_can_do_is_asked_once(
    able: FakeServer, tmp_path: Path, state: Path
) -> None:
    with Client(able.url, state_dir=state) as client:
        for number in range(3):
            (tmp_path / str(number)).write_bytes(b"x" * number)
            client.upload(tmp_path / str(number)).result()
    assert (able.count("OPTIONS"), able.count("POST"), able.count("PATCH")) == (1, 3, 0)
    assert [upload.size for upload in able.uploads.values()] == [0, 1, 2]


def test_no_disk_is_waited_for(
    carry: Carry, able: FakeServer, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(_: int) -> None:
        raise AssertionError("a small file needs no note that outlives a power cut")

    monkeypatch.setattr("towpath.client.sealed.os.fsync", never)
    assert carry("upload", small).verified


@pytest.mark.parametrize("size", [SMALL, SMALL + 1])
def test_what_is_longer_goes_the_long_way(
    carry: Carry, able: FakeServer, tmp_path: Path, size: int
) -> None:
    path = tmp_path / "file"
    path.write_bytes(sample(size))
    assert carry("upload", path).verified
    assert able.count("PATCH") == (size > SMALL)


@pytest.mark.parametrize("known", ["", "creation", "creation-with-upload", "checksum"])
def test_a_server_that_does_not_know_how_gets_it_the_long_way(
    carry: Carry, server: FakeServer, small: Path, known: str
) -> None:
    server.extensions = known
    assert carry("upload", small).verified
    assert (server.count("POST"), server.count("PATCH")) == (1, 1)


def test_a_server_that_cannot_be_asked_gets_it_the_long_way(
    carry: Carry, able: FakeServer, small: Path
) -> None:
    able.fail("OPTIONS", "status", status=404)
    assert carry("upload", small).verified
    assert able.count("PATCH") == 1


def test_a_chunk_size_below_the_file_s_is_kept_to(
    carry: Carry, able: FakeServer, small: Path
) -> None:
    carry("upload", small, client={"chunk_size": 2_000})
    assert able.count("PATCH") == 3


def test_without_verifying_no_digest_is_sent(carry: Carry, able: FakeServer, small: Path) -> None:
    result = carry("upload", small, client={"verify": False})
    assert (result.verified, result.crc64nvme) == (False, None)
    assert "upload-checksum" not in posts(able)[0]


def test_every_try_of_one_upload_has_the_same_mark_and_no_other_has(
    carry: Carry, able: FakeServer, small: Path
) -> None:
    able.fail("POST", "cut")
    able.fail("POST", "lose-answer")
    able.fail("POST", "status", status=503)
    carry("upload", small)
    carry("upload", small)
    marks = [upload.metadata["attempt"] for upload in able.uploads.values()]
    assert (len(posts(able)), len(marks), len(set(marks))) == (5, 3, 2)


def test_a_busy_server_is_asked_again_after_the_time_it_named(
    carry: Carry, able: FakeServer, small: Path
) -> None:
    able.fail("POST", "status", status=429, fields={"Retry-After": "1"})
    assert carry("upload", small).seconds >= 1


def test_bytes_that_changed_on_the_way_are_sent_again(
    carry: Carry, able: FakeServer, small: Path
) -> None:
    able.add("broken", b"")
    able.fail("POST", "status", status=460, fields={"Location": "/files/u0"})
    assert carry("upload", small).verified
    assert (len(posts(able)), able.count("DELETE")) == (2, 1)


def test_a_refusal_is_final_and_nothing_is_remembered(
    carry: Carry, able: FakeServer, small: Path, state: Path
) -> None:
    able.fail("POST", "status", status=403)
    with pytest.raises(errors.Forbidden):
        carry("upload", small)
    assert (len(posts(able)), list(state.iterdir())) == (1, [])


def test_a_server_that_is_away_for_good_is_remembered_with_the_mark(
    carry: Carry, able: FakeServer, small: Path, state: Path
) -> None:
    for _ in range(3):
        able.fail("POST", "status", status=503)
    with pytest.raises(errors.TransferError):
        carry("upload", small, client={"retries": 2})
    (note,) = Notebook(state).all()
    assert (note.path, note.name) == (str(small), "small.bin")
    carry("resume", note)
    assert able.named("small.bin").metadata["attempt"] == f"{int(note.created_at * 1_000_000):x}"
    assert list(state.iterdir()) == []


def test_a_file_that_changed_meanwhile_is_another_upload(
    carry: Carry, able: FakeServer, small: Path, state: Path
) -> None:
    able.fail("POST", "status", status=503)
    with pytest.raises(errors.TransferError):
        carry("upload", small, client={"retries": 0})
    (note,) = Notebook(state).all()
    small.write_bytes(b"another")
    carry("upload", small)
    assert bytes(able.named("small.bin").data) == b"another"
    assert able.named("small.bin").metadata["attempt"] != f"{int(note.created_at * 1_000_000):x}"


def test_a_remembered_one_that_has_grown_goes_the_long_way(
    carry: Carry, able: FakeServer, small: Path
) -> None:
    able.fail("POST", "status", status=503)
    with pytest.raises(errors.TransferError):
        carry("upload", small, client={"retries": 0})
    small.write_bytes(sample(SMALL + 1))
    assert carry("upload", small).verified
    assert able.count("PATCH") == 1


def test_a_wrong_digest_of_the_whole_is_told_and_taken_away(
    carry: Carry, able: FakeServer, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.client.fake_facts.digest", lambda _: "crc64nvme=:AAAAAAAAAAE=:")
    with pytest.raises(errors.DigestMismatch, match="are not its bytes"):
        carry("upload", small)
    assert able.count("DELETE") >= 1


def test_a_lost_answer_makes_no_second_object(
    real: Server, small: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[Reply] = []
    usual = Exchange.reply

    def lose(self: Exchange, **how: Any) -> Reply:
        reply = usual(self, **how)
        if reply.status == 201 and len(lost) < 2:
            lost.append(reply)
            raise errors.Cut("The answer was lost.")
        return reply

    monkeypatch.setattr(Exchange, "reply", lose)
    with Client(real.url, state_dir=state) as client:
        result = client.upload(small, "lost/one.bin").result()
        assert [record.path for record in client.names("lost/")] == ["lost/one.bin"]
        assert (result.name, result.verified, len(lost)) == ("lost/one.bin", True, 2)
        second = client.upload(small, "lost/one.bin").result()  # which is asked for
        assert second.name == "lost/one (2).bin"


KILLED = """
import os, signal, sys
from towpath.client import Client
from towpath.client.peer import Exchange
usual = Exchange.reply
def reply(self, **how):
    said = usual(self, **how)
    if said.status == 201:
        os.kill(os.getpid(), signal.SIGKILL)
    return said
Exchange.reply = reply
url, path, state = sys.argv[1:]
Client(url, state_dir=state).upload(path, "killed/one.bin").result()
"""


def test_a_kill_between_the_answer_and_its_note_makes_no_second_object(
    real: Server, small: Path, state: Path
) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, real.url, small, state], check=False)
    assert done.returncode == -signal.SIGKILL
    with Client(real.url, state_dir=state) as client:
        (note,) = client.unfinished()
        assert client.resume(note).result().name == "killed/one.bin"
        assert [record.path for record in client.names("killed/")] == ["killed/one.bin"]
        assert client.unfinished() == []


def test_many_at_once_over_kept_connections_all_arrive(
    real: Server, tmp_path: Path, state: Path
) -> None:
    paths = [tmp_path / f"{number:03}" for number in range(60)]
    for number, path in enumerate(paths):
        path.write_bytes(sample(number * 37))
    with Client(real.url, state_dir=state, parallel=16) as client:
        transfers = [client.upload(path, f"many/{path.name}") for path in paths]
        assert all(transfer.result().verified for transfer in transfers)
        records = {record.path: record.length for record in client.names("many/")}
    assert records == {f"many/{path.name}": path.stat().st_size for path in paths}
    assert list(state.iterdir()) == []
