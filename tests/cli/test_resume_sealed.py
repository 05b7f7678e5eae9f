"""`towpath resume` of what is encrypted: by the key files that it had, or by keys given again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.client.coding import stop_after
from tests.web.running import Served
from towpath import errors
from towpath.client.coded_object import CodedObject
from towpath.codec.keys import Identity, KeyFile

CONTENT = Random(3).randbytes(1_000_000)
WORDS = "seven words that nobody else thinks of"
ASK = "Give all of its keys again"


@pytest.fixture
def here(live: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file and keys, in which commands run."""
    folder, me = tmp_path / "here", Identity.new()
    folder.mkdir()
    texts = {"key": KeyFile.new().text(), "other": KeyFile.new().text(), "words": f"{WORDS}\n"}
    for name, text in {**texts, "me": me.text(), "me.pub": me.recipient.text()}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    (folder / "file").write_bytes(CONTENT)
    monkeypatch.chdir(folder)
    return folder


def stopped_put(run: Run, *how: str) -> None:
    """A put that ends after four chunks."""
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 4)
        ran = run("put", "file", "--chunk-size", "64KiB", *how)
    assert (ran.code, "[forbidden]" in ran.err) == (7, True), ran.err


def stopped_get(run: Run, *how: str) -> None:
    """A get that ends after some chunks."""
    whole = CodedObject.blocks

    def blocks(self: CodedObject, start: int, end: int, check: Any) -> Iterator[memoryview]:
        for number, block in enumerate(whole(self, start, end, check)):
            if number == 2:
                raise errors.Forbidden("It ends here.")
            yield block

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CodedObject, "blocks", blocks)
        ran = run("get", "file", "copy", *how)
    assert (ran.code, "[forbidden]" in ran.err) == (7, True), ran.err


@pytest.mark.parametrize(
    ("sealed", "opens"),
    [
        (["--key-file", "key"], ["--key-file", "key"]),
        (["--recipient", "me.pub"], ["--key-file", "me"]),
        (["--passphrase-file", "words", "--compress"], ["--passphrase-file", "words"]),
        (["--key-file", "key", "--key-file", "other"], ["--key-file", "other"]),
    ],
    ids=["key", "recipient", "passphrase", "two"],
)
def test_an_upload_goes_on_with_the_files_that_it_had(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch, sealed: list[str], opens: list[str]
) -> None:
    stopped_put(run, *sealed)
    monkeypatch.chdir("/")  # they are found from anywhere
    ran = run("resume")
    assert (ran.code, ran.out) == (0, "file\n"), ran.err
    assert "resuming from 26 %" in ran.err
    monkeypatch.chdir(here)
    assert run("get", "file", "copy", *opens).code == 0
    assert (here / "copy").read_bytes() == CONTENT


def test_a_key_file_that_is_gone_is_named_and_may_be_given_again(run: Run, here: Path) -> None:
    stopped_put(run, "--key-file", "key")
    (here / "key").rename(here / "moved")
    ran = run("resume")
    assert (ran.code, ran.out) == (8, "")
    assert f"{here / 'key'} is no longer there" in ran.err
    assert ASK in ran.err
    assert run("resume", "--key-file", "other").code == 8
    assert run("resume", "--key-file", "moved").code == 0


def test_a_passphrase_that_is_in_no_file_has_to_be_given_again(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_WORDS", WORDS)
    stopped_put(run, "--key-file", "key", "--passphrase-env", "MY_WORDS")
    ran = run("resume")
    assert (ran.code, "Not all of its keys are in files" in ran.err) == (8, True)
    assert ASK in ran.err
    assert run("resume", "--passphrase-env", "MY_WORDS").code == 8  # the key belongs to it, too
    answers = iter([WORDS])
    monkeypatch.setattr("towpath.cli.keyfiles._has_terminal", lambda: True)
    monkeypatch.setattr("click.prompt", lambda *_, **__: next(answers))
    assert run("resume", "--key-file", "key", "--ask-passphrase").code == 0


def test_a_download_goes_on_with_the_files_that_it_had(run: Run, here: Path) -> None:
    assert run("put", "file", "--chunk-size", "64KiB", "--key-file", "key").code == 0
    stopped_get(run, "--key-file", "key")
    (here / "key").rename(here / "moved")
    ran = run("resume")
    assert (ran.code, "[wrong-key]" in ran.err, "--key-file" in ran.err) == (7, True, True)
    (here / "moved").rename(here / "key")
    ran = run("resume", "--json")
    (result,) = ran.records("result")
    assert result["resumed_from"] >= 2 * 64 * 1024
    assert result["resumed_from"] + result["received_bytes"] == len(CONTENT)
    assert (here / "copy").read_bytes() == CONTENT


def test_keys_that_are_given_are_for_what_is_encrypted_alone(run: Run, here: Path) -> None:
    stopped_put(run, "--compress")
    assert run("resume", "--all", "--key-file", "key").code == 0
    assert run("get", "file", "copy").code == 0
    assert (here / "copy").read_bytes() == CONTENT


def test_no_key_and_no_passphrase_is_remembered(run: Run, here: Path, tmp_path: Path) -> None:
    stopped_put(run, "--key-file", "key", "--passphrase-file", "words")
    kept = b"".join(path.read_bytes() for path in (tmp_path / "xdg").rglob("*") if path.is_file())
    assert str(here / "key").encode() in kept
    assert (here / "key").read_text().split()[1].encode() not in kept
    assert WORDS.encode() not in kept
