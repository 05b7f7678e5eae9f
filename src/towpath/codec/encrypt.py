"""Sealed messages: Cobblestone-256 (C2SP chunked-encryption, version 1), one message a chunk.

Rules: each message has a salt of its own, drawn anew each time, so that coding a chunk a second
time under the same key gives away nothing; the context says of which file, which chunk and whether
it is the last one, so that no message can stand in another's place; nothing is handed out before
the whole message is proven.
"""

from __future__ import annotations

import hashlib
import secrets
import struct
from collections.abc import Iterable, Iterator

from towpath.errors import DigestMismatch

FILE_KEY = 32
"""Bytes of the key that seals the chunks of one file."""

FILE_ID = 16
"""Bytes of the random number that stands for one file."""

_HEADER = 56  # salt and commitment to the key
_SEGMENT, _TAG = 16 * 1024, 16
_SPARE = _SEGMENT + 128  # as much more as the ciphers ask for, so that they never allocate
PIECE = 256 * 1024  # bytes that are sealed at once: they stay in the cache meanwhile
_CHUNK = struct.Struct(">16s16sQB")
_MANIFEST = struct.Struct(">16s16s32s")


def new_file_key() -> bytes:
    """A random key for one file."""
    return secrets.token_bytes(FILE_KEY)


def new_file_id() -> bytes:
    """A random id for one file."""
    return secrets.token_bytes(FILE_ID)


def sealed_length(length: int) -> int:
    """Bytes of the sealed message of `length` bytes."""
    return _HEADER + length + _TAG * (length // _SEGMENT + 1)


def chunk_context(file_id: bytes, index: int, *, final: bool) -> bytes:
    """What the sealed chunk `index` of a file is bound to."""
    return _CHUNK.pack(b"towpath chunk 1", file_id, index, final)


def manifest_context(file_id: bytes, head: bytes) -> bytes:
    """What a file's sealed manifest is bound to: also the open `head` before it."""
    return _MANIFEST.pack(b"towpath table 1", file_id, hashlib.sha256(head).digest())


def seal_room(longest: int) -> int:
    """Bytes of the room that `seal` wants for a message of at most `longest` bytes."""
    return longest + longest // 1024 + _SPARE


def open_room(longest: int) -> int:
    """Bytes of the room that `unseal` wants for a sealed message of at most `longest` bytes."""
    return longest + _SPARE


def seal(key: bytes, context: bytes, plain: memoryview, room: memoryview) -> memoryview:
    """The sealed message, in `room`, where `plain` does not lie."""
    return room[: sum(len(sealed) for _, sealed in sealing(key, context, in_pieces(plain), room))]


def in_pieces(plain: memoryview) -> Iterator[memoryview]:
    """`plain`, PIECE bytes at a time."""
    return (plain[start : start + PIECE] for start in range(0, len(plain), PIECE))


def sealing(
    key: bytes, context: bytes, pieces: Iterable[memoryview], room: memoryview
) -> Iterator[tuple[memoryview, memoryview]]:
    """The same piece by piece: what goes in, which is done with then, and what is sealed comes out.

    So whoever reads each of them meanwhile, for a checksum say, finds it in the processor's cache.
    """
    from cryptography.cobblestone import Cobblestone256Encryptor  # noqa: PLC0415 - slow

    encryptor = Cobblestone256Encryptor(key, context)
    end = 0
    for piece in pieces:
        begin, end = end, end + encryptor.update_into(piece, room[end:])
        yield piece, room[begin:end]
    last = encryptor.finalize()
    room[end : end + len(last)] = last
    yield room[:0], room[end : end + len(last)]


def unseal(key: bytes, context: bytes, sealed: memoryview, room: memoryview) -> memoryview:
    """The plain message, in `room`, where `sealed` does not lie. Raises DigestMismatch."""
    return unsealing(key, context, [sealed], room)


def unsealing(
    key: bytes, context: bytes, pieces: Iterable[memoryview], room: memoryview
) -> memoryview:
    """The same of a message that comes in pieces, each of which is done with then.

    What lies in `room` before this returns is proven by nothing.
    """
    from cryptography.cobblestone import Cobblestone256Decryptor  # noqa: PLC0415 - slow
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - slow

    decryptor = Cobblestone256Decryptor(key, context)
    written = 0
    try:
        for piece in pieces:
            written += decryptor.update_into(piece, room[written:])
        last = decryptor.finalize()
    except InvalidTag:
        raise DigestMismatch(
            "A sealed message cannot be opened.",
            why="It was changed or cut, belongs to another place, or has another key.",
        ) from None
    end = written + len(last)
    room[written:end] = last
    return room[:end]
