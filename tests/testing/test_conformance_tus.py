"""The suite for tus passes on Towpath, runs on another server, and catches every planted sin."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.testing.sins_tus import SINS
from tests.testing.stub import asking
from tests.testing.stub_tus import TusStub
from towpath.testing import tus
from towpath.testing.conformance import Outcome, Result
from towpath.testing.server import Server
from towpath.testing.tus_peer import TusPeer

HERE = Path(__file__).parent
NAMES = [check.name for check in tus.CHECKS]
SLOW = {"an_expired_upload_is_gone": 1.0}  # check -> how long the stub's uploads live


def failed(outcomes: Sequence[Outcome]) -> dict[str, str]:
    return {each.name: each.seen for each in outcomes if each.result is Result.FAIL}


@pytest.fixture(scope="module")
def towpath(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where Towpath takes uploads."""
    with Server(tmp_path_factory.mktemp("towpath") / "data") as server:
        yield f"{server.url}/files/"


@pytest.mark.parametrize("name", NAMES)
def test_towpath_does_what_tus_asks(towpath: str, name: str) -> None:
    (outcome,) = tus.run(towpath, only=[name])
    assert outcome.result is not Result.FAIL, outcome.seen


def test_all_that_towpath_offers_is_checked(towpath: str) -> None:
    offered = set(TusPeer(towpath).extensions)
    checked = {each.extension for each in tus.run(towpath) if each.result is not Result.SKIP}
    assert offered | {"core"} == checked


@pytest.mark.parametrize("name", NAMES)
def test_a_server_that_does_all_of_it_passes(name: str) -> None:
    with TusStub(lifetime=SLOW.get(name, 3600)) as stub:
        (outcome,) = tus.run(stub.url, only=[name])
    assert outcome.result is not Result.FAIL, outcome.seen
    if outcome.result is Result.SKIP:
        assert outcome.seen == "concatenation-unfinished is offered"


@pytest.mark.parametrize("name", NAMES)
def test_the_check_catches_its_sin(name: str) -> None:
    with TusStub(SINS[name], lifetime=SLOW.get(name, 3600)) as stub:
        (outcome,) = tus.run(stub.url, only=[name], timeout=1)
    assert outcome.result is Result.FAIL
    assert outcome.seen


def test_every_check_has_its_sin_and_names_its_clause() -> None:
    assert list(SINS) == NAMES
    assert len(set(NAMES)) == len(NAMES)
    for check in tus.CHECKS:
        assert re.search(r"\((Core Protocol|Creation|Checksum|Expir|Term|Concat).*\)", check.says)


def test_a_server_that_says_nothing_fails_within_its_time() -> None:
    over = threading.Event()
    with TusStub(asking(lambda _: over.wait(30), on="HEAD")) as stub:
        (outcome,) = tus.run(stub.url, only=["head_tells_the_length"], timeout=2)
        over.set()
    assert outcome.result is Result.FAIL
    assert "no answer within 2 s" in outcome.seen


# The command


def test_the_command_prints_a_line_a_check_and_fails_for_a_must(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with TusStub(SINS["head_must_not_be_stored"]) as stub:
        assert tus.main([stub.url, "--only", "core"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert (
        "fail MUST   core: head_must_not_be_stored: HEAD: Cache-Control is no-cache "
        "(Core Protocol, Requests, HEAD)"
    ) in lines
    assert lines[-1] == "28 checks: 27 passed, 1 MUST and 0 SHOULD failed, 0 skipped"


def test_the_command_does_not_fail_for_a_should(capsys: pytest.CaptureFixture[str]) -> None:
    name = "a_mismatch_is_answered_with_460"
    with TusStub(SINS[name]) as stub:
        assert tus.main([stub.url, "--only", name, "--json"]) == 0
    outcome, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert (outcome["name"], outcome["result"], outcome["level"]) == (name, "fail", "SHOULD")
    assert summary["summary"]["failed_should"] == 1


def test_headers_go_with_every_request_and_are_not_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen = set()
    stub = TusStub()
    answer = stub.answer
    with stub:
        stub.answer = lambda ask: (seen.add(ask.fields.get("authorization")), answer(ask))[1]  # type: ignore[method-assign, func-returns-value]
        words = [stub.url, "--only", "creation", "--header", "Authorization: Bearer hush"]
        assert tus.main(words) == 0
    assert seen == {"Bearer hush"}
    assert "hush" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["http://127.0.0.1:1/files/"],
        ["ftp://127.0.0.1/"],
        ["http://127.0.0.1:1/", "--only", "nothing"],
        ["http://127.0.0.1:1/", "--header", "nothing"],
    ],
)
def test_what_cannot_be_checked_is_another_exit_code(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert tus.main(words) == 2
    assert "cannot be checked" in capsys.readouterr().err


# Another server


def node_serve(port: int, data: Path) -> Sequence[str]:
    return ["node", str(HERE / "tus_server.mjs"), str(port), str(data)]


# Known of @tus/server 2.4.5.
NODE = {
    "another_version_is_answered_with_412_and_ours": "400, not 412",
    "patch_of_another_media_type_is_refused": "400, not 415",
    "the_method_can_be_overridden": "400, not 204",
    "the_true_method_is_ignored_when_it_is_overridden": "the offset is 5",
    "a_creation_with_bytes_of_another_media_type_is_refused": "201, not 415",
    "a_termination_can_be_asked_for_by_post": "400, not 204",
}


@pytest.mark.interop
@pytest.mark.timeout(120)
def test_the_suite_runs_on_another_server_and_finds_what_is_known_of_it(tmp_path: Path) -> None:
    if not shutil.which("node") or not (HERE.parent / "interop/node_modules").exists():
        pytest.skip("LOUD: no other server was examined: install Node, then call make setup-node")
    with Server(tmp_path / "data", command=node_serve) as server:
        found = failed(tus.run(f"{server.url}/files"))
    assert found.keys() == NODE.keys(), found
    assert [name for name, seen in NODE.items() if seen not in found[name]] == []
