"""Applications of other people with Towpath mounted in them, as they stand in examples/."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.web.running import PATIENCE, Served, until_it_listens
from tests.web.talk import CHUNK, TUS, Answer, Fields, Line, Tus, metadata, require_problem
from towpath.testing.pattern import Pattern
from towpath.testing.server import free_port

EXAMPLES = Path(__file__).parents[2] / "examples"
SIZE = 5_000_001


@dataclass
class Example:
    """One of them, running."""

    name: str
    process: subprocess.Popen[bytes]
    served: Served
    base: str  # where Towpath is in it

    def as_user(self, user: str) -> dict[str, str]:
        """What a request shows that the user makes."""
        match self.name:
            case "fastapi":
                return {"X-Api-Key": f"key-of-{user}"}
            case "starlette":
                return {"Cookie": f"session=cookie-of-{user}"}
        answer = Tus(self.served).ask("GET", f"/sign-in?name={user}&word=word%20of%20{user}")
        assert answer.document == {"signed_in": True}
        return {"Cookie": answer.fields["set-cookie"].partition(";")[0]}

    def ask(self, method: str, path: str, fields: Fields, body: bytes | None = None) -> Answer:
        """One request."""
        return Tus(self.served).ask(method, path, fields, body)

    def until_begun(self, key: str, fields: Fields) -> None:
        """Wait until bytes of this upload are durable, without disturbing whoever writes."""
        deadline = time.monotonic() + PATIENCE
        path = f"{self.base}/api/v1/uploads/{key}"
        while not self.ask("GET", path, fields).document["offset"]:
            assert time.monotonic() < deadline, "no byte of it came"
            time.sleep(0.01)

    def arrived(self, key: str) -> dict[str, object]:
        """What the application was told of the object; waits for it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            for told in json.loads(self.ask("GET", "/arrived", {}).body):
                if told["id"] == key:
                    found: dict[str, object] = told
                    return found
            assert time.monotonic() < deadline, "the application was not told"
            time.sleep(0.05)


@contextmanager
def running(name: str, folder: Path) -> Iterator[Example]:
    """The example as a process of its own, until the `with` ends."""
    port, log = free_port(), folder / "log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, str(EXAMPLES / name / "main.py"), str(port)],
            env={**os.environ, "DATA": str(folder / "data")},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        until_it_listens(("127.0.0.1", port), process, log)
        base = "/uploads" if name == "fastapi" else "/in"
        yield Example(name, process, Served(name, f"http://127.0.0.1:{port}", folder), base)
    finally:
        process.kill()
        process.wait(PATIENCE)


@pytest.fixture(scope="module", params=["fastapi", "starlette", "django"])
def example(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Example]:
    """Each of them."""
    with running(request.param, tmp_path_factory.mktemp(request.param)) as started:
        yield started


def test_a_file_is_uploaded_cut_off_carried_on_and_read(example: Example) -> None:
    content = b"".join(Pattern(example.name).views(0, SIZE))
    ann = example.as_user("ann")
    created = example.ask(
        "POST",
        f"{example.base}/files/",
        {**TUS, **ann, "Upload-Length": SIZE, "Upload-Metadata": metadata(name="a.bin")},
    )
    assert created.status == 201, created.body
    location = created.fields["location"]
    assert location.startswith(f"{example.base}/files/")
    line = Line(example.served)
    chunk = {**CHUNK, **ann, "Upload-Offset": 0, "Content-Length": SIZE}
    line.send_head("PATCH", location, chunk)
    line.send(content[: SIZE // 2])
    example.until_begun(location.rpartition("/")[2], ann)
    line.close()
    offset = example.ask("HEAD", location, {**TUS, **ann}).number("upload-offset")
    assert 0 < offset <= SIZE // 2
    rest = {**CHUNK, **ann, "Upload-Offset": offset}
    assert example.ask("PATCH", location, rest, content[offset:]).status == 204
    assert example.ask("GET", location, ann).body == content
    key = location.rpartition("/")[2]
    assert example.arrived(key) == {
        "id": key,
        "owner": "ann",
        "bytes": SIZE,
    }


def test_only_whom_the_application_knows_is_let_in(example: Example) -> None:
    length = {**TUS, "Upload-Length": 5}
    require_problem(example.ask("POST", f"{example.base}/files/", length), 401, "unauthenticated")
    mine = example.ask("POST", f"{example.base}/files/", {**length, **example.as_user("ann")})
    path = mine.fields["location"]
    assert example.ask("HEAD", path, {**TUS, **example.as_user("bob")}).status == 404


def test_who_is_refused_is_refused_before_the_body_comes(example: Example) -> None:
    line = Line(example.served)
    fields = {**CHUNK, "Upload-Length": 10**9, "Content-Length": 10**9}
    line.send_head("POST", f"{example.base}/files/", fields)
    status, _ = line.head()
    assert status == 401
    line.close()


def test_addresses_in_answers_lie_where_it_is_mounted(example: Example) -> None:
    ann = example.as_user("ann")
    sent = example.ask("POST", f"{example.base}/v1/uploads?name=b.txt", ann, b"short")
    assert sent.status == 201, sent.body
    assert sent.document["url"].startswith(f"{example.base}/files/")
    assert sent.fields["location"] == sent.document["url"]
    key = sent.document["id"]
    link = example.ask("POST", f"{example.base}/api/v1/objects/{key}/links", ann, b"{}")
    assert link.document["href"].startswith(f"{example.base}/files/{key}?link=")
    assert example.ask("GET", link.document["href"], {}).body == b"short"
    names = example.ask("GET", f"{example.base}/api/v1/names", ann).document["names"]
    assert all(name["href"].startswith(f"{example.base}/files/") for name in names)
    assert names
    described = example.ask("GET", f"{example.base}/api/v1/openapi.json", {}).document
    assert described["servers"] == [{"url": example.base}]
    page = example.ask("GET", f"{example.base}/api/docs", {}).body.decode()
    assert f'href="{example.base}/api/v1/openapi.json"' in page


def test_the_application_itself_goes_on_as_ever(example: Example) -> None:
    assert example.ask("GET", "/arrived", {}).status == 200
    assert example.ask("GET", "/no/such", {}).status == 404


@pytest.mark.parametrize("name", ["fastapi", "starlette", "django"])
def test_it_ends_with_the_application_and_goes_on_with_the_next(name: str, tmp_path: Path) -> None:
    with running(name, tmp_path) as first:
        ann = first.as_user("ann")
        fields = {**CHUNK, **ann, "Upload-Length": 10}
        made = first.ask("POST", f"{first.base}/files/", fields, b"half ")
        location = made.fields["location"]
        first.process.send_signal(signal.SIGTERM)
        assert first.process.wait(PATIENCE) in {0, -signal.SIGTERM}
    with running(name, tmp_path) as second:
        ann = second.as_user("ann")
        assert second.ask("HEAD", location, {**TUS, **ann}).number("upload-offset") == 5
        rest = {**CHUNK, **ann, "Upload-Offset": 5}
        assert second.ask("PATCH", location, rest, b"whole").status == 204
        assert second.arrived(location.rpartition("/")[2])["bytes"] == 10
