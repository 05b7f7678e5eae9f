"""The tokens file of a server that runs, and what happens to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.web.tokens import write_tokens
from towpath.web.token_file import TokenFile


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_tokens(tmp_path / "tokens.toml")


def test_a_file_that_could_not_be_read_for_a_moment_counts_as_soon_as_it_can_be(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    resource = pytest.importorskip("resource")  # of POSIX
    tokens = TokenFile(file)
    assert tokens.get("alice") is not None
    file.write_text("")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))  # as where too many files are open
    try:
        seen = [tokens.get("alice") is not None for _ in range(3)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert seen == [True] * 3
    assert len(caplog.records) == 1
    assert tokens.get("alice") is None


def test_a_file_that_is_broken_or_gone_changes_nothing_and_is_told_once(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = TokenFile(file)
    good = file.read_text()
    for count in (1, 2):
        file.write_text("[[token") if count == 1 else file.unlink()
        assert [tokens.get("alice") is not None for _ in range(3)] == [True] * 3
        assert len(caplog.records) == count
    beside = file.with_name("new")
    beside.write_text(good.replace("alice", "alina"))
    beside.replace(file)
    assert (tokens.get("alice"), tokens.get("alina") is not None) == (None, True)
