"""What the arguments of a client may be: what could only hang is refused at once."""

import asyncio
import math
from pathlib import Path
from typing import Any

import pytest

import towpath
from tests.client.fake import FakeServer
from towpath import errors

WRONG: list[tuple[str, float, str]] = [
    ("parallel", 0, "1 or more"),
    ("connections", 0, "1 or more"),
    ("total_connections", 0, "1 or more"),
    ("chunk_size", 0, "1 or more"),
    ("chunk_size", -5, "1 or more"),
    ("memory", 0, "1 or more"),
    ("retries", -1, "0 or more"),
    ("timeout", 0, "more than 0 seconds"),
    ("timeout", -1.5, "more than 0 seconds"),
    ("timeout", math.nan, "more than 0 seconds"),
]


@pytest.mark.parametrize("kind", [towpath.Client, towpath.AsyncClient])
@pytest.mark.parametrize(("name", "value", "wanted"), WRONG)
def test_an_argument_with_which_nothing_could_work_is_refused(
    kind: Any, name: str, value: float, wanted: str
) -> None:
    with pytest.raises(errors.SettingsError) as refused:
        kind("http://127.0.0.1:9", **{name: value})
    told = (refused.value.what, refused.value.why, refused.value.todo)
    assert told == (
        f"{name} cannot be {value!r}.",
        f"It must be {wanted}.",
        "Correct the argument.",
    )


def test_the_least_of_each_works(server: FakeServer, state: Path) -> None:
    async def main() -> bool:
        async with towpath.AsyncClient(
            server.url,
            state_dir=state,
            parallel=1,
            connections=1,
            total_connections=1,
            chunk_size=1,
            memory=1,
            retries=0,
            timeout=10,
        ) as client:
            return (await client.upload(b"abc", "x")).verified

    assert asyncio.run(main())
