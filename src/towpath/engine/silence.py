"""What stands where nobody listens and nobody decides."""

from __future__ import annotations

from towpath.core.caller import Caller
from towpath.core.command import NewUpload
from towpath.core.model import Upload
from towpath.core.ranges import Extent


class Silence:
    """An EventSink that nobody listens to."""

    def tell(self, kind: str, upload: Upload, extent: Extent | None = None) -> None:
        """Nothing."""


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
CONSENT = Consent()
