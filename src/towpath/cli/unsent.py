"""Which of the files that were found are to be sent: those that the server has not.

Rules: the files of a folder are held against pages of its names, both in the same order, so that
nobody is asked for each of them and no list is held. What differs and is to stand beside the one
that has its name may stand there already, under another: so it is looked for there, too. Who may
not see names sends all.
"""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from towpath.cli.listed import listed
from towpath.cli.output import Output
from towpath.cli.same import is_as_new_as, is_same, there
from towpath.cli.select import Found, Named, Walk
from towpath.client.attributes import LINK
from towpath.client.coded import NOTED
from towpath.client.location import absolute, name_for, nameless
from towpath.client.progress import Direction
from towpath.client.resume import WHOLE, Note, Notebook
from towpath.client.surroundings import state_folder
from towpath.core.names import alternatives
from towpath.errors import BadAnswer, Forbidden, NotFound, Refused, TowpathError, TransferError

if TYPE_CHECKING:
    from towpath.client import Client, NameRecord

_MOST_NAMES = 1000  # that one file is looked for under


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class Unsent:
    """Leaves out what the server has.

    `insists`: it is an error if that cannot be seen. `always`: one file that is all there is goes
    in any case. `later`: it is sent some other time, so a server that is away is not waited for.
    """

    client: Client
    output: Output
    insists: bool
    always: bool
    checksum: bool
    beside: bool  # what differs is to stand beside what has its name
    sealed: bool  # it is to be encrypted
    retries: int
    later: bool = False
    same: int = 0
    same_bytes: int = 0  # of these files here
    _blind: bool = False  # names cannot be seen
    _notes: dict[tuple[str, str], Note] | None = None  # of earlier runs, by path and name

    def of(self, walk: Walk, sources: Iterable[Named], *, several: bool) -> Iterator[Found]:
        """What is to be sent of `sources`; what is left out is counted.

        Of a file that is all there is, what it is called is printed as if it had been sent.
        """
        asks = self.insists or several or not self.always
        for source, dest, error, goes in sources:
            if error is not None:
                yield Found(source, dest or "", error=error)
                continue
            top = walk.top(source, dest)
            found = (each for each in walk.files(source, dest) if not goes(each.path))
            if top is not None and nameless(top) is None:
                yield from self._below(found, f"{top}/")
            elif asks:
                yield from self._alone(found, tells=not several and not self.later)
            else:
                yield from (each._replace(anyway=True) for each in found)

    def known(self, found: Found) -> NameRecord | None:
        """What the server has of one file, if that is the same."""
        return self._same(self._named(_name(found)), found)

    def _alone(self, found: Iterator[Found], *, tells: bool) -> Iterator[Found]:
        """Files that were named themselves."""
        for each in found:
            if each.error is not None:
                yield each
                continue
            try:
                known = self.known(each)
            except TowpathError as error:
                if self.insists:
                    raise
                yield each._replace(error=error)
                continue
            if known is None:
                yield each
                continue
            self._leave(each, known)
            if tells:
                self.output.line(known.path)

    def _below(self, found: Iterator[Found], prefix: str) -> Iterator[Found]:
        """Files of a folder, in the order of their names."""
        names = self._names(unicodedata.normalize("NFC", prefix.lstrip("/")))
        known = next(names, None)
        for each in found:
            name = _name(each)
            while known is not None and known.path < name:
                known = next(names, None)
            has_it = known if known is not None and known.path == name else None
            same = self._same(has_it, each) if each.error is None else None
            if same is not None:
                self._leave(each, same)
            else:
                yield each

    def _names(self, prefix: str) -> Iterator[NameRecord]:
        try:
            yield from listed(self.client, prefix, retries=self.retries)
        except NotFound:  # a server that has no such list
            return
        except (Refused, BadAnswer):
            if self.insists:
                raise
        except TowpathError:
            if self.insists or not self.later:
                raise

    def _named(self, name: str) -> NameRecord | None:
        """What the server has under a name, if anything."""
        from towpath.client.retry import Patience

        patience = Patience(self.retries)
        while not self._blind:
            try:
                return there(self.client, name)
            except (Forbidden, BadAnswer):
                self._blind = True
                if self.insists:
                    raise
            except Refused:  # whoever sends it says what is wrong
                return None
            except TowpathError as error:
                if self.later and not self.insists:
                    self._blind = True
                else:
                    time.sleep(patience.after(error))
        return None

    def _note_of(self, found: Found) -> Note | None:
        if self._notes is None:
            self._notes = dict(_notes())
        return self._notes.get((absolute(found.path), _name(found)))

    def _same(self, known: NameRecord | None, found: Found) -> NameRecord | None:
        """What is the same, of that which has its name or stands beside that; None: nothing is.

        Nothing is of what has begun to be sent: that goes on, and ends. A small file only does if
        the server has it not.
        """
        if known is not None and (note := self._note_of(found)) and note.dialect != WHOLE:
            return None
        if known is None or self._is(known, found):
            return known
        if not self.beside:
            return None
        for path in islice(alternatives(known.path), 1, _MOST_NAMES):
            other = self._named(path)
            if other is None or self._is(other, found):
                return other
        return None

    def _is(self, known: NameRecord, found: Found) -> bool:
        if found.link is not None or LINK in known.metadata:
            return known.metadata.get(LINK) == found.link
        sealed = "sealed" in known.metadata.get(NOTED, "").split()
        if sealed and self.sealed:  # nothing tells how long it is, but when it was made
            return not (known.damaged or self.checksum) and is_as_new_as(known, found.path)
        return sealed == self.sealed and is_same(known, found.path, checksum=self.checksum)

    def _leave(self, found: Found, known: NameRecord) -> None:
        """It is there; if a kill hid the answer, nothing is left to be done about it."""
        self.same += 1
        if found.link is None:
            with suppress(OSError):  # it went just now
                self.same_bytes += found.size or Path(found.path).stat().st_size
        if note := self._note_of(found):
            Notebook(state_folder()).remove(note.id)
        self.output.record("same", direction="upload", name=known.path, path=found.path)


def _notes() -> Iterator[tuple[tuple[str, str], Note]]:
    """What was under way when an earlier run was stopped."""
    with suppress(TransferError):  # a note of another version
        for note in Notebook(state_folder()).all():
            if note.direction is Direction.UPLOAD:
                yield (note.path, unicodedata.normalize("NFC", note.name)), note


def _name(found: Found) -> str:
    return unicodedata.normalize("NFC", name_for(found.name, Path(found.path).name))
