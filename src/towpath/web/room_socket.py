"""uvicorn's WebSocket protocol for rooms, on which a client hears much and says little.

Rules: what it does not read must not pile up; what it says is bounded; who does not answer a ping
within twenty seconds is gone. Addresses are not logged here: people put secrets into them.
"""

from __future__ import annotations

import logging
from asyncio import BaseTransport, WriteTransport
from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from towpath.protocol.rooms import MOST_MESSAGE
from towpath.web.narrow import narrow

__all__ = ["MOST_MESSAGE", "RoomProtocol"]

_log = logging.getLogger("towpath.web.socket")
_log.setLevel(logging.WARNING)


class RoomProtocol(WebSocketsSansIOProtocol):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _log

    def connection_made(self, transport: BaseTransport) -> None:
        """The handshake is about to be read."""
        super().connection_made(transport)
        narrow(cast("WriteTransport", transport))
