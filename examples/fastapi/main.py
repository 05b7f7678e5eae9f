"""Towpath in a FastAPI application, with the application's own sign-in.

python main.py 9000     then: upload by tus to http://127.0.0.1:9000/uploads/files/
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from towpath.asgi import Caller, Object, Scope, Settings, app

# Your own users and sessions; here, two keys that clients send as X-Api-Key.
USERS = {"key-of-ann": "ann", "key-of-bob": "bob"}
ALL = frozenset({Scope.WRITE, Scope.READ, Scope.LIST, Scope.REMOVE})

arrived: list[dict[str, Any]] = []


async def who(scope: Mapping[str, Any]) -> Caller | None:
    """Called before a byte of the body is read. None: 401."""
    headers = dict(scope["headers"])
    user = USERS.get(headers.get(b"x-api-key", b"").decode("latin-1"))
    return None if user is None else Caller(tenant=user, subject=user, scopes=ALL)


async def done(made: Object) -> None:
    """Called at least once for each complete upload, so make it safe to repeat."""
    arrived.append({"id": made.id, "owner": made.owner, "bytes": made.length})


towpath = app(
    Settings(data=Path(os.environ.get("DATA", "towpath-data"))), authorize=who, on_complete=done
)


@asynccontextmanager
async def lifespan(_api: FastAPI) -> AsyncGenerator[None]:
    """A mounted application is told of no beginning and no end: this tells it."""
    async with towpath.running():
        yield


api = FastAPI(lifespan=lifespan)


@api.get("/arrived")
def list_arrived() -> list[dict[str, Any]]:
    """What has arrived since the start."""
    return arrived


api.mount("/uploads", towpath)

if __name__ == "__main__":
    uvicorn.run(api, port=int(sys.argv[1]), http="httptools", access_log=False)
