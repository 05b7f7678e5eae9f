"""`towpath put` of a coded file that another machine began, and what it says."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.cli.conftest import Run
from tests.client.coding import stop_after
from tests.web.running import Served
from towpath.client import coded_elsewhere, elsewhere
from towpath.codec.keys import KeyFile

CONTENT = Random(3).randbytes(500_000) + bytes(500_000)


@pytest.fixture
def here(live: Served, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file and a key, in which commands run."""
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "file").write_bytes(CONTENT)
    (folder / "key").write_text(KeyFile.new().text())
    (folder / "key").chmod(0o600)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(coded_elsewhere, "PARALLEL_FROM", 1000)
    monkeypatch.setattr(elsewhere, "_LEFT_ALONE", -3600.0)
    return folder


def left(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *how: str) -> None:
    """A put that ended after four chunks, on another machine."""
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 4)
        ran = run("put", "file", "--chunk-size", "64KiB", *how)
    assert ran.code == 7, ran.err
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "this machine"))


def test_a_compressed_file_goes_on(
    run: Run, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left(run, tmp_path, monkeypatch, "--compress")
    ran = run("put", "file", "--chunk-size", "64KiB", "--compress")
    assert (ran.code, ran.out) == (0, "file\n"), ran.err
    assert "file: resuming from 26 %." in ran.err


@pytest.mark.parametrize("json", [[], ["--json"]], ids=["text", "json"])
def test_of_an_encrypted_file_it_is_said_that_it_begins_anew(
    run: Run, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, json: list[str]
) -> None:
    left(run, tmp_path, monkeypatch, "--key-file", "key")
    ran = run("put", "file", "--chunk-size", "64KiB", "--key-file", "key", *json)
    assert ran.code == 0, ran.err
    assert ran.err.count("an encrypted upload of it that began elsewhere") == 1
    assert "It is sent from its beginning; the other one expires." in ran.err


def test_what_began_encrypted_and_is_not_now_is_said_in_words(
    run: Run, here: Path, tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 4)
        run("put", "file", "--chunk-size", "64KiB", "--key-file", "key")
    ran = run("put", "file")
    assert (ran.code, "{" in ran.err) == (8, False)
    assert "It has on-conflict keep-both and the metadata coding=sealed;" in ran.err
