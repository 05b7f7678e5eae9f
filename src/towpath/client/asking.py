"""The calls about names, uploads and the server itself: a question, and its answer.

Rules: a part of AsyncClient, which carries nothing; every blocking call runs in a thread; what the
server told is read by `records` once it is there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from towpath.client.coded import rewrap
from towpath.client.peer import Peer, Reply, expect
from towpath.client.transfer import in_thread
from towpath.client.words import stranger
from towpath.errors import BadAnswer, NotFound

if TYPE_CHECKING:
    from towpath.client.records import LinkRecord, NameRecord, UploadRecord
    from towpath.codec.keys import Locks, Opens


class Asking:
    """The part of AsyncClient that only asks."""

    @property
    def _peer(self) -> Peer:
        """The server. Raises StateConflict once the client is closed."""
        raise NotImplementedError

    async def names(
        self, prefix: str = "", *, page: int = 1000, after: str = ""
    ) -> AsyncIterator[NameRecord]:
        """The names that begin with `prefix`, in order, from behind `after` on; `page` at once."""
        from towpath.client.records import NameRecord  # noqa: PLC0415 - slow to import

        async for found in self._pages("names", "names", after, prefix=prefix, limit=page):
            yield NameRecord.read(found)

    async def uploads(
        self, states: Iterable[str] = ("open", "filled"), *, page: int = 1000
    ) -> AsyncIterator[UploadRecord]:
        """The uploads that the server has in one of `states`."""
        from towpath.client.records import UploadRecord  # noqa: PLC0415 - slow to import

        query = {"state": ",".join(states), "limit": page}
        async for found in self._pages("uploads", "uploads", "", **query):
            yield UploadRecord.read(found)

    async def rewrap(self, name: str, keys: Sequence[Opens], encrypt: Sequence[Locks]) -> None:
        """From now on an encrypted file is for `encrypt`, and for no others; no data moves.

        `keys`: what opens it as it is. Raises NotFound, WrongKey, Unreadable, and Malformed if
        `encrypt` is empty.
        """
        await in_thread(partial(rewrap, self._peer, name, keys, encrypt))

    async def stat(self, name: str) -> NameRecord:
        """What the server knows of a name. Raises NotFound."""
        found = (await self._ask("GET", "names", name)).json()
        from towpath.client.records import NameRecord  # noqa: PLC0415 - slow to import

        return NameRecord.read(found)

    async def remove(self, name: str) -> None:
        """Take a name away. Raises NotFound."""
        _insist_on_gone(await self._ask("DELETE", "names", name))

    async def move(self, name: str, to: str, *, on_conflict: str = "fail") -> str:
        """Call `name` `to` instead; what it is called then. Raises NotFound, NameConflict."""
        from towpath.client import names  # noqa: PLC0415 - slow to import

        return await in_thread(partial(names.move, self._peer, name, to, on_conflict=on_conflict))

    async def link(
        self, name: str, *, seconds: int | None = None, disposition: str = "", filename: str = ""
    ) -> LinkRecord:
        """An address that reads the object without a token for `seconds`, an hour by default.

        `disposition`: attachment or inline; `filename`: what it is saved as.
        """
        from towpath.client import names  # noqa: PLC0415 - slow to import

        return await in_thread(
            lambda: names.link_to_read(
                self._peer, name, seconds=seconds, disposition=disposition, filename=filename
            )
        )

    async def cancel(self, upload: str) -> None:
        """Give up an upload that the server has, by its id there. Raises NotFound."""
        _insist_on_gone(await self._ask("DELETE", "uploads", upload))

    async def server(self) -> Mapping[str, Any]:
        """What the server says of itself."""
        return (await self._ask("GET", "server")).json()

    async def _pages(
        self, path: str, key: str, after: str, **query: object
    ) -> AsyncIterator[dict[str, Any]]:
        while True:
            url = self._peer.api(path, **query, after=after)
            reply = await in_thread(partial(self._peer.ask, "GET", url, again=True))
            page = expect(reply, api=True).json()
            if not isinstance(page.get(key), list):
                raise BadAnswer("The server's list cannot be read.")
            for found in page[key]:
                yield found
            before, after = after, page.get("next") or ""
            if after in ("", before):
                return

    async def _ask(self, method: str, *segments: str) -> Reply:
        url = self._peer.api(*segments)
        reply = await in_thread(lambda: self._peer.ask(method, url, again=True))
        if reply.status == 404 and not reply.body:
            raise NotFound(f"The server has no {segments[-1]}.")
        return expect(reply, api=True)


def _insist_on_gone(reply: Reply) -> None:
    """Raise BadAnswer for a success that is not said as a server says that something is gone."""
    if reply.status != 204:
        raise stranger(f"It answered {reply.status} when something was to be removed.")
