"""/ranges: what is here already is copied here; and nothing is told or used of what others have."""

from __future__ import annotations

import hashlib
import json
import random
import secrets
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.web.ranging import Ranger
from tests.web.running import House, Served
from tests.web.talk import Answer, require_problem
from tests.web.tokens import write_tokens
from towpath.codec.cdc import CUTS, chunks, read_map
from towpath.core.crc import crc
from towpath.core.digest import CRC64NVME, crc_bytes
from towpath.core.state import UploadState
from towpath.protocol import ranges
from towpath.web.reuse import MOST_AT_ONCE

OLD = random.Random(5).randbytes(1_500_000)
NEW = OLD[:600_000] + b"in between" + OLD[700_000:]
PROOF = {"sha-256": hashlib.sha256(NEW).digest(), CRC64NVME: crc_bytes(crc(NEW))}
RUNS = ((0, 600_000, 0), (700_000, 1_500_000, 600_010))


@pytest.fixture(params=["direct", "plain", "granian", "tls"])
def client(house: House, request: pytest.FixtureRequest) -> Ranger:
    return Ranger(house.get(request.param))


@pytest.fixture
def ranger(direct: Served) -> Ranger:
    return Ranger(direct)


@pytest.fixture(scope="module")
def guarded(house: House, tmp_path_factory: pytest.TempPathFactory) -> Served:
    tokens = write_tokens(tmp_path_factory.mktemp("tokens") / "tokens.toml")
    return house.get("direct", tokens=tokens)


def hold(ranger: Ranger, data: bytes = OLD, **more: Any) -> str:
    """An object that is there."""
    key = ranger.new(len(data), **more)
    assert ranger.told(ranger.put(key, 0, data)).state is UploadState.COMPLETE
    return key


def copy(ranger: Ranger, key: str, base: str, *runs: tuple[int, int, int]) -> Answer:
    return ranger.do(ranges.Copy(key=key, source=base, runs=runs))


def test_what_is_here_is_copied_and_the_rest_is_sent(client: Ranger) -> None:
    base, key = hold(client), client.new(len(NEW), digests=PROOF)
    told = client.told(copy(client, key, base, *RUNS))
    assert (told.state, told.offset, told.received) == (UploadState.OPEN, 600_000, 1_400_000)
    assert client.missing(key) == [(600_000, 600_010)]
    told = client.told(client.put(key, 600_000, b"in between"))
    assert (told.state, told.digests) == (UploadState.COMPLETE, PROOF)
    assert client.bytes_of(key) == NEW
    assert client.told(copy(client, key, base, *RUNS)).state is UploadState.COMPLETE  # said again


def test_a_map_tells_the_chunks_of_an_object(client: Ranger) -> None:
    base = hold(client)
    for name, cut in CUTS.items():
        answer = client.ask("GET", f"/ranges/{base}/chunks?cut={name}")
        assert (answer.status, answer.fields["content-type"]) == (200, ranges.MAP_TYPE)
        rest = memoryview(OLD)

        def read_into(view: memoryview) -> int:
            nonlocal rest
            count = min(len(view), len(rest))
            view[:count], rest = rest[:count], rest[count:]
            return count

        assert list(read_map([answer.body])) == list(chunks(read_into, cut))
    empty = client.new(0)
    assert client.ask("GET", f"/ranges/{empty}/chunks").body == b""


def test_what_is_copied_and_is_not_what_was_announced_fails(ranger: Ranger) -> None:
    base = hold(ranger)
    before = ranger.served.files()
    key = ranger.new(1000, digests={"sha-256": bytes(32)}, name="never")
    require_problem(copy(ranger, key, base, (0, 1000, 0)), 422, "digest-mismatch")
    assert ranger.page(key).upload.state is UploadState.FAILED
    assert ranger.served.files() == before
    assert ranger.ask("GET", "/api/v1/names/never").status == 404


def test_an_upload_without_a_digest_takes_no_copies(ranger: Ranger) -> None:
    base, key = hold(ranger), ranger.new(1000)
    require_problem(copy(ranger, key, base, (0, 1000, 0)), 409, "state-conflict")
    assert ranger.missing(key) == [(0, 1000)]


@pytest.mark.parametrize(
    ("values", "status", "field"),
    [
        ({}, 400, "from"),
        ({"from": "BASE"}, 400, "ranges"),
        ({"from": "../../x", "ranges": [[0, 1, 0]]}, 400, "from"),
        ({"from": "BASE", "ranges": []}, 400, "ranges"),
        ({"from": "BASE", "ranges": [[0, 0, 0]]}, 400, "ranges"),
        ({"from": "BASE", "ranges": [[0, 1]]}, 400, "ranges"),
        ({"from": "BASE", "ranges": [[0, True, 0]]}, 400, "ranges"),
        ({"from": "BASE", "ranges": [[0, 1.5, 0]]}, 400, "ranges"),
        ({"from": "BASE", "ranges": [[-1, 5, 0]]}, 400, "ranges"),
        ({"from": "BASE", "ranges": [[0, 1, 2**63 - 1]]}, 400, "ranges"),
        ({"from": "BASE", "ranges": [[0, 1_500_001, 0]]}, 400, "ranges"),
        ({"from": "BASE", "ranges": [[0, 2**30 + 1, 0]]}, 400, "ranges"),
        ({"from": "BASE", "ranges": [[0, 1, 0]] * 1001}, 400, "ranges"),
        ({"from": "BASE", "ranges": [[0, 1000, 5]]}, 413, None),
    ],
)
def test_what_cannot_be_copied_is_refused_and_changes_nothing(
    ranger: Ranger, values: dict[str, Any], status: int, field: str | None
) -> None:
    base = hold(ranger)
    key = ranger.new(1000, digests=PROOF)
    if values.get("from") == "BASE":
        values = {**values, "from": base}
    answer = ranger.ask("POST", f"/ranges/{key}/copy", {}, json.dumps(values).encode())
    assert require_problem(answer, status).get("field") == field
    assert ranger.missing(key) == [(0, 1000)]


