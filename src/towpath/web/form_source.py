"""The one file of a multipart form as a `Source`; its fields beside it. Nothing is spooled.

Rules:
- Fields that say where bytes go stand before the file and are read first; those behind it are the
  source's trailers, under their own names.
- The framing is taken off in the worker thread that receives, within the block it receives into;
  what is held beside that block is at most READ_AHEAD bytes.
- A form is WHOLE when its last boundary and the end of the body were read. What is no form, a
  second file, and a file of another length than is expected end it with Malformed or TooLarge.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Mapping
from concurrent.futures import Executor

from towpath.core.ports import Ending, Source
from towpath.errors import Cut, Interrupted, Malformed, Refused, TakenOver, TooLarge, TooSlow
from towpath.protocol.forms import (
    Event,
    Field,
    FileBegin,
    FileBytes,
    FileEnd,
    FormReader,
    read_boundary,
)

READ_AHEAD = 16 * 1024
"""Bytes of a form that are read before its file is known, and held until they are asked for."""

_INTERRUPTIONS: dict[Ending, type[Interrupted]] = {
    Ending.CUT: Cut,
    Ending.SLOW: TooSlow,
    Ending.STOPPED: TakenOver,
}


async def open_form(
    source: Source, content_type: str | None, threads: Executor, *, files: Collection[str] = ()
) -> tuple[dict[str, str], FormSource]:
    """The fields before the file, and the file. `files`: names that are files in any case.

    Raises Malformed, also when there is no file; Interrupted when the body ends before.
    """
    form = FormSource(source, FormReader(read_boundary(content_type), files=files))
    loop = asyncio.get_running_loop()
    while not form.begun:
        await source.ready()
        await loop.run_in_executor(threads, form.read_ahead)
    return form.fields, form


class FormSource:
    """Made by `open_form`. `name`, `filename` and `media_type` are the file's, as they were sent.

    `fields` are those before the file.
    """

    def __init__(self, inner: Source, reader: FormReader) -> None:
        self._inner = inner
        self._reader = reader
        self._pending: deque[memoryview] = deque()  # bytes of the file that were read ahead
        self._ending: Ending | None = None
        self._expected: int | None = None
        self._given = 0  # bytes of the file that were found
        self._over = False  # the file has ended
        self._behind: dict[str, str] = {}
        self.fields: dict[str, str] = {}
        self.begun = False
        self.name = ""
        self.filename: str | None = None
        self.media_type: str | None = None

    def expect(self, length: int) -> None:
        """The file must have so many bytes. Raises what the rest of the form would, else."""
        self._expected = length
        self._check_length()

    @property
    def length(self) -> int | None:
        """Bytes of the file, if they are known: a form does not say."""
        return self._expected

    @property
    def trailers(self) -> Mapping[str, str]:
        """Fields behind the file, by their own names; empty before the form is WHOLE."""
        return self._behind if self._ending is Ending.WHOLE else {}

    @property
    def ending(self) -> Ending | None:
        """None while more may come; the body's own end is not yet that of the form."""
        inner = self._inner.ending
        return self._ending or (None if inner is Ending.WHOLE else inner)

    def read_ahead(self) -> None:
        """Read some of the form, up to the begin of its file. In a worker thread."""
        view = memoryview(bytearray(READ_AHEAD))
        while not self.begun and (count := self._inner.read_into(view)):
            self._pend(self._understand(view[:count]))
        if self.begun:
            return
        ending = self._inner.ending
        if ending is Ending.WHOLE:
            self._reader.finish()
            raise Malformed(
                "The form has no file.",
                field="file",
                why="It ended without one.",
                todo="Send the file as a part with a file name.",
            )
        if ending is not None:
            raise _INTERRUPTIONS[ending](
                "The form ended before its file.", todo="Send the request again."
            )

    def read_into(self, view: memoryview) -> int:
        """Put bytes of the file into `view`. Raises Malformed, TooLarge.

        What stands in `view` behind the returned count has no meaning.
        """
        if self.ending is not None or not len(view):
            return 0
        try:
            return self._read_into(view)
        except Refused:
            self._ending = Ending.CUT
            raise

    def _read_into(self, view: memoryview) -> int:
        while not self._pending:
            room = view if len(view) >= READ_AHEAD else memoryview(bytearray(READ_AHEAD))
            held = self._reader.held
            count = self._inner.read_into(room[held:])
            if not count:
                self._judge()
                return 0
            found = self._understand(room[held : held + count])
            if room is not view:
                self._pend(found)
            elif given := _gather(view, found):
                return given
        return self._give(view)

    def _give(self, view: memoryview) -> int:
        """Hand out what was read ahead."""
        given = 0
        while self._pending and given < len(view):
            piece = self._pending.popleft()
            count = min(len(piece), len(view) - given)
            view[given : given + count] = piece[:count]
            given += count
            if count < len(piece):
                self._pending.appendleft(piece[count:])
        return given

    def _pend(self, found: list[memoryview]) -> None:
        """Keep a copy: the block is used again."""
        self._pending.extend(memoryview(bytes(piece)) for piece in found)

    def _judge(self) -> None:
        """The body has nothing more now: see whether the form has ended."""
        if self._inner.ending is Ending.WHOLE:
            self._reader.finish()
        self._ending = self._inner.ending

    def _understand(self, block: memoryview) -> list[memoryview]:
        """The bytes of the file that a block has; its fields are put where they belong."""
        found: list[memoryview] = []
        for event in self._reader.feed(block):
            if isinstance(event, FileBytes):
                self._given += len(event.view)
                found.append(event.view)
            else:
                self._note(event)
        self._check_length()
        return found

    def _note(self, event: Event) -> None:
        match event:
            case FileBegin():
                if self.begun:
                    raise Malformed(
                        "The form has two files.",
                        field=event.name,
                        why=f"“{self.name}” came before.",
                        todo="Send one file with each request.",
                    )
                self.begun = True
                self.name, self.filename = event.name, event.filename
                self.media_type = event.media_type
            case FileEnd():
                self._over = True
            case Field():
                if event.name in self.fields or event.name in self._behind:
                    raise Malformed(
                        "A field is there twice.",
                        field=event.name,
                        why="Each may be sent once.",
                        todo="Leave one out.",
                    )
                (self._behind if self.begun else self.fields)[event.name] = event.value
            case _:
                pass

    def _check_length(self) -> None:
        expected = self._expected
        if expected is None:
            return
        if self._given > expected:
            raise TooLarge(
                "The chunk is too large.",
                why=f"At its place there are {expected} bytes to send.",
                todo="Cut the file into chunks of the size that the server answered.",
            )
        if self._over and self._given < expected:
            raise Malformed(
                "The chunk is too small.",
                field=self.name,
                why=f"It has {self._given} bytes; at its place there are {expected} to send.",
                todo="Cut the file into chunks of the size that the server answered.",
            )

    async def ready(self) -> None:
        """Return when there is something to read."""
        if not self._pending and self.ending is None:
            await self._inner.ready()

    def stop(self) -> None:
        """End it now. Any thread."""
        self._inner.stop()


def _gather(view: memoryview, found: list[memoryview]) -> int:
    """Move what was found within `view` to its start; mostly it is there already."""
    given = 0
    for piece in found:
        view[given : given + len(piece)] = piece
        given += len(piece)
    return given
