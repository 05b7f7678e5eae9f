"""The raw uploader sends what it is told, at the right place, and reads what comes back."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from towpath.testing.pattern import PERIOD, WINDOW, Pattern
from towpath.testing.rawhttp import Gone
from towpath.testing.rawtus import RawTus
from towpath.testing.server import Server, towpath_serve

STAND_IN = (sys.executable, str(Path(__file__).with_name("stand_in.py")))


@pytest.fixture
def tus(tmp_path: Path) -> Iterator[RawTus]:
    """A raw uploader and the server that it speaks to."""
    with Server(tmp_path / "data", command=towpath_serve(program=STAND_IN)) as server:
        yield RawTus(server.url, pattern=Pattern(3))


def test_an_upload_in_pieces_comes_back_with_the_pattern_s_digest(tus: RawTus) -> None:
    size = 3 * WINDOW + 17
    path = tus.create(size)
    for start in range(0, size, 1_000_000):
        answer = tus.patch(path, start, min(1_000_000, size - start))
        assert answer.status == 204
        assert answer.number("upload-offset") == min(start + 1_000_000, size)
    assert tus.sha256(path) == (size, tus.pattern.sha256(size))


def test_a_patch_can_be_abandoned_and_gone_on_with(tus: RawTus) -> None:
    path = tus.create(100_000)
    with tus.open_patch(path, 0, 100_000) as patch:
        patch.send(60_000)
        patch.line.half_close()
        assert patch.answer().number("upload-offset") == 60_000
    assert tus.patch(path, tus.offset(path), 40_000).status == 204
    assert tus.sha256(path) == (100_000, tus.pattern.sha256(100_000))


def test_a_trickle_takes_the_time_that_its_rate_says(tus: RawTus) -> None:
    path = tus.create(20_000)
    begun = time.monotonic()
    with tus.open_patch(path, 0, 20_000) as patch:
        patch.trickle(20_000, rate=100_000)
        assert patch.answer().status == 204
    assert time.monotonic() - begun >= 0.19


def test_a_server_that_goes_away_is_told_as_gone(tus: RawTus) -> None:
    with tus.line() as line:
        line.half_close()
        with pytest.raises(Gone):
            line.head()


def test_a_pattern_is_the_same_from_wherever_it_is_read() -> None:
    pattern = Pattern("x")
    size = 2 * PERIOD + 12_345
    whole = b"".join(pattern.views(0, size))
    assert len(whole) == size
    assert hashlib.sha256(whole).hexdigest() == pattern.sha256(size)
    for start in (0, 1, 4096, WINDOW, PERIOD - 1, PERIOD, PERIOD + 1):
        assert pattern.holds(start, whole[start : start + WINDOW + 5])
    assert not pattern.holds(WINDOW, whole[:4096])
    assert not pattern.holds(5, whole[:4096])


def test_two_seeds_have_different_patterns() -> None:
    assert Pattern(1).view(0, 100) != Pattern(2).view(0, 100)
    assert Pattern(1).view(0, 100) == Pattern(1).view(0, 100)


def test_a_pattern_can_be_a_file(tmp_path: Path) -> None:
    pattern = Pattern(1)
    path = pattern.write(tmp_path / "file", PERIOD + 1)
    assert pattern.holds(0, path.read_bytes())
    assert path.stat().st_size == PERIOD + 1
