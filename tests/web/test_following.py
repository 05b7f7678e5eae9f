"""Reading an upload while the rest of it arrives."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.running import PATIENCE, House, Served, running
from tests.web.talk import CHUNK, TUS, Gone, Line, Tus, require_problem
from tests.web.tokens import token, write_tokens

CONTENT = random.Random(11).randbytes(3_000_001)
HALF = 1_500_000


@pytest.fixture
def open_minded(house: House, served: Served) -> Served:
    """Each kind of server, set to let uploads be followed."""
    return house.get(served.kind, follow=True)


@pytest.fixture
def tus(open_minded: Served) -> Tus:
    return Tus(open_minded)


@contextlib.contextmanager
def reader(tus: Tus, path: str, **fields: str) -> Iterator[tuple[Line, int, dict[str, str]]]:
    """A connection on which the answer has begun."""
    line = Line(tus.served)
    line.send_head("GET", f"{path}?follow", fields)
    status, said = line.head()
    yield line, status, said
    line.close()


def test_what_is_durable_comes_at_once_and_the_rest_as_it_arrives(tus: Tus) -> None:
    path = tus.new(len(CONTENT), CONTENT[:HALF])
    with reader(tus, path) as (line, status, said):
        assert status == 200
        assert said["content-length"] == str(len(CONTENT))
        assert said["cache-control"] == "no-store"
        assert "etag" not in said
        assert line.read(HALF) == CONTENT[:HALF]
        assert tus.patch(path, HALF, CONTENT[HALF : HALF + 9]).status == 204
        assert line.read(9) == CONTENT[HALF : HALF + 9]
        assert tus.patch(path, HALF + 9, CONTENT[HALF + 9 :]).status == 204
        assert line.read(len(CONTENT) - HALF - 9) == CONTENT[HALF + 9 :]
        assert line.ask("GET", path).body == CONTENT  # the connection is in order
    assert tus.ask("GET", path).body == CONTENT


def test_a_length_that_is_not_known_yet_is_no_hindrance(tus: Tus) -> None:
    path = tus.new(None, CONTENT[:HALF])
    with reader(tus, path) as (line, status, said):
        assert status == 200
        assert said["transfer-encoding"] == "chunked"
        tus.patch(path, HALF, CONTENT[HALF:], Upload_Length=len(CONTENT))
        assert b"".join(line._chunks()) == CONTENT


def test_a_range_waits_for_its_bytes(tus: Tus) -> None:
    path = tus.new(len(CONTENT), CONTENT[:HALF])
    with reader(tus, path, Range=f"bytes={HALF - 5}-{HALF + 4}") as (line, status, said):
        assert status == 206
        assert said["content-range"] == f"bytes {HALF - 5}-{HALF + 4}/{len(CONTENT)}"
        assert line.read(5) == CONTENT[HALF - 5 : HALF]
        tus.patch(path, HALF, CONTENT[HALF:])
        assert line.read(5) == CONTENT[HALF : HALF + 5]


def test_a_range_of_unknown_length_ends_where_the_bytes_end(tus: Tus) -> None:
    path = tus.new(None, CONTENT[:HALF])
    answer = tus.ask("GET", f"{path}?follow", {"Range": f"bytes={HALF - 5}-"})
    assert answer.status == 206
    assert answer.fields["content-range"] == f"bytes {HALF - 5}-{HALF - 1}/*"
    assert answer.body == CONTENT[HALF - 5 : HALF]
    beyond = tus.ask("GET", f"{path}?follow", {"Range": f"bytes={HALF}-"})
    require_problem(beyond, 416, "range")


@pytest.mark.parametrize("length", [len(CONTENT), None])
def test_a_reader_is_cut_off_when_the_upload_is_given_up(tus: Tus, length: int | None) -> None:
    path = tus.new(length, CONTENT[:HALF])
    with reader(tus, path) as (line, status, _):
        assert status == 200
        if length is not None:
            assert line.read(HALF) == CONTENT[:HALF]
        assert tus.ask("DELETE", path, TUS).status == 204
        with pytest.raises(Gone):
            line.read(len(CONTENT)) if length is not None else b"".join(line._chunks())


def test_no_byte_that_is_not_durable_is_shown(open_minded: Served) -> None:
    tus = Tus(open_minded)
    path = tus.new(len(CONTENT))
    writer = Line(open_minded)
    fields = {**CHUNK, "Upload-Offset": 0, "Content-Length": len(CONTENT)}
    fields["Upload-Checksum"] = "sha1 " + "A" * 27 + "="
    writer.send_head("PATCH", path, fields)  # a chunk that counts whole or not at all
    writer.send(CONTENT[:HALF])
    with reader(tus, path) as (line, status, _):
        assert status == 200
        writer.send(CONTENT[HALF:])
        assert writer.answer().status == 460
        line.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            line.read(1)
        line.socket.settimeout(PATIENCE)
        tus.patch(path, 0, CONTENT[::-1])
        assert line.read(len(CONTENT)) == CONTENT[::-1]
    writer.close()


def test_a_reader_who_has_gone_is_forgotten_and_disturbs_no_writer(tus: Tus) -> None:
    path = tus.new(len(CONTENT), CONTENT[:HALF])
    for _ in range(10):
        with reader(tus, path) as (_, status, _):
            assert status == 200
    assert tus.patch(path, HALF, CONTENT[HALF:]).status == 204
    assert tus.ask("GET", path).body == CONTENT


def test_following_what_is_complete_is_reading_it(tus: Tus) -> None:
    path = tus.put(CONTENT)
    answer = tus.ask("GET", f"{path}?follow")
    assert (answer.status, answer.body) == (200, CONTENT)
    assert "etag" in answer.fields


def test_who_does_not_ask_for_it_waits_for_the_whole(tus: Tus) -> None:
    path = tus.new(len(CONTENT), CONTENT[:HALF])
    require_problem(tus.ask("GET", path), 409, "incomplete")


def test_it_is_off_until_it_is_set(served: Served) -> None:
    tus = Tus(served)
    path = tus.new(100, b"half of a secret")
    answer = tus.ask("GET", f"{path}?follow")
    require_problem(answer, 409, "incomplete")
    assert b"secret" not in answer.body


def test_only_its_owner_may_follow_an_upload(house: House, tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "tokens.toml")
    with running("direct", tmp_path, tokens=tokens, follow=True) as served:
        path = Tus(served, token=token("alice")).new(100, b"mine")
        for who, status in (("carol", 404), ("bob", 404), ("writer", 403)):
            answer = Tus(served, token=token(who)).ask("GET", f"{path}?follow")
            require_problem(answer, status)
        begun = Tus(served, token=token("reader")).ask(
            "GET", f"{path}?follow", {"Range": "bytes=0-3"}
        )
        assert begun.body == b"mine"


def test_a_reader_does_not_wait_for_ever(tmp_path: Path) -> None:
    with running("direct", tmp_path, follow=True, idle_seconds=1) as served:
        tus = Tus(served)
        path = tus.new(100, b"half")
        with reader(tus, path) as (line, status, _):
            assert status == 200
            assert line.read(4) == b"half"
            with pytest.raises(Gone):
                line.read(1)
        assert tus.patch(path, 4, b"x" * 96).status == 204


def test_a_server_that_stops_does_not_wait_for_readers(tmp_path: Path) -> None:
    with running("direct", tmp_path, follow=True) as served:
        tus = Tus(served)
        path = tus.new(100, b"half")
        line = Line(served)
        line.send_head("GET", f"{path}?follow", {})
        assert line.head()[0] == 200
        assert line.read(4) == b"half"
        began = time.monotonic()
    assert time.monotonic() - began < 8
    line.close()
