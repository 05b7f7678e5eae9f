"""Folders of very many files: what a command holds of them does not grow with their number."""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.client.fake import FakeServer
from tests.client.fake_facts import Upload, name_record

TIME, SAID = 1_700_000_000, "2023-11-14T22:13:20Z"
EACH = 50  # of so many files one is to be carried
PAGE = 300  # names that a sync asks for at once
HELD = 600  # objects of Towpath's own, whatever they are: 16 transfers, and a page of names


class Countless(FakeServer):
    """Has `number` empty files below many/, which it makes up as it is asked for them."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.held: list[int] = []
        self.gone: set[int] = set()  # numbers that it has not

    def add_each(self) -> None:
        """Those that are to be carried from here have to be there."""
        for number in range(0, self.number, EACH):
            self.add(name(number), b"").metadata["mtime"] = f"{TIME}000"

    def _api(
        self, sock: socket.socket, method: str, path: str, query: dict[str, list[str]]
    ) -> bool:
        if path == "names":
            after = int(query.get("after", ["many/-1"])[0].removeprefix("many/"))
            if after // PAGE % 4 == 3:
                self.held.append(held())
            last = min(after + int(query["limit"][0]), self.number - 1)
            numbers = (number for number in range(after + 1, last + 1) if number not in self.gone)
            rows = [self._record(number) for number in numbers]
            following = name(last) if last < self.number - 1 else None
            return self._json(sock, {"names": rows, "next": following})
        number = int(path.removeprefix("names/many/"))
        if number in self.gone:
            return self._problem(sock, 404, "not-found", "There is no such name")
        return self._json(sock, self._record(number))

    def _record(self, number: int) -> dict[str, object]:
        made_up = Upload(f"x{number}", 0, {"mtime": f"{TIME}000"}, name=name(number))
        known = self.uploads.get(f"u{number // EACH}") if number % EACH == 0 else None
        return {**name_record(known or made_up), "modified_at": SAID}


def name(number: int) -> str:
    return f"many/{number:06}"


def held() -> int:
    """Objects of Towpath's own classes that are alive."""
    gc.collect()
    return sum(str(type(each).__module__).startswith("towpath.") for each in gc.get_objects())


@pytest.fixture
def there(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Countless]:
    server = Countless(request.param)
    monkeypatch.setenv("TOWPATH_URL", server.url)
    monkeypatch.setattr("os.fsync", lambda _: None)  # what is counted here are objects
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def folder(there: Countless, tmp_path: Path) -> Path:
    """All of the files."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(there.number):
        path = folder / f"{number:06}"
        path.touch()
        os.utime(path, (TIME, TIME))
    return folder


@pytest.mark.timeout(120)
@pytest.mark.parametrize("there", [5_000], indirect=True)
def test_a_sync_that_goes_on_holds_a_page_of_names(
    run: Run, there: Countless, folder: Path
) -> None:
    there.add_each()
    for number in range(0, there.number, EACH):
        (folder / f"{number:06}").unlink()
    ran = run("sync", ":many", folder)
    assert (ran.code, len(ran.out.splitlines())) == (0, there.number // EACH)
    assert f"{there.number - there.number // EACH} the same, 0 removed." in ran.err
    assert len(list(folder.iterdir())) == there.number
    assert len(there.held) >= 4
    assert max(there.held) < there.held[0] + HELD


@pytest.mark.timeout(120)
@pytest.mark.parametrize("there", [5_000], indirect=True)
def test_a_put_that_goes_on_holds_no_more_than_what_it_carries(
    run: Run, there: Countless, folder: Path
) -> None:
    there.gone = set(range(0, there.number, EACH))
    ran = run("put", folder)
    assert (ran.code, len(ran.out.splitlines())) == (0, there.number // EACH)
    assert f"{there.number - there.number // EACH} left out: the server has them." in ran.err
    assert {each.name for each in there.uploads.values()} == {name(n) for n in there.gone}
    assert not [target for _, target, _ in there.requests if target.startswith("/api/v1/names/")]
    assert len(there.held) >= 4
    assert max(there.held) < there.held[0] + HELD
