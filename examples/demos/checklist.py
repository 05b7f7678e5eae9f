"""Check a running server before it goes to production.

TOWPATH_URL=https://files.example TOWPATH_TOKEN=... python checklist.py --size 20

Each line says what was found; the exit code is 1 if something is not as it should be. It uploads
one file under `checklist/` and removes it again.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sample import MB, arguments, same, sample

from towpath import Client, TowpathError
from towpath.errors import Forbidden, NotFound, Unauthenticated
from towpath.uds3 import StreamingManager, format_bytes

Finding = tuple[bool, str]
LOOPBACK = ("127.0.0.1", "localhost", "::1")
NAME = "checklist/sample.bin"


def encrypted(url: str) -> Finding:
    """Nobody on the way can read it."""
    parts = urlsplit(url)
    if parts.hostname in LOOPBACK:
        return True, f"{parts.scheme} to this machine itself"
    return parts.scheme == "https", f"it is spoken to by {parts.scheme}"


def ready(url: str) -> Finding:
    """Its parts say that they work."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=10) as answer:
            parts = " ".join(answer.read(2000).decode().split())
    except urllib.error.HTTPError as error:
        return False, f"/readyz answers {error.code}: {error.read(500).decode(errors='replace')}"
    return True, f"/readyz: {parts}"


def guarded(url: str) -> Finding:
    """Who shows no token is not let in."""
    try:
        with tempfile.TemporaryDirectory() as folder, Client(url, state_dir=folder) as client:
            list(client.names("checklist/"))
    except (Unauthenticated, Forbidden) as error:
        return True, f"without a token: {error.code}"
    local = urlsplit(url).hostname in LOOPBACK
    return local, "without a token everything is open" + (" (to this machine)" if local else "")


def durable(about: dict[str, Any]) -> Finding:
    """What is acknowledged survives a power cut."""
    return about["durability"] == "strict", f"durability is {about['durability']}"


def roomy(about: dict[str, Any], wanted: int) -> Finding:
    """There is disk space, and the store takes writes."""
    store = about["store"]
    free = store["free"]
    good = not store["read_only"] and (free is None or free >= wanted)
    text = "unknown" if free is None else format_bytes(free)
    return good, f"free: {text} (wanted: {format_bytes(wanted)}); read-only: {store['read_only']}"


def bounded(about: dict[str, Any]) -> Finding:
    """Its memory has a limit, and was not used up."""
    memory = about["memory"]
    used = f"{format_bytes(memory['peak'])} of {format_bytes(memory['budget'])}"
    return memory["peak"] < memory["budget"], f"blocks took {used} at most"


def round_trip(manager: StreamingManager, folder: Path, size: int) -> Finding:
    """A file goes there and back."""
    source = sample(folder / "sample.bin", size)
    began = time.perf_counter()
    result = manager.upload_large_file(source, NAME)
    up = time.perf_counter() - began
    if not result:
        return False, f"upload: {result['error']}"
    good = manager.verify_upload(result["operation_id"])
    down = manager.download_large_file(NAME, folder / "copy.bin")
    if not down:
        return False, f"download: {down['error']}"
    good = good and same(source, folder / "copy.bin")
    return good, f"{format_bytes(size)} went up in {up:.2f} s, and came back the same"


def resumable(manager: StreamingManager, folder: Path) -> Finding:
    """An upload that stops goes on where it was."""

    def pause(progress: Any) -> None:  # noqa: ANN401 - a number with the progress in it
        if progress.transferred_bytes and not progress.is_complete:
            manager.pause_operation(progress.operation_id)

    key = manager.upload_file(folder / "sample.bin", NAME, pause)
    (stopped,) = manager.wait_for_operations([key])
    if stopped.status != "paused":
        return True, "the file went up before it could be stopped; try a larger --size"
    result = manager.resume_upload(key)
    return bool(result), f"it went on from byte {result['resumed_from_bytes']}"


def main() -> None:
    """Ask everything, say everything."""
    wanted: dict[str, Any] = {"type": float, "default": 10.0, "help": "GB that are to be free"}
    found = arguments("Check a running server.", 20, free=wanted)
    url = os.environ.get("TOWPATH_URL", "http://127.0.0.1:8000").rstrip("/")
    bad = 0

    def say(what: str, look: Callable[[], Finding]) -> None:
        nonlocal bad
        try:
            good, text = look()
        except (TowpathError, OSError) as error:
            good, text = False, str(error)
        bad += not good
        print(f"[{'ok' if good else 'NO'}] {what}: {text}")

    with tempfile.TemporaryDirectory(prefix="towpath-checklist-") as name:
        folder = Path(name)
        say("encrypted on the way", lambda: encrypted(url))
        say("ready", lambda: ready(url))
        say("guarded", lambda: guarded(url))
        token = os.environ.get("TOWPATH_TOKEN")
        with Client(url, token, state_dir=folder / "state") as client:
            try:
                about = dict(client.server())
            except TowpathError as error:
                sys.exit(f"[NO] it does not tell of itself: {error}")
            print(f"     Towpath {about['version']}, up for {about['uptime_seconds']:.0f} s")
            say("durable", lambda: durable(about))
            say("roomy", lambda: roomy(about, int(found.free * 1024 * MB)))
            say("bounded memory", lambda: bounded(about))
            options: dict[str, Any] = {"chunk_size": MB, "retry_delay_seconds": 1}
            with StreamingManager(url=url, state_dir=folder / "state", **options) as manager:
                say("round trip", lambda: round_trip(manager, folder, found.size))
                say("resumable", lambda: resumable(manager, folder))
            with contextlib.suppress(NotFound):
                client.remove(NAME)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
