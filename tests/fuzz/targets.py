"""What a stranger's bytes reach first: every reader of heads, of JSON and of forms.

Rules: an input is a request as text - a line of method and address, fields, an empty line, a body;
a reader answers, or refuses with one of our errors, and the refusal is the sender's fault: 4xx;
what was understood can be answered with fields that stay fields.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from towpath.core.command import Claim, Concatenate, Create, NewUpload
from towpath.core.model import Object, Upload
from towpath.core.names import check_name
from towpath.core.state import UploadState
from towpath.errors import TowpathError
from towpath.protocol import (
    documents,
    fields,
    forms,
    names,
    ranges,
    rufh,
    session,
    single,
    streaming,
    structured,
    tus,
    values,
)
from towpath.protocol.cors import Sharing, read_origin
from towpath.protocol.download import deliver
from towpath.protocol.forwarded import read_forwarded, read_x_forwarded
from towpath.protocol.message import Head, Reply, join_fields
from towpath.protocol.problem import refuse
from towpath.protocol.tus import checksum, method
from towpath.testing.rows import upload
from towpath.web.intake import query_of

T = TypeVar("T")

KEY = "0123456789abcdefghijklmnopqrstu"
MADE = Object(tenant="t", owner="o", id=KEY, length=1000, crc=7, created_at=1_700_000_000_500)
BOUNDARY = "edge0123456789"
FILES = ("file", "chunk")


def read_request(data: bytes) -> tuple[Head, bytes]:
    """The head and the body of an input."""
    text, _, body = data.partition(b"\n\n")
    line, *lines = text.split(b"\n")
    said, _, address = line.partition(b" ")
    path, _, query = address.partition(b"?")
    pairs = ((name.strip(), value) for name, _, value in (each.partition(b":") for each in lines))
    head = Head(
        method=said.decode("latin-1"),
        path=path.decode("utf-8", "replace"),
        query=query.decode("latin-1"),
        fields=join_fields(pairs),
        base="/files",
        trailers=len(data) % 2 == 0,
    )
    return head, body


def held(read: Callable[[], T], refusing: Callable[[TowpathError], Reply] = refuse) -> T | None:
    """What was read; None if it was refused, as it should be."""
    try:
        found = read()
    except TowpathError as error:
        reply = refusing(error)
        assert 400 <= reply.status < 500, (reply.status, error)
        _require_fields(reply)
        return None
    if isinstance(found, Reply):
        assert found.status < 500, found
        _require_fields(found)
    return found


def _require_fields(reply: Reply) -> None:
    for name, value in reply.fields:
        raw = f"{name}: {value}".encode("latin-1")
        assert not set(raw) & {10, 13, 0}, raw


def heads(data: bytes) -> None:
    """Fields, by everybody who reads any."""
    head, _ = read_request(data)
    assert isinstance(tus.speaks(head), bool)
    _answerable(head, held(lambda: tus.parse(head), tus.refuse))
    rufh.speaks(head)
    _answerable(head, held(lambda: rufh.parse(head), lambda error: rufh.refuse(error, head)))
    held(lambda: method.read_method(head.method, head.fields))
    held(lambda: checksum.read_behind(head.fields))
    query = held(lambda: query_of(head))
    _answerable(head, held(lambda: single.check(head)))
    _answerable(head, held(lambda: single.parse(head, query or {})))
    _answerable(head, held(lambda: names.parse_put(head)))
    held(lambda: names.check(head))
    held(lambda: names.parse_look(head, dict(query or {})))
    held(lambda: ranges.parse(head, dict(query or {})))
    held(lambda: streaming.parse_status(query or {}))
    delivery = deliver(head, MADE, "folder/ü.pdf", boundary=BOUNDARY)
    assert delivery.reply.status in {200, 206, 304, 412, 416}
    for piece in delivery.pieces:
        assert 0 <= piece.start <= piece.end <= MADE.length
    _require_fields(delivery.reply)
    sharing = Sharing(origins=frozenset({"https://a.example"}), max_age=60)
    held(lambda: sharing.preflight(head.method, head.fields))
    for read in (read_forwarded, read_x_forwarded):
        held(lambda read=read: read(head.fields, lambda address: address == "10.0.0.1"))  # type: ignore[misc]
    for value in head.fields.values():
        _each_reader(value)


def _each_reader(value: str) -> None:
    """One field's value, by the readers of single values."""
    assert structured.read_boolean(value) in {True, False, None}
    structured.read_integer(value)
    structured.read_dictionary(value)
    held(lambda: fields.read_size(value, field="X"))
    held(lambda: fields.read_key(value))
    held(lambda: fields.read_body_length(value, None))
    held(lambda: fields.read_sha256(value, field="X"))
    fields.read_date(value)
    list(fields.read_tags(value))
    media_type = fields.read_media_type(value)
    assert media_type is None or media_type.isascii()
    name = fields.read_disposition(value)
    assert name is None or "/" not in name
    held(lambda: tus.read_metadata(value))
    held(lambda: forms.read_boundary(value))
    with contextlib.suppress(ValueError):
        read_origin(value)


