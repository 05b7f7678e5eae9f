"""How an upload that goes in order is spoken of: by tus, or by resumable uploads for HTTP.

Rules: no I/O; both are spoken from the same calls, and what they have no word for is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from towpath.client import words
from towpath.client.beginning import tus_metadata
from towpath.client.resume import Source
from towpath.client.words import Fields, Standing
from towpath.errors import BadAnswer, Cut

if TYPE_CHECKING:
    from towpath.client.upload import UploadTask
    from towpath.core.command import Append, Create
    from towpath.protocol.rufh.client import Told

RUFH = "rufh"  # begins the dialect of a note; the version follows it
_DISCOVERABLE = ("8", "", "7", "6")  # older ones say of no server that it knows them


class Tus:
    """tus 1.0."""

    dialect = ""  # in notes
    asking: Mapping[str, str] = words.TUS  # the fields of a question, and of a removal
    stays = True  # a complete upload can be asked for

    def creation(self, task: UploadTask, source: Source) -> Fields:
        """The fields that create the upload. Raises Malformed when metadata cannot be sent."""
        return words.creation(source.size, tus_metadata(task, source))

    def created(self, fields: Fields, size: int) -> Standing:
        """What the answer says of an upload that was created without a byte."""
        del fields
        return Standing(0, size)

    def chunk(self, offset: int, end: int, size: int) -> Fields:
        """The fields of the chunk offset <= byte < end of `size`."""
        del end, size
        return words.chunk(offset)

    def standing(self, fields: Fields) -> Standing:
        """What the server says of the upload. Raises BadAnswer where it says no offset."""
        return words.standing(fields)

    def taken(self, fields: Fields, position: int, end: int, size: int) -> Standing:
        """The same, in a success after a chunk; `position`: where what went out of it ended."""
        del position, end, size
        return words.standing(fields)

    def is_complete(self, standing: Standing, size: int) -> bool:
        """Whether there is nothing left to say."""
        return standing.offset == size

    def is_its_own(self, fields: Fields) -> bool:
        """Whether the server answers itself, and no proxy before it."""
        return "tus-resumable" in fields


class Rufh:
    """Resumable uploads for HTTP (draft-ietf-httpbis-resumable-upload), in one version.

    `version`: what Upload-Draft-Interop-Version says; "": the form without a version.
    """

    stays = False  # what is complete may be gone by that name

    def __init__(self, version: str) -> None:
        self.dialect = f"{RUFH} {version}".strip()
        self._version = int(version) if version else None
        self.asking = {} if not version else {"Upload-Draft-Interop-Version": version}

    def creation(self, task: UploadTask, source: Source) -> Fields:
        """The fields that create the upload, without a byte of it."""
        from towpath.core.command import Create, NewUpload  # noqa: PLC0415 - most speak tus

        return self._fields(Create(new=NewUpload(length=source.size, name=task.name)))

    def created(self, fields: Fields, size: int) -> Standing:
        """What the answer says of an upload that was created without a byte."""
        del size
        return self._standing(fields, 0, complete=False)

    def chunk(self, offset: int, end: int, size: int) -> Fields:
        """The fields of the chunk offset <= byte < end of `size`; the last one says that it is."""
        from towpath.core.command import Append  # noqa: PLC0415 - most speak tus
        from towpath.core.transfer import Write  # noqa: PLC0415

        write = Write(offset=offset, length=end - offset, completes=end == size)
        return self._fields(Append(key="", write=write))

    def standing(self, fields: Fields) -> Standing:
        """What the server says of the upload. Raises BadAnswer where it says no offset."""
        told = self._told(fields)
        if told.offset is None:
            raise BadAnswer("The server did not say how far the upload is.")
        return self._standing(fields, told.offset, complete=told.complete)

    def taken(self, fields: Fields, position: int, end: int, size: int) -> Standing:
        """The same, in a success after a chunk, which needs no offset where all of it went out."""
        if position < end:
            raise Cut("The server answered before all of the chunk had gone out.")
        told = self._told(fields)
        complete = end == size if told.complete is None else told.complete
        offset = told.offset if told.offset is not None and not complete else end
        return self._standing(fields, offset, complete=complete)

    def is_complete(self, standing: Standing, size: int) -> bool:
        """Whether the server has all, and knows that it is all."""
        return standing.offset == size and standing.complete is True

    def is_its_own(self, fields: Fields) -> bool:
        """Whether the server answers itself, and no proxy before it."""
        return bool({"upload-limit", "upload-offset", "upload-complete"} & fields.keys())

    def _fields(self, command: Create | Append) -> Fields:
        from towpath.protocol.rufh.client import compose  # noqa: PLC0415 - most speak tus

        said = compose(command, version=self._version).fields
        return {name: value for name, value in said.items() if name != "content-length"}

    def _told(self, fields: Fields) -> Told:
        from towpath.core.command import Claim  # noqa: PLC0415 - most speak tus
        from towpath.protocol.message import Reply as Answer  # noqa: PLC0415
        from towpath.protocol.rufh.client import read  # noqa: PLC0415

        answer = Answer(status=200, fields=tuple(fields.items()))
        return read(Claim(key=""), answer, version=self._version)

    def _standing(self, fields: Fields, offset: int, *, complete: bool | None) -> Standing:
        most = self._told(fields).limits.get("max-append-size")
        return Standing(
            offset,
            crc=words.crc_of(fields),
            name=words.name_of(fields),
            complete=complete,
            most=most,
        )


def spoken_in(dialect: str) -> Tus | Rufh:
    """How to go on with an upload that a note tells of."""
    return Rufh(dialect.removeprefix(RUFH).strip()) if dialect.startswith(RUFH) else Tus()


def spoken(fields: Fields) -> Iterator[Tus | Rufh]:
    """What a server that answered OPTIONS so says that it speaks, the likeliest first."""
    if words.speaks_tus(fields):
        yield Tus()
    elif "upload-limit" in fields:
        yield from map(Rufh, _DISCOVERABLE)
