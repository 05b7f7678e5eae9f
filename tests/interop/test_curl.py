"""curl, as people use it by hand."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.interop.conftest import digest, require_same
from tests.interop.cutting import cutting
from tests.web.running import Served
from tests.web.talk import Tus

PATIENCE = 25.0
CUT = {18, 52, 55, 56}  # curl's words for a connection that ended early
CHUNK = ("-H", "Tus-Resumable: 1.0.0", "-H", "Content-Type: application/offset+octet-stream")

pytestmark = pytest.mark.skipif(
    shutil.which("curl") is None, reason="LOUD: curl has sent and read nothing: install curl"
)


def curl(*words: str | Path, stdin: Path | None = None) -> subprocess.CompletedProcess[str]:
    """What it printed and how it ended."""
    with (stdin or Path("/dev/null")).open("rb") as given:
        return subprocess.run(
            ["curl", "--silent", "--show-error", *words],
            stdin=given,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )


def field(head: str, name: str) -> str:
    found = re.search(rf"^{name}: (.*?)\r?$", head, re.IGNORECASE | re.MULTILINE)
    assert found is not None, head
    return found[1]


@pytest.mark.parametrize("source", ["file", "pipe"])
def test_an_upload_that_is_cut_goes_on_from_its_offset(
    server: Served, large: Path, tmp_path: Path, source: str
) -> None:
    size = large.stat().st_size
    made = curl("-i", "-X", "POST", *CHUNK, "-H", f"Upload-Length: {size}", f"{server.url}/files/")
    path = field(made.stdout, "location")
    body = large if source == "file" else Path("-")
    with cutting(server.address, up=size // 2) as cutter:
        cut = curl(
            "-X",
            "PATCH",
            *CHUNK,
            "-H",
            "Upload-Offset: 0",
            "-T",
            body,
            cutter.url + path,
            stdin=large,
        )
        assert cut.returncode in CUT, cut.stderr
    head = curl("-I", "-H", "Tus-Resumable: 1.0.0", server.url + path)
    offset = int(field(head.stdout, "upload-offset"))
    assert 0 < offset < size
    rest = tmp_path / "rest"
    rest.write_bytes(large.read_bytes()[offset:])
    body = rest if source == "file" else Path("-")
    done = curl(
        *("-i", "-X", "PATCH", *CHUNK, "-H", f"Upload-Offset: {offset}"),
        *("-T", body, server.url + path),
        stdin=rest,
    )
    assert " 204 " in done.stdout, done.stdout
    require_same(server, path, large)


def test_an_upload_as_http_has_it_shows_its_address_before_it_is_cut(
    processes: Callable[[str], Served], files: Path, tmp_path: Path
) -> None:
    server, large = processes("direct"), files / "direct" / "large file.bin"
    size = large.stat().st_size
    version = ("-H", "Upload-Draft-Interop-Version: 8")
    with cutting(server.address, up=size // 2) as cutter:
        cut = curl(
            *("--verbose", "--include", "-X", "POST", *version, "-H", "Upload-Complete: ?1"),
            *("-H", "Content-Type: application/x-large", "-T", large, f"{cutter.url}/files"),
        )
        assert cut.returncode in CUT, cut.stderr
    assert "HTTP/1.1 104" in cut.stdout
    assert "< HTTP/1.1 104" in cut.stderr
    path = field(cut.stdout, "location")
    head = curl("-I", *version, server.url + path).stdout
    assert field(head, "upload-complete") == "?0"
    offset = int(field(head, "upload-offset"))
    assert 0 < offset < size
    rest = tmp_path / "rest"
    rest.write_bytes(large.read_bytes()[offset:])
    done = curl(
        *("-i", "-X", "PATCH", *version, "-H", "Upload-Complete: ?1"),
        *("-H", f"Upload-Offset: {offset}", "-H", "Content-Type: application/partial-upload"),
        *("-T", rest, server.url + path),
    )
    assert field(done.stdout, "upload-complete") == "?1"
    require_same(server, path, large)


def test_a_file_that_is_put_by_its_name_is_there_whole_or_not_at_all(
    server: Served, large: Path
) -> None:
    with cutting(server.address, up=large.stat().st_size // 2) as cutter:
        cut = curl("-T", large, f"{cutter.url}/names/cut/")
        assert cut.returncode in CUT, cut.stderr
    assert " 404 " in curl("-I", f"{server.url}/names/cut/large%20file.bin").stdout
    done = curl("-i", "-T", large, f"{server.url}/names/whole/")
    assert " 201 " in done.stdout, done.stdout + done.stderr
    answer = Tus(server).ask("GET", "/names/whole/large%20file.bin")
    assert hashlib.sha256(answer.body).digest() == digest(large)
    assert Tus(server).ask("DELETE", "/names/whole/large%20file.bin").status == 204


def test_a_download_that_is_cut_goes_on_from_where_it_was(
    server: Served, large: Path, tmp_path: Path
) -> None:
    size = large.stat().st_size
    path = Tus(server).put(large.read_bytes())
    got = tmp_path / "got"
    with cutting(server.address, down=size // 2) as cutter:
        cut = curl("-o", got, cutter.url + path)
        assert cut.returncode in CUT, cut.stderr
        assert 0 < got.stat().st_size < size
        assert curl("--fail", "-C", "-", "-o", got, cutter.url + path).returncode == 0
    assert hashlib.sha256(got.read_bytes()).digest() == digest(large)


def test_a_download_gets_the_name_of_the_object(server: Served, tmp_path: Path) -> None:
    path = Tus(server).put(b"abc", upload_metadata="name YS9uYW1lZC50eHQ=")
    done = curl("--fail", "-OJ", "--output-dir", tmp_path, server.url + path)
    assert done.returncode == 0, done.stderr
    (file,) = tmp_path.iterdir()
    assert re.fullmatch(r"named( \(\d+\))?\.txt", file.name)
    assert file.read_bytes() == b"abc"
