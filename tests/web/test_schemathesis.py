"""schemathesis asks the server everything that its description allows, and what it forbids.

A sample drawn from the commit; no finding is excused but those that the file beside this one names,
with their reason.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.web.process import process
from tests.web.tokens import token, write_tokens

EXAMPLES = 10
"""Requests for each call and way of drawing, beside those of every single rule of a schema."""


@pytest.mark.timeout(300)
def test_schemathesis_finds_nothing(tmp_path: Path, commit_seed: int) -> None:
    limits = {"max_length": "64MiB", "document_length": "64MiB", "document_uploads": 100_000}
    tokens = str(write_tokens(tmp_path / "tokens.toml"))
    with process("direct", tmp_path, tokens=tokens, **limits) as started:
        ran = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli"),
                *("--config-file", str(Path(__file__).parent / "schemathesis.toml")),
                *("run", f"{started.served.url}/api/v1/openapi.json"),
                *("--header", f"Authorization: Bearer {token('alice')}"),
                *("--seed", str(commit_seed), "--max-examples", str(EXAMPLES)),
                *("--continue-on-failure", "--no-shrink", "--request-timeout", "20"),
                *("--suppress-health-check", "all"),  # how fast it draws is the machine's business
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        failed = [entry for entry in started.entries() if entry["message"] == "a request failed"]
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    assert "Tested: " in ran.stdout
    assert failed == []
