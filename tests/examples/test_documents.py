"""The example clients of document sessions upload, and go on where an upload was interrupted."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.web.forming import Forms
from tests.web.running import House, Served, running
from tests.web.tokens import token, write_tokens
from towpath.testing.pattern import Pattern
from towpath.testing.server import Server

FOLDER = Path(__file__).parents[2] / "examples" / "documents"
BASE = "/api/documents/streaming"
MIB = 1 << 20
SIZE = 20 * MIB + 321  # three chunks of 8 MiB
LARGE = 200 * MIB

NODE = shutil.which("node")
RUNS = [
    pytest.param([sys.executable, str(FOLDER / "client.py")], id="python"),
    pytest.param(
        # Node 20 has WebSockets, and wants to be asked for them.
        [NODE or "node", "--experimental-websocket", str(FOLDER / "client.mjs")],
        id="node",
        marks=[
            pytest.mark.interop,
            pytest.mark.skipif(
                NODE is None, reason="LOUD: the example in Node has sent nothing: install Node"
            ),
        ],
    ),
]


@pytest.fixture
def served(house: House) -> Served:
    return house.get("direct", document_uploads=1000)


@pytest.fixture
def paper(tmp_path: Path) -> Path:
    return Pattern("paper").write(tmp_path / "a paper.pdf", SIZE)


def run(words: list[str], *more: str, secret: str = "") -> tuple[int, str, str]:
    ran = subprocess.run(
        [*words, *more],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "TOWPATH_TOKEN": secret},
    )
    return ran.returncode, ran.stdout, ran.stderr


@pytest.mark.parametrize("words", RUNS)
def test_an_example_uploads_a_document(served: Served, paper: Path, words: list[str]) -> None:
    code, out, said = run(words, served.url, str(paper))
    assert code == 0, said
    document = json.loads(out)
    assert (document["title"], document["filename"]) == ("a paper", "a paper.pdf")
    assert document["file_size"] == SIZE
    assert document["sha256"] == Pattern("paper").sha256(SIZE)
    assert said.count("chunk") >= 3
    stored = Forms(served, BASE).bytes_of(document["id"])
    assert hashlib.sha256(stored).hexdigest() == document["sha256"]


@pytest.mark.parametrize("words", RUNS)
def test_an_example_goes_on_with_what_is_missing(
    served: Served, paper: Path, words: list[str]
) -> None:
    client = Forms(served, BASE)
    said = {"filename": paper.name, "file_size": SIZE, "chunk_size": 8 * MIB}
    key = client.json("POST", "/initiate", said).document["session_id"]
    middle = paper.read_bytes()[8 * MIB : 16 * MIB]
    sent = client.form(f"/chunk/{key}", [("chunk_id", "1"), ("file", middle)])
    assert sent.status == 200, sent.body
    code, out, told = run(words, served.url, str(paper), key)
    assert code == 0, told
    assert json.loads(out)["sha256"] == Pattern("paper").sha256(SIZE)
    assert "chunk 1" not in told


@pytest.mark.parametrize("words", RUNS)
def test_an_example_shows_a_token_and_says_why_it_is_refused(
    tmp_path: Path, paper: Path, words: list[str]
) -> None:
    with running("direct", tmp_path, tokens=write_tokens(tmp_path / "tokens")) as served:
        code, _, said = run(words, served.url, str(paper))
        assert code != 0
        assert "You are not known here." in said
        code, _, said = run(words, served.url, str(paper), secret=token("alice"))
        assert code == 0, said


@pytest.mark.parametrize("words", RUNS)
def test_an_example_needs_no_address_of_a_server_with_stock_settings(
    stock: Server, tmp_path: Path, words: list[str]
) -> None:
    """A long chunk, so that news of it come while it does."""
    large = Pattern("large").write(tmp_path / "large.pdf", LARGE)
    code, out, said = run(words, str(large))
    assert code == 0, said + stock.tail()
    assert json.loads(out)["sha256"] == Pattern("large").sha256(LARGE)
    assert re.search(r"\d % .*KiB/s", said), said


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory, program: Sequence[str]) -> Iterator[Server]:
    """`towpath serve` as it is, at its default port."""
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", 8000)):
        pytest.fail("somebody listens on port 8000, which this test needs")
    folder = tmp_path_factory.mktemp("stock")

    def command(_: int, data: Path) -> Sequence[str]:
        return [*program, "serve", "--data", str(data)]

    with Server(folder / "data", command=command, port=8000) as server:
        yield server
