"""What tests of the command line share: a server, a way to run commands, and snapshots."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.cli.queueing import Runner, worked
from tests.client.fake import FakeServer, serving
from tests.web.running import Served, running
from towpath.cli.main import main

SNAPSHOTS = Path(__file__).parent / "snapshots"


@dataclass
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    def records(self, kind: str | None = None) -> list[dict[str, Any]]:
        """The JSON lines on stdout, all or those of one type."""
        found = [json.loads(line) for line in self.out.splitlines()]
        assert all(record["schema"] == 1 for record in found)
        return [record for record in found if kind in (None, record["type"])]


Run = Callable[..., Ran]


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with serving() as server:
        yield server


@pytest.fixture
def environment(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Where commands find server and state; `main` and processes see the same."""
    given = {
        "TOWPATH_URL": server.url,
        "XDG_STATE_HOME": str(tmp_path / "xdg"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "COLUMNS": "80",
        "PYTHONPATH": str(Path("src").absolute()),  # tests go elsewhere
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    for name in ("TOKEN", "TOKEN_FILE", "CA", "CERT", "CERT_KEY", "PROXY"):
        monkeypatch.delenv(f"TOWPATH_{name}", raising=False)
    monkeypatch.setattr("towpath.client.retry._FIRST", 0.001)
    monkeypatch.setattr("towpath.cli.layers.MACHINE", tmp_path / "etc" / "config.toml")
    return given


@pytest.fixture
def run(environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process."""

    def run(*args: object) -> Ran:
        capsys.readouterr()
        code = main([str(arg) for arg in args])
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return run


@pytest.fixture
def live(
    run: Run, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Served]:
    """A real server of this test alone, which commands speak to."""
    with running("direct", tmp_path / "server") as served:
        monkeypatch.setenv("TOWPATH_URL", served.url)
        environment["TOWPATH_URL"] = served.url
        yield served


@pytest.fixture
def start(environment: dict[str, str]) -> Callable[..., "subprocess.Popen[str]"]:
    """Start a command in a process of its own."""

    def start(*args: object, **rest: Any) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "towpath", *map(str, args)],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **rest,
        )

    return start


@pytest.fixture
def runner(environment: dict[str, str], server: FakeServer) -> Iterator[Runner]:
    """The queue's worker; at the end none is left."""
    with worked(environment["XDG_STATE_HOME"]) as found:
        yield found
        server.release.set()


@pytest.fixture
def snapshot() -> Callable[[str, str], None]:
    """Compare a text with the file of that name. To renew a snapshot, remove its file and run."""

    def compare(name: str, text: str) -> None:
        path = SNAPSHOTS / f"{name}.txt"
        if not path.exists():
            path.write_text(text)
            pytest.fail(f"{path.name} was missing and is written now: look at it")
        assert text == path.read_text()

    return compare


@pytest.fixture
def big(tmp_path: Path) -> Path:
    path = tmp_path / "big.bin"
    path.write_bytes(Random(1).randbytes(20_000_000))
    return path
