"""Anything may happen in any order; the engine must keep what a very plain model keeps.

The model knows of each upload which bytes were sent and which were promised. What was promised is
never lost, what was not sent is never counted, what is read is right, what was given up is gone.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Coroutine
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import hypothesis
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from tests.engine.gates import MortalLedger
from tests.engine.places import Places
from tests.engine.world import ANN, SMALL, Stalled, World, content
from towpath.core.crc import crc
from towpath.core.model import Upload
from towpath.core.ports import Ending
from towpath.core.ranges import Extent
from towpath.core.state import UploadState
from towpath.core.transfer import is_overdue
from towpath.engine.sweep import Sweep
from towpath.errors import Expired, Interrupted, NotFound, OffsetConflict, Refused, StateConflict
from towpath.testing.source import DRY, Piece

T = TypeVar("T")
KIB = 1024
LONGEST = 8 * KIB
LIMITS = type(SMALL)(
    memory=16 * KIB,
    block_smallest=256,
    block_largest=1 * KIB,
    workers=3,
    settle_bytes=4 * KIB,
)


@dataclass(eq=False)
class Sent:
    """What the model knows of one upload. Sets of byte numbers are as plain as can be."""

    key: str
    data: bytes
    completes: bool
    declared: bool
    sent: set[int] = field(default_factory=set)
    promised: set[int] = field(default_factory=set)
    state: str = "open"  # or complete, gone

    def within(self, where: tuple[int, int]) -> tuple[int, int]:
        """The range of bytes that shares stand for."""
        return len(self.data) * where[0] // 16, len(self.data) * where[1] // 16

    def hear(self, upload: Upload, extent: Extent) -> None:
        """Check what the engine says, and hold it to that from now on."""
        durable = {
            number
            for start, end, there in extent.runs(0, len(self.data))
            if there
            for number in range(start, end or 0)
        }
        assert self.promised <= durable <= self.sent, "bytes were lost, or were never sent"
        assert upload.offset == extent.offset <= len(self.data)
        assert upload.crc == extent.crc == crc(self.data[: extent.offset])
        for island in extent.islands:
            assert island.crc == crc(self.data[island.start : island.end])
        self.promised = durable

    def hear_done(self, upload: Upload) -> None:
        """An answer to a request."""
        if upload.state is UploadState.COMPLETE:
            assert self.sent == set(range(len(self.data)))
            self.state = "complete"


shares = st.tuples(st.integers(0, 16), st.integers(0, 16)).map(sorted).map(tuple)
"""from which sixteenth of an upload to which"""
endings = st.sampled_from([Ending.WHOLE, Ending.WHOLE, Ending.CUT])


class EngineMachine(RuleBasedStateMachine):
    """The engine beside the model."""

    uploads = Bundle("uploads")
    writers = Bundle("writers")
    kinds = "memory-memory"
    root = Path()
    fresh = Path()
    number = 0

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        type(self).number += 1
        self.folder = self.root / str(self.number)
        self.folder.mkdir()
        self.places = Places(self.kinds, self.folder, self.fresh)
        self.known: list[Sent] = []
        self.stalled: list[Stalled] = []
        self.mortal: MortalLedger
        self.world = World(self.places, LIMITS)
        self.do(self.world.open(ledger=self._mortal))

    def _mortal(self, ledger: Any) -> MortalLedger:
        self.mortal = MortalLedger(ledger)
        return self.mortal

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Let the loop run until this is done."""
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        """End the process and remove its files."""
        self.do(self._end_writers())
        self.do(self.world.end())
        self.loop.close()
        shutil.rmtree(self.folder)

    async def _end_writers(self) -> None:
        for writer in self.stalled:
            writer.source.stop()
            await writer.ended()
        self.stalled.clear()

    @initialize(target=uploads)
    def begin(self) -> Sent:
        return self._create(3 * KIB, True, True)

    @rule(
        target=uploads,
        length=st.integers(0, LONGEST),
        declared=st.booleans(),
        completes=st.booleans(),
    )
    def create(self, length: int, declared: bool, completes: bool) -> Sent:
        return self._create(length, declared, completes)

    def _create(self, length: int, declared: bool, completes: bool) -> Sent:
        data = content(length, len(self.known))
        key = self.do(self.world.create(length if declared else None, completes=completes))
        made = Sent(key, data, completes, declared)
        if declared and completes and not length:
            made.state = "complete"
        self.known.append(made)
        return made

    @rule(upload=uploads, where=shares, ending=endings, in_order=st.booleans())
    def write(self, upload: Sent, where: tuple[int, int], ending: Ending, in_order: bool) -> None:
        self.do(self._write(upload, upload.within(where), ending, in_order=in_order))

    @rule(upload=uploads, ending=endings)
    def carry_on(self, upload: Sent, ending: Ending) -> None:
        offset = self._offset(upload)
        self.do(self._write(upload, (offset, len(upload.data)), ending, in_order=True))

    def _offset(self, upload: Sent) -> int:
        return next(n for n in range(len(upload.data) + 1) if n not in upload.promised)

    async def _write(
        self, upload: Sent, where: tuple[int, int], ending: Ending, *, in_order: bool
    ) -> None:
        start, end = where
        body = upload.data[start:end]
        cut = len(body) // 2 if ending is Ending.CUT else len(body)
        pieces: list[Piece] = [body[: cut // 2], DRY, body[cut // 2 : cut]]
        declares = len(upload.data) if end == len(upload.data) and not upload.declared else None
        upload.sent |= set(range(start, start + cut))
        before = upload.state
        try:
            row = await self.world.write(
                upload.key, start, pieces, length=len(body), sequential=in_order, end=ending,
                declares=declares,
            )  # fmt: skip
        except OffsetConflict:
            assert in_order
            return
        except (NotFound, Expired):
            assert before == "gone"
            return
        except StateConflict:
            assert before == "complete"
            return
        except Interrupted:
            assert ending is Ending.CUT
            return
        upload.declared = upload.declared or declares is not None
        upload.promised |= set(range(start, start + cut))
        upload.hear_done(row)

    @rule(upload=uploads, where=shares)
    def repeat_with_other_bytes(self, upload: Sent, where: tuple[int, int]) -> None:
        start, end = upload.within(where)
        if not set(range(start, end)) or not set(range(start, end)) <= upload.promised:
            return
        other = bytes(byte ^ 0xFF for byte in upload.data[start:end])
        with pytest.raises(Refused):
            self.do(self.world.write(upload.key, start, other, sequential=False))

    @rule(upload=uploads, cuts=st.lists(st.integers(0, LONGEST), max_size=5))
    def many_at_once(self, upload: Sent, cuts: list[int]) -> None:
        bounds = sorted({0, len(upload.data), *(cut for cut in cuts if cut < len(upload.data))})
        if upload.state != "open" or not upload.declared:
            return

        async def all_of_them() -> None:
            writes = (
                self._write(upload, piece, Ending.WHOLE, in_order=False)
                for piece in pairwise(bounds)
            )
            for outcome in await asyncio.gather(*writes, return_exceptions=True):
                # Another has filled the upload, so that it completes and takes no repeats.
                if not isinstance(outcome, AssertionError) or upload.state != "complete":
                    assert outcome is None, repr(outcome)

        self.do(all_of_them())

    @rule(target=writers, upload=uploads, where=shares, in_order=st.booleans())
    def begin_to_write(self, upload: Sent, where: tuple[int, int], in_order: bool) -> Any:
        start, end = upload.within(where)
        start = self._offset(upload) if in_order else start
        if start >= end or upload.state != "open":
            return multiple()
        half = start + (end - start) // 2
        upload.sent |= set(range(start, half))
        writer = self.do(self._stall(upload, start, half, end, in_order=in_order))
        return multiple() if writer is None else (upload, writer, half, end)

    async def _stall(
        self, upload: Sent, start: int, half: int, end: int, *, in_order: bool
    ) -> Stalled | None:
        body = upload.data[start:half]
        writer = self.world.stalled(
            upload.key, start, body, length=end - start, sequential=in_order
        )
        try:
            await writer.begun()
        except (OffsetConflict, StateConflict):
            return None
        self.stalled.append(writer)
        return writer

    @rule(writing=writers, before=st.integers(0, 2 * KIB), in_order=st.booleans())
    def overtake(
        self, writing: tuple[Sent, Stalled, int, int], before: int, in_order: bool
    ) -> None:
        upload, _, half, _ = writing
        start = self._offset(upload) if in_order else max(half - before, 0)
        where = (start, min(max(start, half) + 100, len(upload.data)))
        self.do(self._write(upload, where, Ending.WHOLE, in_order=in_order))

    @rule(writing=consumes(writers))
    def end_to_write(self, writing: tuple[Sent, Stalled, int, int]) -> None:
        upload, writer, half, end = writing
        if writer not in self.stalled:
            return
        self.stalled.remove(writer)
        upload.sent |= set(range(half, end))
        writer.source.feed(upload.data[half:end])
        writer.source.end()
        outcome = self.do(writer.ended())
        if isinstance(outcome, Upload):
            upload.promised |= set(range(half, end))
            upload.hear_done(outcome)
        else:
            assert isinstance(outcome, Interrupted), repr(outcome)

    @rule(upload=uploads, verb=st.sampled_from(["claim", "claim", "complete", "read"]))
    def ask(self, upload: Sent, verb: str) -> None:
        if verb == "claim":
            self._claim(upload)
        elif verb == "complete":
            self._complete(upload)
        else:
            self._read(upload)

    def _claim(self, upload: Sent) -> None:
        try:
            row = self.do(self.world.engine.claim(ANN, upload.key))
        except (NotFound, Expired):
            assert upload.state == "gone"
            return
        upload.hear_done(row)
        assert row.offset >= self._offset(upload)

    def _complete(self, upload: Sent) -> None:
        try:
            made = self.do(self.world.engine.complete(ANN, upload.key))
        except (NotFound, Expired):
            assert upload.state == "gone"
        except StateConflict:
            assert upload.state == "open"
            assert not upload.declared or upload.promised != set(range(len(upload.data)))
        else:
            assert (made.length, made.crc) == (len(upload.data), crc(upload.data))
            upload.state = "complete"

    @rule(upload=uploads)
    def cancel(self, upload: Sent) -> None:
        try:
            self.do(self.world.engine.cancel(ANN, upload.key))
        except StateConflict:
            assert upload.state == "complete"
            return
        except NotFound:
            pass
        assert upload.state != "complete"
        upload.state = "gone"

    def _read(self, upload: Sent) -> None:
        if upload.state == "complete":
            assert self.do(self.world.read(upload.key)) == upload.data
            return
        with pytest.raises(NotFound):
            self.do(self.world.read(upload.key))

    @rule(hours=st.sampled_from([0, 1, 30]))
    def sweep(self, hours: int) -> None:
        if hours * 3600 > LIMITS.lifetime:  # who is silent for so long is ended before
            self.do(self._end_writers())
        self.world.clock.advance(hours * 3600)
        now = self.world.clock.now()
        for upload in self.known:
            row = self.do(self.world.row(upload.key))
            filled = row is not None and row.state is UploadState.FILLED
            if row is None or not is_overdue(row, now=now):
                continue
            upload.state = "complete" if filled and upload.completes else "gone"
        self.do(Sweep(self.world.engine).run())

    @rule(crash=st.booleans())
    def restart(self, crash: bool) -> None:
        if crash:  # the process is gone between two instructions: nothing is settled any more
            self.mortal.dead = self.world.gates.dead = True
        self.do(self._end_writers())
        self.do(self.world.reopen(ledger=self._mortal, crash=crash))

    @invariant()
    def what_was_promised_is_there(self) -> None:
        for upload in self.known:
            if upload.state == "gone":
                with pytest.raises((NotFound, Expired)):
                    self.do(self.world.engine.inspect(ANN, upload.key))
                continue
            row, extent = self.do(self.world.engine.inspect(ANN, upload.key))
            upload.hear(row, extent)
            upload.hear_done(row)

    @invariant()
    def what_was_given_up_leaves_nothing(self) -> None:
        left = self.places.bytes.left()
        for upload in self.known:
            if upload.state == "gone":
                assert not any(upload.key in at for at in left)


def machine(kinds: str, root: Path, fresh: Path, seed: int) -> type[EngineMachine]:
    made = type("Machine", (EngineMachine,), {"kinds": kinds, "root": root, "fresh": fresh})
    return hypothesis.seed(seed)(made)


both = pytest.mark.parametrize("kinds", ["memory-memory", "local-sqlite"])


@both
@pytest.mark.timeout(120)
def test_the_engine_keeps_what_the_model_keeps(
    kinds: str, tmp_path: Path, fresh: Path, commit_seed: int
) -> None:
    examples = 200 if kinds == "memory-memory" else 60
    chosen = settings(max_examples=examples, stateful_step_count=40, database=None)
    run_state_machine_as_test(machine(kinds, tmp_path, fresh, commit_seed), settings=chosen)


@both
@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_engine_keeps_what_the_model_keeps_for_long(
    kinds: str, tmp_path: Path, fresh: Path, commit_seed: int
) -> None:
    chosen = settings(max_examples=1500, stateful_step_count=60, database=None)
    run_state_machine_as_test(machine(kinds, tmp_path, fresh, commit_seed), settings=chosen)
