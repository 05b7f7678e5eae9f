"""One upload, begun in one dialect and gone on with in others, over connections that are cut."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import permutations
from random import Random
from unittest import mock

import pytest

from tests.e2e.dialects import BROKEN, DIALECTS, again
from tests.interop.cutting import cutting
from tests.web.running import House, Served, running
from tests.web.talk import Tus
from towpath.assemble import SystemClock
from towpath.ledger.memory import MemoryLedger
from towpath.settings import Settings
from towpath.store.memory import MemoryStore
from towpath.web.service import Service

SIZE = 5 * 1024 * 1024 + 4_321
TRIPLES = 20
RATE = 40e6  # bytes a second through the wire
MANY = 1000  # document sessions that move at once


def forgetting(settings: Settings, **_: object) -> Service:
    """A service with a store and a ledger that are gone with it."""
    return Service(
        settings, store=MemoryStore(), ledger=MemoryLedger(), clock=SystemClock(), link_keys={}
    )


@pytest.fixture(scope="module", params=["local", "memory"])
def place(
    request: pytest.FixtureRequest, house: House, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """The direct server on each store."""
    if request.param == "local":
        yield house.get("direct", document_uploads=MANY)
    else:
        folder = tmp_path_factory.mktemp("memory")
        with ExitStack() as stack:
            with mock.patch("towpath.assemble.service", forgetting):
                served = stack.enter_context(running("direct", folder, document_uploads=MANY))
            yield served


def carry_through(served: Served, spoken: Sequence[str], draw: Random) -> None:
    """Begin in the first; be cut in all; end in the last; then hold what is there against it."""
    content = draw.randbytes(SIZE)
    key = DIALECTS[spoken[0]](served).begin(SIZE, "a paper.pdf")
    share = SIZE // (len(spoken) + 1)
    for name in spoken:
        up = share + draw.randrange(share // 4)
        with cutting(served.address, up=up, rate=RATE, for_good=True) as cutter:
            with pytest.raises(BROKEN):
                again(DIALECTS[name](replace(served, url=cutter.url)).carry, key, content)
            assert cutter.cuts == 1
    assert described(served, key)["state"] == "open"
    again(DIALECTS[spoken[-1]](served).finish, key, content)
    assert described(served, key)["state"] == "complete"
    found = Tus(served).ask("GET", f"/files/{key}").body
    assert hashlib.sha256(found).digest() == hashlib.sha256(content).digest()


def described(served: Served, key: str) -> dict[str, object]:
    return Tus(served).ask("GET", f"/api/v1/uploads/{key}").document


@pytest.mark.parametrize("pair", list(permutations(DIALECTS, 2)), ids="-".join)
def test_an_upload_that_one_dialect_began_is_gone_on_with_in_another(
    place: Served, pair: tuple[str, str], commit_seed: int
) -> None:
    carry_through(place, pair, Random(f"{commit_seed}/{pair}"))


@pytest.mark.parametrize("number", range(TRIPLES))
def test_an_upload_goes_through_three_dialects(
    place: Served, number: int, commit_seed: int
) -> None:
    draw = Random(f"{commit_seed}/{number}")
    carry_through(place, draw.choices(list(DIALECTS), k=3), draw)
