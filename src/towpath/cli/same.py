"""What need not be carried, because the other side has it already.

Rules: --update compares length and time, --checksum length and CRC64NVME, which every object has; a
damaged object, and whatever cannot be told, is carried.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from towpath.client.attributes import is_as_new
from towpath.client.coded import LENGTH, NOTED
from towpath.errors import NotFound, TowpathError

if TYPE_CHECKING:
    from towpath.client import Client, NameRecord

_F = TypeVar("_F", bound=Callable[..., Any])


def same_options(command: _F) -> _F:
    """--update and --checksum."""
    for option in (
        click.option(
            "--checksum",
            is_flag=True,
            help="Like --update, but compare checksums: reads every file of the same size.",
        ),
        click.option(
            "--update",
            is_flag=True,
            help="Leave out what is there already, of the same size and time; replace the rest.",
        ),
    ):
        command = option(command)
    return command


def there(client: Client, name: str) -> NameRecord | None:
    """What the server has under a name, if anything."""
    try:
        return client.stat(name)
    except NotFound:
        return None


def looked_up(client: Client, name: str, *, retries: int) -> NameRecord | None:
    """The same, over failures that pass. Raises what `retries` in a row did not cure."""
    from towpath.client.retry import Patience

    patience = Patience(retries)
    while True:
        try:
            return there(client, name)
        except TowpathError as error:
            time.sleep(patience.after(error))


def is_same(known: NameRecord, path: str, *, checksum: bool) -> bool:
    """True when the file at `path` is what the object was made from, or would become."""
    try:
        found = Path(path).stat()
        if not Path(path).is_file() or known.damaged or _length(known) != found.st_size:
            return False
        if not checksum:
            return is_as_new(known.metadata, found)
        return known.digests.get("crc64nvme") == f"{_crc(path):016x}"
    except OSError:  # whoever carries it says what is wrong with it
        return False


def is_as_new_as(known: NameRecord, path: str) -> bool:
    """True when the file at `path` has the time of what the object was made from."""
    try:
        return is_as_new(known.metadata, Path(path).stat())
    except OSError:
        return False


def _length(known: NameRecord) -> int | None:
    """Bytes of the file that an object stands for; None if that is not told."""
    if NOTED not in known.metadata:
        return known.length
    told = known.metadata.get(LENGTH, "")
    return int(told) if told.isascii() and told.isdigit() and len(told) < 20 else None


def _crc(path: str) -> int:
    from towpath.client.blocks import Blocks, crc64nvme

    crc, offset = 0, 0
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - unbuffered, as Blocks wants it
        blocks = Blocks(file)
        while view := blocks.read(offset, os.fstat(file.fileno()).st_size):
            crc = crc64nvme(view, crc)
            offset += len(view)
    return crc
