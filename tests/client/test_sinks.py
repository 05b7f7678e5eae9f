"""Downloads to what is no path: in order, each byte once, and proven at the end."""

import asyncio
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import towpath
from tests.client.conftest import sample
from tests.client.fake import FakeServer
from towpath import errors
from towpath.client.transfer import in_thread

DATA = sample(5_000_001)

Get = Callable[..., tuple[bytes, Any]]


@pytest.fixture
def there(server: FakeServer) -> FakeServer:
    server.add("docs/big.bin", DATA)
    return server


class Dribbling(io.RawIOBase):
    """A raw file, which may take less than it is given."""

    def __init__(self) -> None:
        self.taken = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.taken += data[:100_000]
        return min(len(data), 100_000)


def to_file(client: towpath.Client, name: str) -> tuple[bytes, Any]:
    file = io.BytesIO()
    result = client.download(name, file).result()
    return file.getvalue(), result


def to_raw_file(client: towpath.Client, name: str) -> tuple[bytes, Any]:
    file = Dribbling()
    result = client.download(name, file).result()  # type: ignore[arg-type]
    return bytes(file.taken), result


def to_function(client: towpath.Client, name: str) -> tuple[bytes, Any]:
    found = bytearray()

    def take(block: memoryview) -> None:
        found.extend(block)

    result = client.download(name, take).result()
    return bytes(found), result


def by_blocks(client: towpath.Client, name: str) -> tuple[bytes, Any]:
    return b"".join(client.blocks(name)), None


@pytest.fixture(params=[to_file, to_raw_file, to_function, by_blocks, None])
def get(request: pytest.FixtureRequest, server: FakeServer, state: Path) -> Get:
    def run(name: str, **options: Any) -> tuple[bytes, Any]:
        if request.param is None:  # the asynchronous iterator

            async def main() -> bytes:
                async with towpath.AsyncClient(server.url, state_dir=state, **options) as client:
                    return b"".join([block async for block in client.blocks(name)])

            return asyncio.run(main()), None
        with towpath.Client(server.url, state_dir=state, **options) as client:
            found: tuple[bytes, Any] = request.param(client, name)
            return found

    return run


def test_all_bytes_come_in_order_and_are_verified(get: Get, there: FakeServer) -> None:
    data, result = get("docs/big.bin")
    assert data == DATA
    if result is not None:
        assert (result.length, result.path, result.verified) == (5_000_001, "-", True)
        assert result.crc64nvme == f"{there.named('docs/big.bin').crc:016x}"


def test_an_address_works_as_well_as_a_name(get: Get, there: FakeServer) -> None:
    assert get(f"{there.url}files/u0")[0] == DATA


def test_an_empty_object_gives_nothing(get: Get, server: FakeServer) -> None:
    server.add("empty", b"")
    assert get("empty")[0] == b""


@pytest.mark.parametrize("at", [0, 1, 1_048_576, 5_000_000])
def test_after_a_cut_only_the_rest_is_asked_for(get: Get, there: FakeServer, at: int) -> None:
    there.fail_download("cut", at=at)
    assert get("docs/big.bin")[0] == DATA
    asked = [fields for method, target, fields in there.requests if "/files/" in target]
    assert asked[-1].get("range") == (f"bytes={at}-5000000" if at else None)


def test_wrong_bytes_are_told_at_the_end(get: Get, there: FakeServer) -> None:
    there.fail_download("wrong-digest")
    with pytest.raises(errors.DigestMismatch, match="Do not use what came"):
        get("docs/big.bin")


def test_an_object_that_was_replaced_meanwhile_is_not_mixed(get: Get, there: FakeServer) -> None:
    there.fail_download("replaced", at=1_000_000)
    with pytest.raises(errors.NameConflict, match="another object now"):
        get("docs/big.bin")


def test_an_object_that_was_removed_meanwhile_is_gone(get: Get, there: FakeServer) -> None:
    there.fail_download("removed", at=1_000_000)
    with pytest.raises(errors.NotFound, match="no longer there"):
        get("docs/big.bin")


def test_a_name_that_is_not_there_is_said(get: Get, server: FakeServer) -> None:
    with pytest.raises(errors.NotFound):
        get("nothing")


def test_a_server_that_stays_away_is_given_up(get: Get, there: FakeServer) -> None:
    for _ in range(4):
        there.fail_download("cut", at=0)
    with pytest.raises(errors.Cut):
        get("docs/big.bin", retries=2)


def test_a_sink_that_fails_ends_the_download(there: FakeServer, state: Path) -> None:
    def full(block: memoryview) -> None:
        raise OSError(28, "No space left on device")

    with (
        towpath.Client(there.url, state_dir=state) as client,
        pytest.raises(errors.TransferError, match="No space left") as failed,
    ):
        client.download("docs/big.bin", full).result()
    assert isinstance(failed.value.__cause__, OSError)


def test_a_file_that_takes_nothing_now_is_not_taken_for_one_that_took_all(
    there: FakeServer, state: Path
) -> None:
    class Full(io.RawIOBase):
        def write(self, data: Any) -> None:
            return None

    with (
        towpath.Client(there.url, state_dir=state) as client,
        pytest.raises(errors.TransferError, match="takes nothing now"),
    ):
        client.download("docs/big.bin", Full()).result()  # type: ignore[arg-type]


def test_without_verifying_wrong_bytes_pass(there: FakeServer, state: Path) -> None:
    there.fail_download("wrong-digest")
    with towpath.Client(there.url, state_dir=state, verify=False) as client:
        result = client.download("docs/big.bin", io.BytesIO()).result()
    assert (result.verified, result.crc64nvme) == (False, None)


def test_a_pause_hands_no_byte_on_twice(there: FakeServer, state: Path) -> None:
    there.fail_download("hold", at=2_000_000)
    file = io.BytesIO()

    async def main() -> Any:
        async with towpath.AsyncClient(there.url, state_dir=state) as client:
            transfer = client.download("docs/big.bin", file)
            await in_thread(lambda: there.wait_for(2_000_000))
            await transfer.pause()
            there.release.set()
            await transfer.resume()
            return await transfer

    result = asyncio.run(main())
    assert file.getvalue() == DATA
    assert result.verified


def test_who_stops_to_iterate_hangs_up(there: FakeServer, state: Path) -> None:
    with towpath.Client(there.url, state_dir=state) as client:
        blocks = client.blocks("docs/big.bin")
        first = next(blocks)
        blocks.close()
        assert DATA.startswith(first)
        assert b"".join(client.blocks("docs/big.bin")) == DATA
