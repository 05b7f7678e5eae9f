"""What this process knows of one upload while somebody works on it.

Rules: `guard` is held while facts change, by whichever thread settles; `turn` is held while a
verb decides, on the event loop; a fact changes here only after the ledger has it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from towpath.core.model import Island, Object, Row, Upload
from towpath.core.model import Lease as LeaseRow
from towpath.core.ports import Notes
from towpath.core.ranges import Extent, Span
from towpath.core.state import UploadState
from towpath.core.transfer import filled, settled
from towpath.engine.compose import Composed
from towpath.engine.frontier import Frontier
from towpath.engine.group_commit import GroupCommit
from towpath.engine.lease import Lease
from towpath.engine.silence import NOTHING
from towpath.ledger.base import Add, Change, Expect, Ledger, Query, Remove, Update, every

R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a chunk says of the whole upload."""

    length: int | None
    completes: bool  # once it is filled; else it waits to be told


@dataclass(frozen=True, slots=True)
class Settle:
    """What a writer has written, to be settled."""

    spans: Sequence[Span]
    fence: int  # of its lease


class Live:
    """An upload's row, extent and writers. Facts follow the ledger."""

    def __init__(
        self,
        upload: Upload,
        extent: Extent,
        islands: Sequence[Island],
        granted: Sequence[LeaseRow] = (),
    ) -> None:
        self.facts = upload, extent  # one value, so that nobody sees one without the other
        self.leases: list[Lease] = []
        self.settles: GroupCommit[Settle] = GroupCommit()
        self._epoch = 0  # of the leases given out here; 0: none yet
        self._granted = {row.fence: row for row in granted}
        self.frontier: Frontier | None = None  # follows the prefix, if a digest is wanted
        self.composed: Composed | None = None  # what its parts give, if that is known already
        self.notes: Notes = NOTHING
        self.turn = asyncio.Lock()
        self.guard = threading.Lock()
        self._islands = {island.start: island for island in islands}
        self.guesses = False  # its name is taken for free until a commit says that it is not
        self._bells: set[Callable[[], object]] = set()

    @property
    def upload(self) -> Upload:
        """The row, as the ledger has it."""
        return self.facts[0]

    @property
    def extent(self) -> Extent:
        """What is durable."""
        return self.facts[1]

    @contextmanager
    def bell(self) -> Iterator[asyncio.Event]:
        """An event that is set whenever facts change while the block runs. On the loop."""
        rung = asyncio.Event()
        loop = asyncio.get_running_loop()

        def ring() -> None:
            loop.call_soon_threadsafe(rung.set)

        self._bells.add(ring)
        try:
            yield rung
        finally:
            self._bells.discard(ring)

    def grant(self, ledger: Ledger, lease: Lease, said: Said, *, holder: str, now: int) -> None:
        """Commit the lease, its fence and what its chunk says. Blocks.

        Rows of leases that have ended go.
        """
        alive = {other.fence for other in tuple(self.leases)}
        ended = [row for fence, row in self._granted.items() if fence not in alive]
        row = LeaseRow(
            tenant=self.upload.tenant,
            owner=self.upload.owner,
            upload=self.upload.id,
            fence=lease.fence,
            start=lease.start,
            end=lease.end,
            holder=holder,
            granted_at=now,
        )
        with self.guard:
            self.commit(
                ledger,
                replace(self._after(said, now), fence=lease.fence),
                [*(Remove(LeaseRow, old.key) for old in ended), Add(row)],
            )
        for old in ended:
            del self._granted[old.fence]
        self._granted[lease.fence] = row
        self._epoch = self._epoch or lease.fence
        lease.epoch = self._epoch

    def end(self, ledger: Ledger, upload: Upload, changes: Sequence[Change] = ()) -> None:
        """Commit `upload` in a state in which nobody writes any more, with `changes`. Blocks.

        Rows of islands and leases go; what must be told of it comes along.
        """
        if upload.state is not self.upload.state:
            changes = [*changes, *told(self.notes, upload, changes)]
        with self.guard:
            self.commit(
                ledger,
                upload,
                [
                    *(Remove(Island, row.key) for row in self._islands.values()),
                    *(Remove(LeaseRow, row.key) for row in self._granted.values()),
                    *changes,
                ],
            )
            self._islands.clear()
            self._granted.clear()

    def settle(
        self,
        ledger: Ledger,
        spans: Sequence[Span],
        fences: Sequence[int],
        *,
        now: int,
        expires_at: int | None,
    ) -> None:
        """Commit that `spans` are durable, if the leases with `fences` still stand. Blocks.

        Raises Stale when one does not, LedgerError; then nothing has changed.
        """
        with self.guard:
            extent = self.extent
            for span in spans:
                extent = extent.add(span)
            upload = settled(self.upload, extent, now=now, expires_at=expires_at)
            if self.frontier is not None:
                upload = replace(upload, hasher=self.frontier.save(extent.offset) or upload.hasher)
            changes, islands = self._fold(extent)
            self.commit(
                ledger,
                upload,
                [Expect(LeaseRow, [(upload.id, fence) for fence in fences]), *changes],
                extent,
            )
            self._islands = islands

    def change(self, ledger: Ledger, change: Callable[[Upload], Upload]) -> None:
        """Commit what `change` makes of the upload. Blocks."""
        with self.guard:
            self.commit(ledger, change(self.upload))

    def learn(self, ledger: Ledger, said: Said, *, now: int) -> None:
        """Commit what was said without bytes; it may be that nothing is missing then. Blocks."""
        with self.guard:
            self.commit(ledger, self._after(said, now))

    def _after(self, said: Said, now: int) -> Upload:
        upload = replace(self.upload, length=said.length, completes=said.completes)
        return filled(upload, now=now)

    def commit(
        self,
        ledger: Ledger,
        upload: Upload,
        changes: Sequence[Change] = (),
        extent: Extent | None = None,
    ) -> None:
        """Commit `upload` in place of the row that is known, with `changes`. Blocks.

        The caller holds `guard`.
        """
        ledger.commit([Update(upload), *changes])
        self.facts = replace(upload, version=upload.version + 1), extent or self.extent
        for ring in tuple(self._bells):
            ring()

    def stands(self, ledger: Ledger) -> bool:
        """True if the row is what is known of it. Blocks."""
        return ledger.get(Upload, self.upload.id) == self.upload

    def _fold(self, extent: Extent) -> tuple[list[Change], dict[int, Island]]:
        """Changes that make the island rows those of `extent`, and the rows after them."""
        rows: dict[int, Island] = {}
        changes: list[Change] = []
        for span in extent.islands:
            known = self._islands.get(span.start)
            if known is None:
                row = Island(
                    tenant=self.upload.tenant,
                    owner=self.upload.owner,
                    upload=self.upload.id,
                    start=span.start,
                    end=span.end,
                    crc=span.crc,
                )
                changes.append(Add(row))
                rows[span.start] = replace(row, version=1)
            elif (known.end, known.crc) != (span.end, span.crc):
                row = replace(known, end=span.end, crc=span.crc)
                changes.append(Update(row))
                rows[span.start] = replace(row, version=row.version + 1)
            else:
                rows[span.start] = known
        changes.extend(
            Remove(Island, island.key)
            for start, island in self._islands.items()
            if start not in rows
        )
        return changes, rows


def told(notes: Notes, upload: Upload, changes: Sequence[Change]) -> list[Change]:
    """Rows that tell of what `changes` make of an upload."""
    made = next((c.row for c in changes if isinstance(c, Add) and isinstance(c.row, Object)), None)
    if upload.state is UploadState.COMPLETE:
        kind = "completed"
    else:
        kind = upload.state.value if upload.state.is_final else "created"
    rows = () if upload.partial else notes.of(kind, upload, made, now=upload.updated_at)
    return [Add(row) for row in rows]


def load(ledger: Ledger, upload: Upload, held: int | None) -> Live:
    """What the ledger says of the upload, without the islands that the store lost. Blocks.

    `held` is the offset after the last byte that the store may hold, None if it cannot know.
    """
    islands = every(ledger, Island, Query(where={"upload": upload.id}))
    granted = every(ledger, LeaseRow, Query(where={"upload": upload.id}))
    extent = Extent(
        upload.offset,
        upload.crc,
        tuple(Span(island.start, island.end, island.crc) for island in islands),
    )
    if held is not None and held >= extent.offset:
        extent = extent.cut(held)
    return Live(upload, extent, islands, granted)
