"""All names of a folder on the server, however many: page by page, and over breaks of the line.

Rules: a page is asked for when the one before it is used up; after a break the list goes on behind
the last name, so that none is missed and none comes twice.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from towpath.errors import TowpathError

if TYPE_CHECKING:
    from towpath.client import Client, NameRecord

PAGE = 300  # names of one answer, which is at most 1 MiB


def listed(client: Client, prefix: str, *, retries: int) -> Iterator[NameRecord]:
    """The names that begin with `prefix`, in order. Raises what `retries` in a row did not cure."""
    from towpath.client.retry import Patience

    patience, after = Patience(retries), ""
    while True:
        names = client.names(prefix, page=PAGE, after=after)
        while True:
            try:
                record = next(names, None)
            except TowpathError as error:
                time.sleep(patience.after(error))
                break
            if record is None:
                return
            patience.progress()
            after = record.path
            yield record
