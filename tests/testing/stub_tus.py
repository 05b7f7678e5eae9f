"""A small tus 1.0 server with every extension, right by itself, to prove the suite for tus.

Rules: everything in memory; the sins are planted from outside, as `stub` says.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import time
import uuid
from dataclasses import dataclass, field
from email.utils import formatdate
from urllib.parse import urlsplit

from tests.testing.stub import Ask, Say, Sin, Stub

BODY = "application/offset+octet-stream"
MAX = 2**60
EXTENSIONS = (
    "creation,creation-defer-length,creation-with-upload,expiration,termination,checksum,"
    "checksum-trailer,concatenation,concatenation-unfinished"
)


@dataclass
class Upload:
    """One upload; a final one has parts and no bytes of its own."""

    length: int | None
    metadata: str = ""
    concat: str = ""
    parts: list[Upload] = field(default_factory=list)
    data: bytearray = field(default_factory=bytearray)
    expires: float = 0

    @property
    def final(self) -> bool:
        """True if it is made of others."""
        return self.concat.startswith("final")

    @property
    def content(self) -> bytes:
        """All its bytes."""
        return b"".join(part.content for part in self.parts) if self.final else bytes(self.data)

    @property
    def done(self) -> bool:
        """True when every byte is there."""
        return len(self.content) == self.size

    @property
    def size(self) -> int | None:
        """The length, if it is known."""
        if not self.final:
            return self.length
        sizes = [part.size for part in self.parts]
        return None if None in sizes else sum(size or 0 for size in sizes)


class TusStub(Stub):
    """Speaks tus 1.0."""

    def __init__(self, sin: Sin | None = None, *, lifetime: float = 3600) -> None:
        super().__init__(sin)
        self.lifetime = lifetime

    def answer(self, ask: Ask) -> Say:
        """Answer, with the field that is in every answer."""
        ask.method = ask.fields.get("x-http-method-override", ask.method)
        said = self._answer(ask)
        said.fields["tus-resumable"] = "1.0.0"
        return said

    def _answer(self, ask: Ask) -> Say:
        if ask.method == "OPTIONS":
            return Say(
                204,
                {
                    "tus-version": "1.0.0",
                    "tus-extension": EXTENSIONS,
                    "tus-max-size": str(MAX),
                    "tus-checksum-algorithm": "sha1,md5",
                },
            )
        if ask.method != "GET" and ask.fields.get("tus-resumable") != "1.0.0":
            return Say(412, {"tus-version": "1.0.0"})
        if ask.path == "/files/":
            return self._create(ask) if ask.method == "POST" else Say(405)
        upload = ask.upload
        if upload is None:
            return Say(404)
        if upload.expires < time.time() and not upload.done:
            return Say(410)
        match ask.method:
            case "GET":
                return Say(200, {}, upload.content)
            case "HEAD":
                return self._head(upload)
            case "PATCH":
                return self._patch(ask, upload)
            case "DELETE":
                ask.removed = self.uploads.pop(ask.path)
                return Say(204)
        return Say(405)

    def _create(self, ask: Ask) -> Say:
        concat = ask.fields.get("upload-concat", "")
        length, defer = (ask.fields.get(f"upload-{each}") for each in ("length", "defer-length"))
        if defer is not None and defer != "1":
            return Say(400)
        upload = Upload(None, ask.fields.get("upload-metadata", ""), concat)
        if upload.final:
            parts = [self.uploads.get(urlsplit(url).path) for url in concat[6:].split()]
            if None in parts or length is not None:
                return Say(400)
            upload.parts = [part for part in parts if part is not None]
        elif (length is None) == (defer is None):
            return Say(400)
        elif length is not None:
            if not (length.isascii() and length.isdigit()):
                return Say(400)
            upload.length = int(length)
            if upload.length > MAX:
                return Say(413)
        upload.expires = time.time() + self.lifetime
        fields = {"location": f"/files/{uuid.uuid4().hex}", "upload-expires": self._when(upload)}
        if ask.chunked or ask.fields.get("content-length", "0") != "0":
            if ask.fields.get("content-type") != BODY:
                return Say(415)
            refused = self._take(ask, upload)
            if refused is not None:
                return refused
            fields["upload-offset"] = str(len(upload.data))
        self.uploads[fields["location"]] = upload
        return Say(201, fields)

    def _head(self, upload: Upload) -> Say:
        fields = {"cache-control": "no-store"}
        if not upload.final or upload.done:
            fields["upload-offset"] = str(len(upload.content))
        if upload.size is not None:
            fields["upload-length"] = str(upload.size)
        else:
            fields["upload-defer-length"] = "1"
        if upload.concat:
            fields["upload-concat"] = upload.concat
        if upload.metadata:
            fields["upload-metadata"] = upload.metadata
        return Say(200, fields)

    def _patch(self, ask: Ask, upload: Upload) -> Say:
        if upload.final:
            return Say(403)
        if ask.fields.get("content-type") != BODY:
            return Say(415)
        offset = ask.fields.get("upload-offset", "")
        if not (offset.isascii() and offset.isdigit()):
            return Say(400)
        if int(offset) != len(upload.data):
            return Say(409, {"upload-offset": str(len(upload.data))})
        if "upload-length" in ask.fields:
            length = int(ask.fields["upload-length"])
            if upload.length not in (None, length) or length < len(upload.data):
                return Say(400)
            upload.length = length
        refused = self._take(ask, upload)
        if refused is not None:
            return refused
        fields = {"upload-offset": str(len(upload.data)), "upload-expires": self._when(upload)}
        return Say(204, fields)

    def _take(self, ask: Ask, upload: Upload) -> Say | None:
        """Append what comes; the refusal, if it may not be."""
        body = bytearray()
        try:
            for block in ask.blocks():
                body += block
        except (ConnectionError, ValueError):
            if ask.keeps_cut and not {"upload-checksum", "trailer"} & ask.fields.keys():
                upload.data += body
            raise
        ask.body = bytes(body)
        checksum = ask.fields.get("upload-checksum")
        if checksum is None and ask.fields.get("trailer", "").lower() == "upload-checksum":
            checksum = ask.trailers.get("upload-checksum", "")
        if checksum is not None and (wrong := _wrong(checksum, ask.body)):
            return Say(wrong)
        room = MAX if upload.length is None or not ask.bounded else upload.length
        if len(upload.data) + len(body) > room:
            return Say(413)
        upload.data += body
        return None

    def _when(self, upload: Upload) -> str:
        return formatdate(upload.expires, usegmt=True)


def _wrong(checksum: str, body: bytes) -> int:
    """The status of a checksum that is wrong, else 0."""
    name, _, text = checksum.partition(" ")
    try:
        wanted = base64.b64decode(text, validate=True)
    except binascii.Error:
        return 400
    if name not in ("sha1", "md5") or not wanted:
        return 400
    return 0 if hashlib.new(name, body).digest() == wanted else 460
