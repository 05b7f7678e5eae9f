"""Towpath as a part of another application: who asks, when it begins, what the other is told."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from towpath.asgi import Caller, Mounted, Object, Scope, Settings, app
from towpath.errors import Forbidden

pytestmark = pytest.mark.anyio

ANN = Caller(tenant="t", subject="ann", scopes=frozenset(Scope))


@dataclass
class Asked:
    """One request to the application itself, without a server."""

    method: str = "POST"
    path: str = "/v1/uploads"
    body: bytes = b"content"
    root: str = ""
    received: int = 0
    before: int = 0  # how often it was asked for the body before it answered
    status: int = 0
    answer: bytes = b""
    fields: dict[str, str] = field(default_factory=dict)

    async def of(self, towpath: Mounted) -> Asked:
        """Ask it."""
        scope = {
            "type": "http",
            "method": self.method,
            "path": self.root + self.path,
            "root_path": self.root,
            "query_string": b"",
            "headers": [
                (b"host", b"elsewhere.example"),
                (b"content-length", str(len(self.body)).encode()),
            ],
            "http_version": "1.1",
            "user": "from the middleware outside",
        }
        await towpath(scope, self._receive, self._send)
        return self

    async def _receive(self) -> MutableMapping[str, Any]:
        self.received += 1
        if self.received > 1:
            await asyncio.sleep(3600)
        return {"type": "http.request", "body": self.body, "more_body": False}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status, self.before = message["status"], self.received
            self.fields = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.answer += message.get("body", b"")


@contextlib.asynccontextmanager
async def mounted(folder: Path, **how: Any) -> AsyncIterator[Mounted]:
    """An application on an empty directory, ended at the end."""
    towpath = await asyncio.to_thread(app, Settings(data=folder / "data"), **how)
    try:
        yield towpath
    finally:
        async with towpath.running():  # ends it, whether it has begun or not
            pass


def knows_ann(_scope: Any) -> Caller:
    return ANN


async def also_knows_ann(_scope: Any) -> Caller:
    return ANN


class KnowsAnn:
    """Not seen to be async before it is called."""

    async def __call__(self, scope: Any) -> Caller:
        return ANN


@pytest.mark.parametrize("authorize", [knows_ann, also_knows_ann, KnowsAnn()])
async def test_whoever_the_application_knows_is_let_in(tmp_path: Path, authorize: Any) -> None:
    async with mounted(tmp_path, authorize=authorize) as towpath:
        sent = await Asked().of(towpath)
        assert sent.status == 201, sent.answer
        read = Asked("GET", json.loads(sent.answer)["url"], b"")
        assert (await read.of(towpath)).answer == b"content"


async def test_who_asks_is_judged_from_all_of_the_scope_and_before_the_body(tmp_path: Path) -> None:
    seen: list[Any] = []

    def nobody(scope: Any) -> None:
        seen.append(scope["user"])

    async with mounted(tmp_path, authorize=nobody) as towpath:
        refused = await Asked().of(towpath)
        assert (refused.status, refused.before) == (401, 0)
        assert json.loads(refused.answer)["code"] == "unauthenticated"
        assert (await Asked("GET", "/livez", b"").of(towpath)).status == 200
    assert seen == ["from the middleware outside"] * 2


@pytest.mark.parametrize(
    ("error", "status"), [(Forbidden("Not today."), 403), (RuntimeError("secret"), 500)]
)
async def test_what_the_application_raises_is_an_answer(
    tmp_path: Path, error: Exception, status: int
) -> None:
    async def fails(_scope: Any) -> Caller:
        raise error

    async with mounted(tmp_path, authorize=fails) as towpath:
        refused = await Asked().of(towpath)
        assert (refused.status, refused.before) == (status, 0)
        assert b"secret" not in refused.answer


async def test_the_word_on_one_request_does_not_count_for_the_next(tmp_path: Path) -> None:
    words: list[Caller | None] = [ANN, None, ANN]
    async with mounted(tmp_path, authorize=lambda _scope: words.pop(0)) as towpath:
        found = [(await Asked().of(towpath)).status for _ in range(3)]
    assert found == [201, 401, 201]


async def test_without_authorize_the_settings_say_who_is_let_in(tmp_path: Path) -> None:
    async with mounted(tmp_path) as towpath:
        assert (await Asked().of(towpath)).status == 403  # the Host is none of this machine's


async def test_addresses_begin_where_it_is_mounted(tmp_path: Path) -> None:
    async with mounted(tmp_path, authorize=knows_ann) as towpath:
        sent = await Asked(root="/here/and/there").of(towpath)
        assert sent.status == 201
        assert sent.fields["location"].startswith("/here/and/there/files/")


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_the_application_is_told_until_it_has_understood(
    tmp_path: Path, *, asynchronous: bool
) -> None:
    told: list[str] = []
    understood = asyncio.Event()
    loop = asyncio.get_running_loop()

    def done(made: Object) -> None:
        told.append(made.id)
        if len(told) == 1:
            raise RuntimeError("not now")
        loop.call_soon_threadsafe(understood.set)

    async def done_too(made: Object) -> None:
        done(made)

    call = done_too if asynchronous else done
    async with mounted(tmp_path, authorize=knows_ann, on_complete=call) as towpath:
        sent = await Asked().of(towpath)
        async with asyncio.timeout(20):
            await understood.wait()
    assert told == [json.loads(sent.answer)["id"]] * 2


async def test_it_begins_once_and_ends_once_whoever_asks(tmp_path: Path) -> None:
    async with mounted(tmp_path, authorize=knows_ann) as towpath:
        async with asyncio.timeout(20), towpath.running():
            answers = await asyncio.gather(*(Asked().of(towpath) for _ in range(5)))
            assert {answer.status for answer in answers} == {201}
        async with towpath.running():
            pass
    again = await asyncio.to_thread(app, Settings(data=tmp_path / "data"), authorize=knows_ann)
    async with again.running():  # the directory was let go
        assert (await Asked().of(again)).status == 201
