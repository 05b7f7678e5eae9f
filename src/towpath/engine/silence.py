"""What stands where nobody listens and nobody decides."""

from __future__ import annotations

from collections.abc import Sequence

from towpath.core.caller import Caller
from towpath.core.command import NewUpload
from towpath.core.model import Object, Outbox, Upload
from towpath.core.ranges import Extent


class Silence:
    """An EventSink that nobody listens to."""

    def tell(self, kind: str, upload: Upload, extent: Extent | None = None) -> None:
        """Nothing."""


class Nothing:
    """Notes of nothing."""

    def of(self, kind: str, upload: Upload, made: Object | None, *, now: int) -> Sequence[Outbox]:
        return ()


class Consent:
    """Hooks that let everything pass."""

    watches = False

    async def before_create(self, caller: Caller, new: NewUpload) -> NewUpload:
        return new

    async def while_receiving(self, upload: Upload) -> None:
        return

    async def before_complete(self, upload: Upload) -> None:
        return


SILENCE = Silence()
NOTHING = Nothing()
CONSENT = Consent()
