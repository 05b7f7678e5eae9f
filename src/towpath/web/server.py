"""uvicorn, told how to run us: it listens, says where, and stops so that uploads are settled.

Rules: on SIGTERM or SIGINT the listening ends, what is being received is settled and answered,
and the process ends in time; a second signal ends it at once.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvicorn

from towpath.web.local_socket import LocalSocket
from towpath.web.room_socket import MOST_MESSAGE, RoomProtocol


class Server(uvicorn.Server):
    """Says when it is up, and drains before it waits for connections.

    `run` serves until a signal, or until `should_exit` is set.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        drain: Callable[[], Awaitable[None]],
        announce: Callable[[str], None],
        local: LocalSocket | None,
    ) -> None:
        super().__init__(config)
        self._drain = drain
        self._announce = announce
        self._local = local

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets if self._local is None else [self._local.socket])
        if self.started:
            self._announce(self._url())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        await self._drain()
        await super().shutdown(sockets)
        if self._local is not None:
            await asyncio.to_thread(self._local.close)

    def _url(self) -> str:
        if self._local is not None:
            return f"unix:{self._local.path.absolute()}"
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        name = f"[{host}]" if ":" in host else host
        return f"{'https' if self.config.is_ssl else 'http'}://{name}:{port}"


def server(
    app: Any,  # an ASGI application, which uvicorn types loosely
    *,
    at: tuple[str, int] | LocalSocket,
    http: Any,  # a protocol class or its name
    tls: tuple[Path, Path] | None,
    patience: float,
    drain: Callable[[], Awaitable[None]],
    announce: Callable[[str], None],
) -> Server:
    """A server to run.

    `at`: an address and a port; `tls`: certificate and key; `patience`: seconds to end in.
    """
    local = at if isinstance(at, LocalSocket) else None
    host, port = ("", 0) if isinstance(at, LocalSocket) else at
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=http,
        ws=RoomProtocol,
        ws_max_size=MOST_MESSAGE,
        ws_per_message_deflate=False,
        loop="asyncio" if sys.platform == "win32" else "uvloop",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=max(int(patience), 1),
        timeout_keep_alive=75,
        ssl_certfile=tls[0] if tls else None,
        ssl_keyfile=tls[1] if tls else None,
    )
    return Server(config, drain=drain, announce=announce, local=local)


def run(serving: Server) -> None:
    """Serve until a signal."""
    # uvicorn raises the signal again once it has stopped; by then it has done its work.
    before = {number: signal.signal(number, _ignore) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        serving.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore(_number: int, _frame: object) -> None:
    """Stop was asked for, and stopping is done."""
