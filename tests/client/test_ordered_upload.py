"""A file in order to servers of resumable uploads for HTTP, which know nothing of tus.

They are those that the suite for that dialect is proven with: each speaks one version.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.testing.stub import Ask, Say, Sin
from tests.testing.stub_rufh import RufhStub
from towpath.client import Client
from towpath.client.resume import Notebook

MIB = 1024 * 1024
SIZE = 4 * MIB + 321


class Sins:
    """What the server does wrong in the middle of a test, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Ask] = []
        self.loses_answers = 0  # of chunks that complete an upload
        self.limit = ""  # more in Upload-Limit

    def ask(self, ask: Ask) -> None:
        self.asked.append(ask)

    def say(self, ask: Ask, said: Say) -> None:
        if self.limit and "upload-limit" in said.fields:
            said.fields["upload-limit"] += f", {self.limit}"
        if ask.method == "PATCH" and ask.upload and ask.upload.complete and self.loses_answers:
            self.loses_answers -= 1
            raise ConnectionError

    def chunks(self) -> list[int]:
        """Bytes of each chunk that was announced."""
        return [int(ask.fields["content-length"]) for ask in self.asked if ask.method == "PATCH"]


@pytest.fixture
def sins() -> Sins:
    return Sins()


@pytest.fixture(params=[6, 7, 8, 9])
def there(request: pytest.FixtureRequest, sins: Sins) -> Iterator[RufhStub]:
    with RufhStub(request.param, Sin(ask=sins.ask, say=sins.say)) as stub:
        yield stub


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "some file"
    path.write_bytes(Random(5).randbytes(SIZE))
    return path


def root(stub: RufhStub) -> str:
    return stub.url.removesuffix("/files/")


def stored(stub: RufhStub) -> list[tuple[bytes, bool]]:
    """What the server has, and whether it knows that it is all."""
    return [(bytes(upload.data), upload.complete) for upload in stub.uploads.values()]


@pytest.mark.parametrize("size", [0, 1000, 300_000, 24 * MIB])
def test_a_file_of_any_size_arrives_by_the_version_that_the_server_speaks(
    there: RufhStub, tmp_path: Path, size: int
) -> None:
    content = Random(size).randbytes(size)
    (tmp_path / "x").write_bytes(content)
    with Client(root(there), state_dir=tmp_path / "state") as client:
        done = client.upload(tmp_path / "x", "folder/x").result()
    assert stored(there) == [(content, True)]
    assert (done.length, done.sent_bytes, done.verified) == (size, size, False)
    assert done.url in {f"{root(there)}{path}" for path in there.uploads}
    assert not list(Notebook(tmp_path / "state").all())


def test_another_client_goes_on_where_the_server_is(
    there: RufhStub, file: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    with Client(root(there), state_dir=state, limit="2MiB") as client:
        transfer = client.upload(file, "x")
        assert any(progress.sent_bytes >= MIB for progress in transfer)
        transfer.pause()
    (note,) = Notebook(state).all()
    assert note.dialect == f"rufh {min(there.number, 8)}"  # the last one hears them all
    with Client(root(there), state_dir=state) as client:
        done = client.upload(file, "x").result()
    assert 0 < done.resumed_from == SIZE - done.sent_bytes
    assert stored(there) == [(file.read_bytes(), True)]


def test_chunks_are_no_longer_than_the_server_takes(
    there: RufhStub, sins: Sins, file: Path, tmp_path: Path
) -> None:
    sins.limit = f"max-append-size={MIB}"
    with Client(root(there), state_dir=tmp_path / "state") as client:
        client.upload(file, "x").result()
    assert sins.chunks() == [MIB] * 4 + [321]
    assert stored(there) == [(file.read_bytes(), True)]


def test_a_lost_last_answer_is_asked_for_and_nothing_goes_twice(
    there: RufhStub, sins: Sins, file: Path, tmp_path: Path
) -> None:
    sins.loses_answers = 1
    with Client(root(there), state_dir=tmp_path / "state") as client:
        done = client.upload(file, "x").result()
    assert done.sent_bytes == SIZE
    assert sins.chunks() == [SIZE]
    assert stored(there) == [(file.read_bytes(), True)]


def test_who_cancels_leaves_nothing_there(there: RufhStub, file: Path, tmp_path: Path) -> None:
    with Client(root(there), state_dir=tmp_path / "state", limit="1MiB") as client:
        transfer = client.upload(file, "x")
        assert any(progress.sent_bytes >= MIB // 4 for progress in transfer)
        transfer.cancel()
    assert stored(there) == []
