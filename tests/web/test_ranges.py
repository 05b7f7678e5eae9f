"""/ranges: many connections write one upload; chunks count whole; repeats are a success."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.web.ranging import BASE, Ranger, digest_of
from tests.web.running import House, Served
from tests.web.talk import Fields, Line, require_problem
from towpath.core.command import Append
from towpath.core.crc import crc
from towpath.core.digest import crc_bytes
from towpath.core.model import OnConflict
from towpath.core.state import UploadState
from towpath.core.transfer import Write
from towpath.engine.frontier import Frontiers
from towpath.engine.live import Live
from towpath.engine.taking_up import take_up
from towpath.ledger.base import Ledger
from towpath.store.base import Store

CONTENT = random.Random(11).randbytes(600_000)
SHA256 = hashlib.sha256(CONTENT).digest()
LENGTH = len(CONTENT)
S = UploadState


@pytest.fixture(params=["direct", "direct chunked", "plain", "granian", "tls"])
def client(house: House, request: pytest.FixtureRequest) -> Ranger:
    kind, _, coding = request.param.partition(" ")
    return Ranger(house.get(kind), chunked=bool(coding))


@pytest.fixture
def ranger(direct: Served) -> Ranger:
    return Ranger(direct)


def parts(count: int) -> list[tuple[int, int]]:
    edges = [LENGTH * index // count for index in range(count + 1)]
    return list(itertools.pairwise(edges))


def span_of(part: tuple[int, int]) -> tuple[int, bytes]:
    return part[0], CONTENT[part[0] : part[1]]


def test_ranges_in_any_order_make_one_object_with_its_sha256(client: Ranger) -> None:
    key = client.new(LENGTH, name="in/any order.bin", wants=("sha-256",), media_type="x/y")
    order = parts(7)
    random.Random(3).shuffle(order)
    answers = [client.put(key, *span_of(each), total=LENGTH) for each in order]
    told = client.told(answers[-1])
    assert (told.state, told.offset, told.received) == (S.COMPLETE, LENGTH, LENGTH)
    assert told.digests == {"crc64nvme": crc_bytes(crc(CONTENT)), "sha-256": SHA256}
    assert told.name is not None
    assert told.name.startswith("in/any order")
    assert client.bytes_of(key) == CONTENT


def test_a_range_reads_its_upload_from_the_ledger_once(
    ranger: Ranger, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def counted(store: Store, ledger: Ledger, frontiers: Frontiers, key: str, *, now: int) -> Live:
        if key == mine:  # other servers of this process have their own to look at
            read.append(key)
        return take_up(store, ledger, frontiers, key, now=now)

    mine = ranger.new(LENGTH)
    monkeypatch.setattr("towpath.engine.engine.take_up", counted)
    assert ranger.put(mine, *span_of(parts(4)[2]), total=LENGTH).status == 200
    assert read == [mine]


def test_many_connections_write_one_upload_at_once(client: Ranger) -> None:
    key = client.new(LENGTH, digests={"sha-256": SHA256, "crc64nvme": crc_bytes(crc(CONTENT))})
    gate = threading.Barrier(8)

    def send(span: tuple[int, int]) -> int:
        start, end = span
        gate.wait(10)
        return client.put(key, start, CONTENT[start:end]).status

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(send, parts(8))) == {200}
    assert client.told(client.complete(key)).state is S.COMPLETE
    assert client.bytes_of(key) == CONTENT


def test_a_repeat_of_a_durable_range_is_a_success_before_and_after_completion(
    client: Ranger,
) -> None:
    key = client.new(LENGTH)
    half = LENGTH // 2
    for _ in range(2):
        told = client.told(client.put(key, half, CONTENT[half:]))
        assert told.received == LENGTH - half
    overlapping = client.put(key, half - 1000, CONTENT[half - 1000 :])  # partly new
    assert client.told(overlapping).received == LENGTH - half + 1000
    for _ in range(2):
        assert client.told(client.put(key, 0, CONTENT[:half])).state is S.COMPLETE
    assert client.told(client.put(key, 7, CONTENT[7:90])).state is S.COMPLETE
    assert client.bytes_of(key) == CONTENT


def test_a_repeat_with_other_bytes_is_refused(client: Ranger) -> None:
    key = client.new(LENGTH)
    other = bytes(1000)
    assert client.told(client.put(key, 5000, CONTENT[5000:9000])).received == 4000
    require_problem(client.put(key, 6000, other), 409, "state-conflict")
    client.put(key, 0, CONTENT)
    require_problem(client.put(key, 6000, other), 409, "state-conflict")
    assert client.bytes_of(key) == CONTENT


def test_a_chunk_with_a_digest_counts_whole_or_not_at_all(client: Ranger) -> None:
    key = client.new(LENGTH)
    data = CONTENT[1000:200_000]
    wrong = client.put(key, 1000, data, content_digest=digest_of(b"another"))
    require_problem(wrong, 422, "digest-mismatch")
    assert client.missing(key) == [(0, LENGTH)]
    for name in ("sha-256", "md5", "sha-512"):
        told = client.told(client.put(key, 1000, data, content_digest=digest_of(data, name)))
        assert told.received == len(data)
    assert client.missing(key) == [(0, 1000), (200_000, LENGTH)]
    client.put(key, 0, CONTENT[:1000])
    client.put(key, 200_000, CONTENT[200_000:])
    wrong = client.put(key, 1000, data, content_digest=digest_of(b"another"))
    require_problem(wrong, 422, "digest-mismatch")  # also of a repeat


def test_a_coded_chunk_is_kept_as_it_is_and_only_whole(client: Ranger) -> None:
    coded = b"pretend that this is coded"
    key = client.new(len(coded))
    refused = client.put(key, 0, coded, chunk_coding="zstd")
    assert require_problem(refused, 400)["field"] == "Content-Digest"
    wrong = client.put(key, 0, coded, chunk_coding="zstd", content_digest=digest_of(b"other"))
    require_problem(wrong, 422)
    assert client.missing(key) == [(0, len(coded))]
    done = client.put(key, 0, coded, chunk_coding="zstd", content_digest=digest_of(coded))
    assert client.told(done).state is S.COMPLETE
    assert client.bytes_of(key) == coded


@pytest.mark.parametrize("proven", [False, True])
def test_of_a_chunk_that_is_cut_counts_what_came_unless_it_is_to_be_proven(
    served: Served, proven: bool
) -> None:
    ranger = Ranger(served)
    key = ranger.new(LENGTH)
    fields: Fields = {
        "Content-Range": f"bytes 1000-{LENGTH - 1}/*",
        "Content-Length": LENGTH - 1000,
    }
    if proven:
        fields = {**fields, "Content-Digest": digest_of(CONTENT[1000:])}
    with contextlib.closing(Line(served)) as line:
        line.send_head("PUT", f"{BASE}/{key}", fields)
        line.send(CONTENT[1000:300_000])
        ranger.until_it_writes()
    whole = ranger.told(ranger.put(key, 1000, CONTENT[1000:]))  # ends whoever is still there
    assert whole.received == LENGTH - 1000
    assert ranger.told(ranger.put(key, 0, CONTENT[:1000])).state is S.COMPLETE
    assert ranger.bytes_of(key) == CONTENT


def test_nothing_of_a_proven_chunk_that_is_cut_is_kept(ranger: Ranger) -> None:
    key = ranger.new(LENGTH)
    with contextlib.closing(Line(ranger.served)) as line:
        fields: Fields = {
            "Content-Range": f"bytes 0-{LENGTH - 1}/*",
            "Content-Length": LENGTH,
            "Content-Digest": digest_of(CONTENT),
        }
        line.send_head("PUT", f"{BASE}/{key}", fields)
        line.send(CONTENT[:-1])
        ranger.until_it_writes()
    taken_over = ranger.put(key, 0, CONTENT[:10])  # waits until the other has ended
    assert ranger.told(taken_over).received == 10


def test_a_chunked_body_of_another_length_than_its_range_is_no_whole_chunk(served: Served) -> None:
    ranger = Ranger(served, chunked=True)
    key = ranger.new(LENGTH)

    def send(last: int, data: bytes) -> int:
        fields = {"Content-Range": f"bytes 0-{last}/{LENGTH}"}
        return ranger.ask("PUT", f"{BASE}/{key}", fields, data).status

    assert send(999, CONTENT[:900]) == 400
    assert send(999, CONTENT[:1100]) == 413
    assert ranger.page(key).upload.offset <= 1000
    assert ranger.told(ranger.put(key, 0, CONTENT)).state is S.COMPLETE
    assert send(999, CONTENT[:900]) == 400
    assert send(999, CONTENT[:1100]) == 413
    assert send(999, CONTENT[:1000]) == 200


def test_the_checksum_of_what_has_no_gap_is_told_on_the_way(client: Ranger) -> None:
    key = client.new(1000)
    assert client.page(key).prefix == (0, crc_bytes(0))
    client.put(key, 0, CONTENT[:300])
    client.put(key, 500, CONTENT[500:600])
    for after in (0, 400):
        assert client.page(key, after=after).prefix == (300, crc_bytes(crc(CONTENT[:300])))
    client.put(key, 0, CONTENT[:1000])
    assert client.page(key).prefix == (1000, crc_bytes(crc(CONTENT[:1000])))


def test_the_extent_is_asked_for_in_pages(client: Ranger) -> None:
    key = client.new(1000)
    for start in range(100, 900, 200):
        client.put(key, start, CONTENT[start : start + 50])
    first = client.page(key, limit=3)
    assert (first.durable, first.missing) == (((100, 150),), ((0, 100), (150, 300)))
    assert first.next == 300
    second = client.page(key, after=300, limit=100)
    assert second.durable == ((300, 350), (500, 550), (700, 750))
    assert second.missing == ((350, 500), (550, 700), (750, 1000))
    assert second.next is None
    assert client.page(key, after=120, limit=1).durable == ((120, 150),)
    assert client.page(key, after=5000).missing == ()
    refused = client.ask("GET", f"{BASE}/{key}?limit=2000")
    assert require_problem(refused, 400)["field"] == "limit"


def test_a_length_may_be_learnt_at_the_end(client: Ranger) -> None:
    key = client.new(None)
    client.put(key, 1000, CONTENT[1000:])
    assert client.missing(key) == [(0, 1000), (LENGTH, None)]
    client.put(key, 0, CONTENT[:1000])
    end = Append(key=key, write=Write(offset=LENGTH, length=0, sequential=False, declares=LENGTH))
    for _ in range(2):
        assert client.told(client.do(end, b"")).state is S.COMPLETE
    other = Append(key=key, write=Write(offset=9, length=0, sequential=False, declares=9))
    require_problem(client.do(other, b""), 400, "length-conflict")
    assert client.bytes_of(key) == CONTENT


def test_an_upload_without_bytes_is_complete_at_once(client: Ranger) -> None:
    assert client.page(client.new(0)).upload.state is S.COMPLETE


def test_what_goes_beyond_the_end_is_refused_before_its_bytes(client: Ranger) -> None:
    key = client.new(1000)
    require_problem(client.put(key, 999, CONTENT[:2]), 413, "too-large")
    require_problem(client.put(key, 0, CONTENT[:2], total=1001), 400, "length-conflict")
    assert client.missing(key) == [(0, 1000)]
    client.put(key, 0, CONTENT[:1000])
    assert client.put(key, 999, CONTENT[:2]).status in {409, 413}


def test_a_wrong_whole_makes_no_object(client: Ranger) -> None:
    key = client.new(1000, digests={"sha-256": SHA256}, name="wrong.bin")
    client.put(key, 500, CONTENT[500:1000])
    require_problem(client.put(key, 0, CONTENT[:500]), 422, "digest-mismatch")
    assert client.ask("GET", f"/files/{key}").status in {404, 409}
    assert client.ask("GET", "/api/v1/names/wrong.bin").status == 404


def test_what_is_cancelled_is_gone_and_so_is_the_object_it_became(client: Ranger) -> None:
    for length in (10, 1000):
        key = client.new(length)
        client.put(key, 0, CONTENT[:10])
        assert client.cancel(key).status == 204
        assert client.ask("GET", f"{BASE}/{key}").status == 404
        assert client.ask("GET", f"/files/{key}").status == 404


def test_an_upload_that_may_not_have_its_name_is_completed_once_it_is_free(client: Ranger) -> None:
    name = f"taken/{client.served.kind}{client.chunked}"
    first = client.new(3, name=name)
    client.put(first, 0, b"abc")
    second = client.new(3, name=name, on_conflict=OnConflict.FAIL)
    require_problem(client.put(second, 0, b"def"), 409, "name-conflict")
    require_problem(client.put(second, 0, b"def"), 409, "name-conflict")
    assert client.cancel(first).status == 204
    assert client.told(client.complete(second)).name == name
    third = client.new(3, name=name, on_conflict=OnConflict.REPLACE, replaces=first)
    require_problem(client.put(third, 0, b"ghi"), 409, "name-conflict")
    fourth = client.new(3, name=name, on_conflict=OnConflict.REPLACE, replaces=second)
    assert client.told(client.put(fourth, 0, b"ghi")).name == name


def test_an_unfinished_upload_is_not_completed(client: Ranger) -> None:
    require_problem(client.complete(client.new(10)), 409, "state-conflict")


def test_what_another_dialect_began_is_filled_by_ranges(client: Ranger) -> None:
    tus = {"Tus-Resumable": "1.0.0", "Upload-Length": str(LENGTH)}
    made = client.ask("POST", "/files/", tus)
    key = made.fields["location"].rpartition("/")[2]
    client.put(key, 1000, CONTENT[1000:])
    kind = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
    done = client.ask("PATCH", f"/files/{key}", {**tus, **kind}, CONTENT[:1000])
    assert done.status == 204
    assert client.page(key).upload.state is S.COMPLETE
    assert client.bytes_of(key) == CONTENT


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PATCH", "/", 405),
        ("GET", "/", 405),
        ("GET", "/have", 405),
        ("POST", "/0123456789", 405),
        ("GET", "/0123456789/complete", 405),
        ("GET", "/a/b/c", 404),
        ("GET", "/NOT-A-KEY", 404),
        ("GET", "/0123456789", 404),
        ("PUT", "/0123456789", 400),
    ],
)
def test_what_is_no_call_is_told_so(ranger: Ranger, method: str, path: str, status: int) -> None:
    answer = ranger.ask(method, BASE + path)
    require_problem(answer, status)
    assert ("allow" in answer.fields) is (status == 405)


def test_a_body_that_is_no_json_object_is_refused(ranger: Ranger) -> None:
    require_problem(ranger.ask("POST", f"{BASE}/", {}, b"[1]"), 400)
    require_problem(ranger.ask("POST", f"{BASE}/", {}, b"{" + b" " * 70_000), 413)