def test_a_map_is_asked_for_by_a_cut_that_is_known(ranger: Ranger) -> None:
    answer = ranger.ask("GET", f"/ranges/{hold(ranger)}/chunks?cut=v0")
    assert require_problem(answer, 400, "malformed")["field"] == "cut"


def test_nothing_is_copied_or_told_of_what_others_have(guarded: Served) -> None:
    data = secrets.token_bytes(5000)
    proof = {"sha-256": hashlib.sha256(data).digest()}
    theirs = [
        hold(Ranger(guarded, who="bob"), data),  # another tenant's
        hold(Ranger(guarded, who="alice"), data, name="elsewhere/x"),  # out of reach of a prefix
        "0" * 31,  # nobody's
    ]
    team = Ranger(guarded, who="team")
    key = team.new(len(data), digests=proof, name="team/" + secrets.token_hex(6))
    said = []
    for base in theirs:
        for answer in (
            copy(team, key, base, (0, 5000, 0)),
            copy(team, key, base, (0, 9_000_000, 0)),  # its length is not told either
            team.ask("GET", f"/ranges/{base}/chunks"),
        ):
            document = require_problem(answer, 404, "not-found")
            document.pop("request_id", None)
            said.append(document)
    assert all(document == said[0] for document in said)
    assert team.missing(key) == [(0, 5000)]


def test_who_may_not_read_does_not_copy_and_who_may_not_write_neither(guarded: Served) -> None:
    data = secrets.token_bytes(5000)
    base = hold(Ranger(guarded, who="alice"), data)
    proof = {"sha-256": hashlib.sha256(data).digest()}
    writer, reader = Ranger(guarded, who="writer"), Ranger(guarded, who="reader")
    key = writer.new(len(data), digests=proof, name=secrets.token_hex(6))
    for answer in (
        copy(writer, key, base, (0, 5000, 0)),
        copy(reader, key, base, (0, 5000, 0)),
        writer.ask("GET", f"/ranges/{base}/chunks"),
    ):
        require_problem(answer, 403, "forbidden")
    assert reader.ask("GET", f"/ranges/{base}/chunks").status == 200
    for other in ("bob", "carol"):  # nobody's upload but one's own
        require_problem(copy(Ranger(guarded, who=other), key, base, (0, 5, 0)), 404, "not-found")
    assert writer.missing(key) == [(0, 5000)]


def test_what_has_rotted_in_the_base_does_no_harm(ranger: Ranger) -> None:
    base, end = hold(ranger), secrets.token_bytes(10)
    key = ranger.new(len(OLD) + 10, digests={"sha-256": hashlib.sha256(OLD + end).digest()})
    found = (ranger.served.data / "objects").rglob(f"{base}*")
    (file,) = (each for each in found if each.stat().st_size == len(OLD))
    rotten = bytearray(OLD)
    rotten[100] ^= 1
    file.write_bytes(rotten)
    copied = ranger.told(copy(ranger, key, base, (0, len(OLD), 0)))
    assert (copied.state, copied.offset) == (UploadState.OPEN, len(OLD))
    answer = ranger.put(key, len(OLD), end)
    require_problem(answer, 422, "digest-mismatch")  # it was not noticed, and yet does no harm
    assert ranger.page(key).upload.state is UploadState.FAILED


def test_only_so_many_maps_are_made_at_once(ranger: Ranger) -> None:
    base = hold(ranger, random.Random(6).randbytes(24 << 20))
    answers: list[Answer] = []
    start = threading.Barrier(4 * MOST_AT_ONCE)

    def ask() -> None:
        start.wait()
        answers.append(ranger.ask("GET", f"/ranges/{base}/chunks"))

    asking = [threading.Thread(target=ask) for _ in range(4 * MOST_AT_ONCE)]
    for each in asking:
        each.start()
    for each in asking:
        each.join()
    assert {answer.status for answer in answers} == {200, 503}
    assert len({answer.body for answer in answers if answer.status == 200}) == 1
    refused = next(answer for answer in answers if answer.status == 503)
    assert require_problem(refused, 503, "limit-reached")
    assert refused.fields["retry-after"] == "1"
    assert ranger.ask("GET", f"/ranges/{base}/chunks").status == 200


def test_unfinished_uploads_have_no_map(ranger: Ranger, tmp_path: Path) -> None:
    require_problem(ranger.ask("GET", f"/ranges/{ranger.new(5)}/chunks"), 404, "not-found")