def _answerable(head: Head, command: object) -> None:
    """What was created can be spoken of, in each dialect, in fields that stay fields."""
    if isinstance(command, names.Put):
        command = command.create
    if not isinstance(command, Create | Concatenate):
        return
    row = _row(command.new)
    if row is None:
        return
    _require_fields(tus.render(Claim(key=row.id), row, head, most=None))
    _require_fields(rufh.render(Claim(key=row.id), row, head, most=None))
    made = Object(
        tenant="t", owner="o", id=row.id, length=3, crc=7, media_type=row.media_type, created_at=1
    )
    asked = Head(method="GET", path="/")
    _require_fields(deliver(asked, made, row.name, boundary=BOUNDARY).reply)


def _row(new: NewUpload) -> Upload | None:
    """The upload that would be created; None if its name is refused."""
    if new.name is not None and held(lambda: check_name(new.name or "")) is None:
        return None
    return upload(
        KEY,
        length=3,
        offset=3,
        state=UploadState.COMPLETE,
        name=new.name,
        media_type=new.media_type,
        metadata=new.metadata,
        dialect=new.dialect,
        memo=new.memo,
    )


def bodies(data: bytes) -> None:
    """JSON, by everybody who reads it."""
    head, body = read_request(data)
    found = held(lambda: values.read_object(body))
    if found is None:
        return
    begin = held(
        lambda: documents.parse_initiate(found, chunk=1 << 23, most=None, client="c"),
        documents.refuse,
    )
    if begin is not None:
        _begun(begin.new)
    held(lambda: documents.parse_resume(found), documents.refuse)
    held(lambda: documents.parse_reason(found), documents.refuse)
    new = held(lambda: streaming.parse_initialize(found), streaming.refuse)
    if new is not None:
        _begun(new)
    held(lambda: streaming.parse_action(found), streaming.refuse)
    _answerable(head, held(lambda: ranges.parse(head, found)))
    said = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in found.items()
    }
    _form_fields(said)


def _begun(new: NewUpload) -> None:
    """A session can be told of, and its cut is one."""
    row = upload(KEY, length=new.length, name=new.name, dialect=new.dialect, memo=new.memo)
    if new.dialect == session.NAME:
        _require_fields(documents.render_begun(row, "/d"))
        assert session.cut_of(row).chunk > 0
    else:
        _require_fields(streaming.render_begun(row))
        assert streaming.cut_of(row).chunk > 0


def _form_fields(said: Mapping[str, str]) -> None:
    """The fields of a form, by everybody who reads them."""
    row = upload(KEY, length=10_000_000, dialect=session.NAME)
    chunk = held(lambda: documents.parse_chunk(said), documents.refuse)
    if chunk is not None:
        placed = held(lambda: documents.place(KEY, chunk, row), documents.refuse)
        assert placed is None or 0 <= placed.write.offset <= (placed.write.end or 0) <= 10_000_000
        held(lambda: documents.read_behind(said, chunk, row), documents.refuse)
    piece = held(lambda: streaming.parse_chunk(said), streaming.refuse)
    if piece is not None:
        placed = held(lambda: streaming.place(piece, row), streaming.refuse)
        assert placed is None or 0 <= placed.write.offset <= (placed.write.end or 0) <= 10_000_000
        held(lambda: streaming.read_behind(said), streaming.refuse)
    held(lambda: single.parse_form(said, "a.bin", None))
    held(lambda: names.parse_form("folder/", said, "a.bin", None))
    held(lambda: names.check_behind(said))


def multipart(data: bytes) -> None:
    """A form, in blocks of any size; the first byte says of which."""
    size = (data[:1] or b"\0")[0] + 1
    rest = data[1:]

    def read() -> dict[str, str]:
        reader = forms.FormReader(b"x", files=FILES)
        said: dict[str, str] = {}
        for at in range(0, len(rest), size):
            for event in reader.feed(memoryview(rest[at : at + size])):
                if isinstance(event, forms.Field):
                    said[event.name] = event.value
        reader.finish()
        return said

    said = held(read)
    if said is not None:
        _form_fields(said)


TARGETS: dict[str, Callable[[bytes], Any]] = {
    "heads": heads,
    "bodies": bodies,
    "multipart": multipart,
}


def every(data: bytes) -> None:
    """All of them."""
    for target in TARGETS.values():
        target(data)
