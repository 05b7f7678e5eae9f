"""What `towpath serve` says of a file or folder that cannot be used: which, in whole sentences."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Start = Callable[..., "subprocess.Popen[str]"]
LACKING = "No such file or directory"


@pytest.mark.skipif(os.name == "nt", reason="systems word it in other ways")
@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (("--tokens", "missing"), LACKING),
        (("--config", "missing"), LACKING),
        (("--unix-socket", "missing/socket"), LACKING),
        (("--data", "file/missing"), "Not a directory"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_in_whole_sentences(
    start: Start, tmp_path: Path, said: tuple[str, str], cause: str
) -> None:
    (tmp_path / "file").touch()
    option, name = said
    missing = tmp_path / name
    words = ("--data", str(tmp_path / "data"), "--port", "0", option, str(missing))
    with start("serve", *words) as process:  # a process of its own: logging is set up there
        assert process.stderr is not None
        told = process.stderr.read()
    assert process.returncode not in (0, None)
    why = rf"{cause}(: '.*')?( \(\w+\))?\. "
    assert re.search(rf"{re.escape(str(missing))}[^.]*\. .*{why}", told), told
    assert re.search(r"\. \[[a-z-]+\]\n\Z", told), told
