"""Connections on which little is said: what the client does not read must not pile up.

A listener that stands still would otherwise hold what the kernel and the transport buffer for it,
and hear old news when it wakes.
"""

from __future__ import annotations

import asyncio
import os
import socket

HELD = 4 * 1024
"""Bytes that the transport holds before `send` waits."""

SENT = 32 * 1024
"""Bytes that the kernel is asked to hold."""


def narrow(transport: asyncio.WriteTransport) -> None:
    """Let little be on its way to the client."""
    transport.set_write_buffer_limits(high=HELD)
    peer = transport.get_extra_info("socket")
    if peer is not None and peer.fileno() >= 0:
        with socket.socket(fileno=os.dup(peer.fileno())) as duplicate:
            duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SENT)
