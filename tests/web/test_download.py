"""Objects over HTTP: whole, in part, on condition, to slow readers and to those who go away."""

from __future__ import annotations

import contextlib
import hashlib
import random
import sqlite3
import time
from pathlib import Path

import pytest

from tests.web.running import PATIENCE, House, Served
from tests.web.talk import Answer, Gone, Line, Tus, metadata, require_date, require_problem

CONTENT = random.Random(7).randbytes(3_000_001)
READERS = 40  # more than any pool has threads


@pytest.fixture
def path(served: Served) -> str:
    """An object on each server."""
    name = f"folder/Bericht Nº{time.monotonic_ns()}.html"
    return Tus(served).put(CONTENT, upload_metadata=metadata(name=name, filetype="text/html"))


def get(served: Served, path: str, method: str = "GET", **fields: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    return Tus(served).ask(method, path, named)


def test_an_object_comes_whole_and_can_do_no_harm(served: Served, path: str) -> None:
    answer = get(served, path)
    assert answer.status == 200
    assert answer.body == CONTENT
    assert answer.number("content-length") == len(CONTENT)
    assert answer.fields["accept-ranges"] == "bytes"
    assert answer.fields["content-type"] == "text/html"
    assert answer.fields["x-content-type-options"] == "nosniff"
    assert answer.fields["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.fields["content-disposition"].startswith('attachment; filename="Bericht N_')
    assert "filename*=UTF-8''Bericht%20N%C2%BA" in answer.fields["content-disposition"]
    assert answer.fields["repr-digest"].startswith("crc64nvme=:")
    assert answer.fields["cache-control"] == "private, max-age=31536000, immutable"
    assert answer.fields["referrer-policy"] == "no-referrer"
    assert abs(require_date(answer.fields["last-modified"]) - time.time()) < 60


def test_head_tells_the_same_as_get(served: Served, path: str) -> None:
    whole, told = get(served, path), get(served, path, "HEAD")
    assert told.status == 200
    assert told.body == b""
    ours = {"etag", "content-length", "content-type", "content-disposition", "last-modified"}
    assert {name: told.fields[name] for name in ours} == {name: whole.fields[name] for name in ours}


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=1000000-1999999", 1_000_000, 2_000_000),
        ("bytes=3000000-", 3_000_000, len(CONTENT)),
        ("bytes=-1", 3_000_000, len(CONTENT)),
        ("bytes=2999999-9999999", 2_999_999, len(CONTENT)),
    ],
)
def test_a_range_comes_as_asked(
    served: Served, path: str, wanted: str, start: int, end: int
) -> None:
    answer = get(served, path, range=wanted)
    assert answer.status == 206
    assert answer.fields["content-range"] == f"bytes {start}-{end - 1}/{len(CONTENT)}"
    assert answer.body == CONTENT[start:end]


@pytest.mark.parametrize(
    "spans",
    [
        [(0, 2), (1_000_000, 1_000_007)],
        [(2_999_000, 3_000_001), (5, 6), (1_000_000, 2_500_000)],
        [(at, at + 10) for at in range(0, 64_000, 1000)],
    ],
)
def test_several_ranges_come_as_parts(
    served: Served, path: str, spans: list[tuple[int, int]]
) -> None:
    wanted = ",".join(f"{start}-{end - 1}" for start, end in spans)
    line = Line(served)
    answer = line.ask("GET", path, {"Range": f"bytes={wanted}"})
    assert answer.status == 206
    kind, _, boundary = answer.fields["content-type"].partition("; boundary=")
    assert kind == "multipart/byteranges"
    parts = [
        f"\r\n--{boundary}\r\ncontent-type: text/html\r\n"
        f"content-range: bytes {start}-{end - 1}/{len(CONTENT)}\r\n\r\n".encode()
        + CONTENT[start:end]
        for start, end in spans
    ]
    assert answer.body == b"".join(parts) + f"\r\n--{boundary}--\r\n".encode()
    again = line.ask("GET", path, {"Range": f"bytes={wanted}"})  # the connection is in order
    assert again.status == 206
    assert boundary not in again.fields["content-type"]
    line.close()


def test_more_ranges_than_are_sent_are_refused(served: Served, path: str) -> None:
    wanted = ",".join(f"{at}-{at}" for at in range(0, 65_000, 1000))
    require_problem(get(served, path, range=f"bytes={wanted}"), 416, "range")


@pytest.mark.parametrize("wanted", ["bytes=0-1,9-5", "bytes=9-5", "pages=1-2", "bytes=x"])
def test_what_is_no_range_gets_the_whole(served: Served, path: str, wanted: str) -> None:
    answer = get(served, path, range=wanted)
    assert (answer.status, len(answer.body)) == (200, len(CONTENT))


def test_a_range_beyond_the_end_is_refused(served: Served, path: str) -> None:
    answer = get(served, path, range=f"bytes={len(CONTENT)}-")
    require_problem(answer, 416, "range")
    assert answer.fields["content-range"] == f"bytes */{len(CONTENT)}"


