"""Uploads: what reaches the server, and what happens when something goes wrong on the way."""

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.client.conftest import Carry, sample
from tests.client.fake import FakeServer
from towpath import errors
from towpath.client import Progress, words


def test_an_upload_arrives_whole_and_is_verified(
    carry: Carry, server: FakeServer, big: Path, state: Path
) -> None:
    result = carry("upload", big, "docs/")
    assert bytes(server.named("docs/big.bin").data) == big.read_bytes()
    assert (result.name, result.length, result.verified) == ("docs/big.bin", 5_000_001, True)
    assert result.crc64nvme == f"{server.named('docs/big.bin').crc:016x}"
    assert list(state.iterdir()) == []  # nothing is left to remember


def test_all_of_a_file_goes_in_one_request(carry: Carry, server: FakeServer, big: Path) -> None:
    carry("upload", big)
    assert [request[0] for request in server.requests] == ["POST", "PATCH"]


def test_a_chunk_size_cuts_the_file_into_requests(
    carry: Carry, server: FakeServer, big: Path
) -> None:
    carry("upload", big, client={"chunk_size": 2_000_000})
    assert server.count("PATCH") == 3
    assert bytes(server.named("big.bin").data) == big.read_bytes()


def test_an_empty_file_needs_no_chunk(carry: Carry, server: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    result = carry("upload", tmp_path / "empty")
    assert (result.length, result.verified, server.count("PATCH")) == (0, True, 0)


def test_a_digest_that_only_the_answer_to_an_empty_chunk_has_is_compared(
    carry: Carry, server: FakeServer, big: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, real = [], words.standing

    def late(fields: Mapping[str, str]) -> words.Standing:
        told.append(real(fields))
        return told[-1] if len(told) > 2 else told[-1]._replace(crc=None)  # bytes, look

    monkeypatch.setattr(words, "standing", late)
    assert carry("upload", big).verified
    assert [request[0] for request in server.requests][-3:] == ["PATCH", "HEAD", "PATCH"]


def test_names_and_metadata_reach_the_server_whatever_their_letters(
    carry: Carry, server: FakeServer, tmp_path: Path
) -> None:
    path = tmp_path / "größe 1.bin"
    path.write_bytes(b"x")
    result = carry("upload", path, "ä b/", metadata={"case": "42 ü"}, on_conflict="keep-both")
    metadata = server.named("ä b/größe 1.bin").metadata
    assert result.name == "ä b/größe 1.bin"
    assert metadata["case"] == "42 ü"
    assert metadata["filename"] == "größe 1.bin"
    assert metadata["on-conflict"] == "keep-both"
    assert metadata["mtime"] == str(path.stat().st_mtime_ns // 1_000_000)


def test_a_bad_metadata_key_is_refused_before_anything_is_sent(
    carry: Carry, server: FakeServer, big: Path
) -> None:
    with pytest.raises(errors.Malformed, match="two words"):
        carry("upload", big, metadata={"two words": "1"})
    assert server.requests == []


@pytest.mark.parametrize("kind", ["cut", "reset"])
@pytest.mark.parametrize("at", [0, 1, 1_048_576, 4_999_999])
def test_after_a_cut_only_the_rest_is_sent(
    carry: Carry, server: FakeServer, big: Path, kind: str, at: int
) -> None:
    server.fail("PATCH", kind, at=at)
    result = carry("upload", big)
    assert bytes(server.named("big.bin").data) == big.read_bytes()
    assert server.received == 5_000_001  # no acknowledged byte came twice
    assert result.verified


def test_many_cuts_in_a_row_are_survived_as_long_as_bytes_get_through(
    carry: Carry, server: FakeServer, big: Path
) -> None:
    for _ in range(6):
        server.fail("PATCH", "cut", at=300_000)
    result = carry("upload", big, client={"retries": 1})
    assert bytes(server.named("big.bin").data) == big.read_bytes()
    assert (server.received, result.verified) == (5_000_001, True)


def test_a_lost_final_answer_is_asked_for_and_nothing_is_sent_again(
    carry: Carry, server: FakeServer, big: Path
) -> None:
    server.fail("PATCH", "lose-answer")
    result = carry("upload", big)
    assert (server.received, server.count("PATCH"), result.verified) == (5_000_001, 1, True)


def test_a_busy_server_is_asked_again_after_the_time_it_named(
    carry: Carry, server: FakeServer, big: Path
) -> None:
    server.fail("POST", "status", status=503, fields={"Retry-After": "1"})
    result = carry("upload", big)
    assert result.verified
    assert result.seconds >= 1


def test_a_wrong_offset_is_corrected_by_the_server(
    carry: Carry, server: FakeServer, big: Path
) -> None:
    server.fail("PATCH", "cut", at=2_000_000)
    server.fail("HEAD", "status", status=200, fields={"Upload-Offset": "7"})  # stale
    result = carry("upload", big)
    assert bytes(server.named("big.bin").data) == big.read_bytes()
    assert (server.received, result.verified) == (5_000_001, True)
    assert server.count("HEAD") == 2


def test_an_early_refusal_stops_the_sending(
    carry: Carry, server: FakeServer, tmp_path: Path
) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(200_000_000)
    problem = b'{"title": "It is too large", "code": "too-large", "todo": "Split it."}'
    server.fail(
        "PATCH",
        "early",
        at=100_000,
        status=413,
        fields={
            "Content-Type": "application/problem+json",
            "Content-Length": str(len(problem)),
        },
        body=problem,
    )
    sent = []
    with pytest.raises(errors.TooLarge, match=r"It is too large\. Split it\."):
        carry("upload", path, progress=lambda p: sent.append(p.sent_bytes))
    assert sent[-1] < 100_000_000


def test_a_proxy_that_takes_only_small_bodies_gets_small_ones(
    carry: Carry, server: FakeServer, big: Path
) -> None:
    refusal = {"Tus-Resumable": ""}
    server.fail("PATCH", "status", status=413, fields=refusal)
    result = carry("upload", big)
    assert (server.count("PATCH"), result.verified) == (4, True)


def test_an_informational_answer_is_passed_over(
    carry: Carry, server: FakeServer, big: Path
) -> None:
    server.fail("PATCH", "informational", at=1_000_000)
    assert carry("upload", big).verified
    assert server.count("PATCH") == 1


def test_an_upload_that_the_server_lost_begins_anew(
    carry: Carry, server: FakeServer, big: Path
) -> None:
    server.fail("PATCH", "cut", at=1_000_000)
    server.fail("HEAD", "status", status=410)
    assert carry("upload", big).verified
    assert server.count("POST") == 2


def test_a_refusal_is_not_tried_again(carry: Carry, server: FakeServer, big: Path) -> None:
    server.token = "secret"
    with pytest.raises(errors.Unauthenticated):
        carry("upload", big)
    assert len(server.requests) == 1


def test_a_token_goes_with_every_request(carry: Carry, server: FakeServer, big: Path) -> None:
    server.token = "secret"
    assert carry("upload", big, client={"token": "secret"}).verified


def test_nobody_answering_ends_after_the_retries(
    carry: Carry, server: FakeServer, big: Path
) -> None:
    server.close()
    seen: list[Progress] = []
    with pytest.raises(errors.ServerUnreachable, match="Nobody answers"):
        carry("upload", big, client={"retries": 3}, progress=seen.append)
    assert (seen[-1].state, seen[-1].retries) == ("failed", 3)


def test_a_wrong_digest_is_an_error_and_the_wrong_upload_is_removed(
    carry: Carry, server: FakeServer, big: Path, state: Path
) -> None:
    server.fail("PATCH", "wrong-digest")
    with pytest.raises(errors.DigestMismatch, match="The upload was removed"):
        carry("upload", big)
    assert (server.uploads, list(state.iterdir())) == ({}, [])


def test_a_server_without_digests_is_taken_at_its_word(
    carry: Carry, server: FakeServer, big: Path
) -> None:
    server.digests = False
    result = carry("upload", big)
    assert (result.verified, result.name) == (False, "big.bin")


def test_without_verify_nothing_is_computed(carry: Carry, big: Path) -> None:
    result = carry("upload", big, client={"verify": False})
    assert (result.crc64nvme, result.verified) == (None, False)


def test_a_file_that_changes_while_it_is_sent_never_becomes_complete(
    carry: Carry, server: FakeServer, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    path.write_bytes(sample(30_000_000))
    server.fail("PATCH", "hold", at=100_000)

    def change() -> None:
        server.wait_for(100_000)
        with path.open("ab") as file:
            file.write(b"more")
        server.release.set()

    threading.Thread(target=change).start()
    with pytest.raises(errors.SourceChanged, match="size was 30000000, is 30000004"):
        carry("upload", path)
    assert not any(upload.complete for upload in server.uploads.values())


def test_a_missing_file_is_said_to_be_missing(carry: Carry, tmp_path: Path) -> None:
    with pytest.raises(errors.NotFound, match="no file"):
        carry("upload", tmp_path / "nothing")


def test_a_stream_is_uploaded_in_chunks_and_survives_cuts(carry: Carry, server: FakeServer) -> None:
    data = sample(5_000_001)
    server.fail("PATCH", "cut", at=700_000)
    server.fail("PATCH", "lose-answer")
    result = carry("upload", io.BytesIO(data), "a/pipe", client={"chunk_size": 2_000_000})
    assert bytes(server.named("a/pipe").data) == data
    assert (server.received, result.length, result.verified) == (len(data), len(data), True)


def test_a_stream_without_a_name_is_refused(carry: Carry) -> None:
    with pytest.raises(errors.Malformed, match="needs a name"):
        carry("upload", io.BytesIO(b"x"))


def test_memory_does_not_grow_with_the_file(server: FakeServer, tmp_path: Path) -> None:
    server.keep = False
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(256 * 1024 * 1024)
    (tmp_path / "small").write_bytes(b"x")
    program = """
import sys, json, resource, towpath
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
with towpath.Client(sys.argv[1], state_dir=sys.argv[2] + "/state") as client:
    client.upload(sys.argv[2] + "/small").result()
    before = peak()
    result = client.upload(sys.argv[2] + "/large").result()
    print(json.dumps([result.verified, peak() - before]))
"""
    ran = subprocess.run(
        [sys.executable, "-c", program, server.url, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": "src"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    verified, grown = json.loads(ran.stdout)
    assert verified
    assert grown <= 32 * 1024 * 1024
