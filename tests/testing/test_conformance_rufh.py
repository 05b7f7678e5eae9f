"""The suite for Resumable Uploads accepts a server that keeps its clauses, and catches sins."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testing.sins_rufh import NOT_THE_NEWEST, SINS
from tests.testing.stub_rufh import RFC, RufhStub
from towpath.testing import rufh
from towpath.testing.conformance import Level, Result
from towpath.testing.rufh_versions import ASKED, VERSIONS
from towpath.testing.server import Server

NAMES = [check.name for check in rufh.CHECKS]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("interop", VERSIONS)
def test_a_server_that_does_all_of_a_version_passes(interop: str) -> None:
    with RufhStub(VERSIONS[interop].number) as stub:
        outcomes = rufh.run(stub.url, interop)
    assert [(each.name, each.seen) for each in outcomes if each.result is Result.FAIL] == []
    skips = {each.seen for each in outcomes if each.result is Result.SKIP}
    # In -01 nothing but the completeness can be said with a creation.
    assert skips <= {f"version {interop} does not ask it"}


# Before the RFC is out nobody who says no version is told anything by 104 (docs/divergence.md).
UNTOLD = {"a_creation_is_announced_before_its_content", "an_append_tells_its_progress"}


@pytest.fixture(scope="module")
def towpath(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where Towpath takes uploads, with stock settings."""
    with Server(tmp_path_factory.mktemp("towpath") / "data") as server:
        yield f"{server.url}/files/"


QUICK = ("3", "8")  # the others differ in single rows, and each run waits for much
EVERY = [pytest.param(each, marks=() if each in QUICK else pytest.mark.slow) for each in VERSIONS]


KEEPS = {  # the server may not have read all of it yet
    "a_creation_that_is_cut_keeps_what_came",
    "an_append_that_is_cut_keeps_what_came",
    "what_came_of_an_append_that_stalls_is_kept",
}


def failed(url: str, interop: str) -> dict[str, str]:
    """The checks that fail, and what they saw; bytes that were not kept had time to be read."""
    found = {each.name: each.seen for each in rufh.run(url, interop) if each.result is Result.FAIL}
    late = KEEPS & found.keys()
    if late:
        again = rufh.run(url, interop, only=late, noticed=5)
        kept = {each.name for each in again if each.result is Result.PASS}
        found = {name: seen for name, seen in found.items() if name not in kept}
    return found


@pytest.mark.timeout(240)
@pytest.mark.parametrize("interop", EVERY)
def test_towpath_does_what_the_version_asks(towpath: str, interop: str) -> None:
    found = failed(towpath, interop)
    assert found.keys() == (UNTOLD if interop == "rfc" else set()), found


@pytest.mark.timeout(240)
def test_towpath_does_what_the_rfc_asks_when_it_is_told_to_inform_everybody(tmp_path: Path) -> None:
    with Server(tmp_path / "data", environment={"TOWPATH_INFORMATIONAL": "always"}) as server:
        assert failed(f"{server.url}/files/", "rfc") == {}


@pytest.mark.parametrize("name", NAMES)
def test_the_check_catches_its_sin(name: str) -> None:
    number = NOT_THE_NEWEST.get(name, 8)
    with RufhStub(number, SINS[name]) as stub:
        (outcome,) = rufh.run(stub.url, str(number), only=[name], timeout=1)
    assert outcome.result is Result.FAIL
    assert outcome.seen


def test_every_check_has_its_sin_and_names_its_clause() -> None:
    assert list(SINS) == NAMES
    assert len(set(NAMES)) == len(NAMES)
    assert set(NAMES) >= KEEPS
    for check in rufh.CHECKS:
        assert re.search(r"\((\d+(\.\d)*, [A-Z]|.*draft|Draft).*\)\.?$", check.says), check.name


def test_every_row_of_the_table_is_asked_by_some_version_and_not_by_all() -> None:
    for what, (first, last) in ASKED.items():
        assert 3 <= first <= last <= RFC, what
        assert (first, last) != (3, RFC), what


def test_a_server_of_another_version_is_told_from_one_of_ours() -> None:
    with RufhStub(8) as stub:
        outcomes = rufh.run(stub.url, "3", only=["creation"])
    broken = [each for each in outcomes if each.breaks]
    assert broken
    assert all(each.level is Level.MUST for each in broken)


# The command


def test_the_command_asks_the_newest_draft_and_fails_for_a_must(
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = "a_conflict_tells_the_offset"
    with RufhStub(8, SINS[name]) as stub:
        assert rufh.main([stub.url, "--only", name]) == 1
    line, summary = capsys.readouterr().out.splitlines()
    assert line.startswith(
        f"fail MUST   append: {name}: PATCH with Upload-Draft-Interop-Version: 8"
    )
    assert line.endswith("409, without Upload-Offset (4.4.2, Upload Append, Server)")
    assert summary == "1 checks: 0 passed, 1 MUST and 0 SHOULD failed, 0 skipped"


def test_the_command_speaks_other_versions_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    with RufhStub(3) as stub:
        words = [stub.url, "--interop", "3", "--only", "offset", "--json"]
        assert rufh.main(words) == 0
    *outcomes, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert {each["extension"] for each in outcomes} == {"offset"}
    assert last["summary"]["failed_must"] == 0


def test_a_version_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="no version 2"):
        rufh.run("http://127.0.0.1:1/", "2")
