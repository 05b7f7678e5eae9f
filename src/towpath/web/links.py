"""Links of this server: made for those who may, and read from requests. Keys come from a file.

Rules: the last key of the file signs, all of them are accepted, so that a key is changed without
breaking the links that are out; the file is readable by its owner alone and is made when it is
missing and nobody named it; no key is ever in a log or an error.
"""

from __future__ import annotations

import os
import re
import secrets
import tomllib
from collections.abc import Mapping
from pathlib import Path

from towpath.core.caller import Caller, Scope
from towpath.core.ports import Clock
from towpath.engine.engine import Engine
from towpath.engine.shelf import Shelf
from towpath.errors import Forbidden, SettingsError, StateConflict
from towpath.protocol.links import Link, parse_terms, read_link, write_link
from towpath.protocol.message import Head

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_LEAST = 32  # bytes of a key
_FIRST = """\
# Keys that sign links. The last one signs, all are accepted. To change it, add another one at the
# end and start the server again; remove the old one when the links that it signed may end.
[[key]]
id = "first"
secret = "{secret}"
"""


class Links:
    """Makes links and judges them."""

    def __init__(
        self,
        engine: Engine,
        shelf: Shelf,
        keys: Mapping[str, bytes],
        *,
        most_seconds: int,
    ) -> None:
        """`keys`: secrets by id, as the file has them. `most_seconds`: a link lives no longer."""
        self._engine = engine
        self._shelf = shelf
        self._keys = dict(keys)
        self._most = most_seconds

    @property
    def clock(self) -> Clock:
        """The time that links are held against."""
        return self._engine.clock

    def find(self, head: Head) -> Link | None:
        """The link that a request shows, None if it shows none. Raises Forbidden, NotFound."""
        return read_link(head, self._keys, now=self.clock.now())

    async def to_read(
        self, caller: Caller, key: str, said: Mapping[str, object]
    ) -> tuple[str, int]:
        """A query that lets others read the object, and when it ends, in milliseconds.

        Raises NotFound, Forbidden, StoreLost for an object that is damaged, Malformed.
        """
        seconds, kind, filename = self._terms(said)
        made = (await self._shelf.open(caller, key)).object
        return self._make(
            Link(
                act="read",
                key=key,
                tenant=made.tenant,
                subject=caller.subject,
                expires=self._end(seconds),
                kind=kind,
                filename=filename,
            )
        )

    async def to_write(
        self, caller: Caller, key: str, said: Mapping[str, object]
    ) -> tuple[str, int]:
        """A query that lets others fill the upload, and when it ends, in milliseconds.

        Raises NotFound, Expired, Forbidden, Malformed, StateConflict for an upload whose length is
        not known: a link would have no bound.
        """
        seconds, _, _ = self._terms(said)
        caller.require(Scope.WRITE)
        upload, _ = await self._engine.inspect(caller, key)
        if upload.length is None or upload.state.is_final:
            raise StateConflict(
                "No link can be made to this upload.",
                why=f"It is {upload.state.value}, or its length is not known.",
                todo="Make one to an unfinished upload that has a length.",
            )
        return self._make(
            Link(
                act="write",
                key=key,
                tenant=upload.tenant,
                subject=upload.owner,
                expires=self._end(seconds),
            )
        )

    def _terms(self, said: Mapping[str, object]) -> tuple[int, str, str | None]:
        if not self._most:
            raise Forbidden(
                "This server makes no links.",
                why="The setting link_lifetime is 0.",
                todo="Ask who runs it to set one.",
            )
        return parse_terms(said, most=self._most)

    def _end(self, seconds: int) -> int:
        return self.clock.now() // 1000 + seconds

    def _make(self, link: Link) -> tuple[str, int]:
        key_id, secret = list(self._keys.items())[-1]
        return write_link(link, key_id, secret), link.expires * 1000


def own_keys(file: Path) -> dict[str, bytes]:
    """The keys in a file of the server's own, which is made if it is missing. Blocks."""
    if not file.exists():
        _make_keys(file)
    return read_keys(file)


def read_keys(file: Path) -> dict[str, bytes]:
    """The keys in a file. Blocks. Raises SettingsError naming what is wrong."""
    try:
        entries = tomllib.loads(file.read_text(encoding="utf-8"))["key"]
        keys = {str(entry["id"]): bytes.fromhex(str(entry["secret"])) for entry in entries}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(
            f"The file {file} of keys for links cannot be read.",
            why=f"{error}.",
            todo="Correct it.",
        ) from error
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _unusable(
            file, "An entry lacks id or secret, or the secret is not hexadecimal."
        ) from None
    if len(keys) != len(entries) or not keys or not all(map(_ID.match, keys)):
        raise _unusable(file, "Each key has an id of its own, of letters, digits, _ and -.")
    if min(map(len, keys.values())) < _LEAST:
        raise _unusable(file, f"A secret has at least {_LEAST} bytes.")
    return keys


def _make_keys(file: Path) -> None:
    """Write a first key, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(_FIRST.format(secret=secrets.token_hex(_LEAST)))
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)


def _unusable(file: Path, why: str) -> SettingsError:
    return SettingsError(
        f"The keys for links in {file} cannot be used.",
        why=why,
        todo="Write [[key]] with id and secret, 64 hexadecimal digits, for each.",
    )
