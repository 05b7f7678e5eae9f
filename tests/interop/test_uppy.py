"""Uppy in Chromium, on a page of another origin than the server's."""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.interop.conftest import require_same
from tests.interop.cutting import cutting
from tests.web.process import process
from tests.web.running import Served

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
BROWSER = shutil.which("chromium")
PAGE = '<!doctype html><meta charset="utf-8"><input type="file"><script src="page.js"></script>'
PATIENCE = 90.0

pytestmark = [
    pytest.mark.interop,
    pytest.mark.timeout(120),  # a browser starts slowly on a machine that does much else
    pytest.mark.skipif(BROWSER is None, reason="LOUD: Uppy has sent nothing: install chromium"),
    pytest.mark.skipif(
        not MODULES.exists(),
        reason="LOUD: Uppy has sent nothing: install Node, then call make setup-node",
    ),
]


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing of it."""

    def log_message(self, *said: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The origin of the page."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "index.html").write_text(PAGE)
    words = ["--bundle", "--log-level=warning", f"--outfile={folder / 'page.js'}"]
    esbuild = MODULES / ".bin" / "esbuild"
    subprocess.run([esbuild, HERE / "uppy.js", *words], check=True, timeout=PATIENCE)
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        thread = threading.Thread(target=served.serve_forever, name="page")
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def open_to_page(page: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that the page may ask."""
    folder = tmp_path_factory.mktemp("open")
    with process("direct", folder, cors_origins=page) as made:
        yield made.served


def upload(page: str, endpoint: str, file: Path, profile: Path, **options: Any) -> dict[str, Any]:
    """What the page says of it."""
    query = urlencode({"endpoint": endpoint, "options": json.dumps(options)})
    told = {
        "browser": BROWSER,
        "profile": str(profile),
        "page": f"{page}/index.html?{query}",
        "file": str(file),
        "patience": PATIENCE * 1000,
    }
    done = subprocess.run(
        ["node", HERE / "drive.mjs", json.dumps(told)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


WAYS: dict[str, dict[str, Any]] = {
    "as one": {},
    "in chunks": {"chunkSize": 7 * 1024 * 1024},
    "four at once": {"parallelUploads": 4},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_page_of_another_origin_uploads_through_a_cut(
    open_to_page: Served, page: str, files: Path, tmp_path: Path, way: str
) -> None:
    large = files / "direct" / "large file.bin"
    with cutting(open_to_page.address, up=large.stat().st_size // 2) as cutter:
        endpoint = f"{cutter.url}/files/"
        done = upload(page, endpoint, large, tmp_path / "profile", **WAYS[way])
        assert cutter.cuts == 1
    assert done["failed"] == [], done
    assert done["origin"] == page
    (url,) = done["urls"]
    require_same(open_to_page, url, large)


def test_a_page_that_may_not_ask_is_refused_by_the_browser(
    processes: Callable[[str], Served], page: str, tmp_path: Path
) -> None:
    server = processes("direct")
    small = tmp_path / "small"
    small.write_bytes(b"abc")
    done = upload(page, f"{server.url}/files/", small, tmp_path / "profile", retryDelays=[])
    assert done["urls"] == []
    assert any("CORS policy" in line for line in done["said"]), done
