"""Towpath in a Starlette application that knows its users by a session cookie.

python main.py 9000     then: upload by tus to http://127.0.0.1:9000/in/files/
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from towpath.asgi import Caller, Object, Scope, Settings, app

SESSIONS = {"cookie-of-ann": "ann", "cookie-of-bob": "bob"}
ALL = frozenset({Scope.WRITE, Scope.READ, Scope.LIST, Scope.REMOVE})

arrived: list[dict[str, Any]] = []


class Sessions(AuthenticationBackend):
    """The application's own sign-in, which knows nothing of Towpath."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser] | None:
        """Who the cookie belongs to."""
        user = SESSIONS.get(conn.cookies.get("session", ""))
        return None if user is None else (AuthCredentials(["signed-in"]), SimpleUser(user))


def who(scope: Mapping[str, Any]) -> Caller | None:
    """The user that the middleware found, as Towpath wants it; need not be async."""
    user = scope["user"]
    if not user.is_authenticated:
        return None
    return Caller(tenant="ours", subject=user.display_name, scopes=ALL)


def done(made: Object) -> None:
    """Called at least once for each complete upload, in a thread since it is not async."""
    arrived.append({"id": made.id, "owner": made.owner, "bytes": made.length})


async def list_arrived(_request: Request) -> JSONResponse:
    """What has arrived since the start."""
    return JSONResponse(arrived)


towpath = app(
    Settings(data=Path(os.environ.get("DATA", "towpath-data"))), authorize=who, on_complete=done
)


@asynccontextmanager
async def lifespan(_site: Starlette) -> AsyncGenerator[None]:
    """A mounted application is told of no beginning and no end: this tells it."""
    async with towpath.running():
        yield


site = Starlette(
    routes=[Route("/arrived", list_arrived), Mount("/in", app=towpath)],
    middleware=[Middleware(AuthenticationMiddleware, backend=Sessions())],
    lifespan=lifespan,
)

if __name__ == "__main__":
    uvicorn.run(site, port=int(sys.argv[1]), http="httptools", access_log=False)