def test_conditions_are_kept(served: Served, path: str) -> None:
    tag = get(served, path, "HEAD").fields["etag"]
    unchanged = get(served, path, if_none_match=tag)
    assert (unchanged.status, unchanged.body, unchanged.fields["etag"]) == (304, b"", tag)
    assert get(served, path, if_none_match='"other"').status == 200
    require_problem(get(served, path, if_match='"other"'), 412, "precondition")
    assert get(served, path, range="bytes=0-9", if_range=tag).status == 206
    assert get(served, path, range="bytes=0-9", if_range=f"W/{tag}").status == 200
    assert get(served, path, range="bytes=0-9", if_range='"other"').status == 200


def test_caches_are_told_what_is_set(house: House, served: Served) -> None:
    shared = house.get(served.kind, cache_shared=True, cache_seconds=60)
    path = Tus(shared).put(b"for many")
    said = "public, max-age=60, immutable"
    assert get(shared, path).fields["cache-control"] == said
    never = house.get(served.kind, cache_seconds=0)
    answer = get(never, Tus(never).put(b"x"))
    assert answer.fields["cache-control"] == "private, no-cache"


def test_wanted_digests_come_with_the_whole(served: Served, path: str) -> None:
    answer = get(served, path, want_content_digest="crc64nvme=1", want_repr_digest="crc64nvme=1")
    assert answer.fields["content-digest"] == answer.fields["repr-digest"]
    part = get(served, path, want_content_digest="crc64nvme=1", range="bytes=0-9")
    assert "content-digest" not in part.fields
    assert part.fields["repr-digest"] == answer.fields["repr-digest"]


def test_an_upload_that_is_not_complete_shows_no_byte(served: Served) -> None:
    tus = Tus(served)
    secret = tus.new(100, b"half of a secret")
    for fields in ({}, {"range": "bytes=0-3"}):
        answer = get(served, secret, **fields)
        require_problem(answer, 409, "incomplete")
        assert b"secret" not in answer.body


def test_many_answers_come_over_one_connection(served: Served, path: str) -> None:
    line = Line(served)
    for _ in range(3):
        assert line.ask("GET", path).body == CONTENT
        assert line.ask("HEAD", path).status == 200
        assert line.ask("GET", path, {"Range": "bytes=5-9"}).body == CONTENT[5:10]
    line.close()


# Readers who are slow or go away


def test_a_download_that_is_cut_goes_on_from_where_it_was(served: Served, path: str) -> None:
    line = Line(served)
    line.send_head("GET", path, {})
    status, fields = line.head()
    assert status == 200
    part = line.read(1_000_000)
    line.close()
    rest = get(served, path, range=f"bytes={len(part)}-", if_range=fields["etag"])
    assert rest.status == 206
    assert hashlib.sha256(part + rest.body).digest() == hashlib.sha256(CONTENT).digest()


def test_who_goes_away_leaves_no_file_open(direct: Served) -> None:
    path = Tus(direct).put(CONTENT)
    for _ in range(5):
        line = Line(direct)
        line.send_head("GET", path, {})
        line.head()
        line.close()
    deadline = time.monotonic() + PATIENCE
    while _open_files(path.rpartition("/")[2]):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _open_files(key: str) -> int:
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found += key in str(link.readlink())
    return found


def test_readers_who_take_nothing_hold_nobody_up(served: Served) -> None:
    tus = Tus(served)
    large = tus.put(CONTENT * 5)
    lines = [Line(served) for _ in range(READERS)]
    for line in lines:
        line.send_head("GET", large, {})
    for line in lines:
        assert line.head()[0] == 200
    began = time.monotonic()
    assert tus.ask("GET", large).body == CONTENT * 5
    assert tus.ask("GET", "/readyz").status == 200
    assert time.monotonic() - began < PATIENCE / 2
    assert hashlib.sha256(lines[-1].read(len(CONTENT) * 5)).digest() == (
        hashlib.sha256(CONTENT * 5).digest()
    )
    for line in lines:
        line.close()


# Objects that are not what they were


@pytest.fixture
def fresh(house: House, served: Served) -> Served:
    """A server whose objects may be harmed."""
    return house.get(served.kind, scrub_every=0)


def test_a_damaged_object_is_not_served(fresh: Served) -> None:
    path = Tus(fresh).put(b"precious")
    with contextlib.closing(sqlite3.connect(fresh.data / "ledger.db")) as ledger, ledger:
        changed = ledger.execute(
            "UPDATE objects SET damaged = 1 WHERE id = ?", (path.rpartition("/")[2],)
        )
        assert changed.rowcount == 1
    for fields in ({}, {"range": "bytes=0-3"}):
        answer = get(fresh, path, **fields)
        require_problem(answer, 500, "store-lost")
        assert b"precious" not in answer.body


def test_an_object_whose_file_is_gone_is_an_error(fresh: Served) -> None:
    path = Tus(fresh).put(CONTENT)
    _file_of(fresh, path).unlink()
    answer = get(fresh, path)
    require_problem(answer, 500, "store-lost")


def test_an_object_whose_file_is_too_short_never_looks_whole(fresh: Served) -> None:
    path = Tus(fresh).put(CONTENT)
    with _file_of(fresh, path).open("rb+") as file:
        file.truncate(1_000_000)
    try:
        answer = get(fresh, path)
    except Gone:
        return
    require_problem(answer, 500)


def _file_of(served: Served, path: str) -> Path:
    key = path.rpartition("/")[2]
    (file,) = (each for each in (served.data / "objects").rglob(key) if each.is_file())
    return file
