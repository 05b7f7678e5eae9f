"""SHA-256 whose state can be kept (FIPS 180-4), and that lets other threads run meanwhile.

Rules: OpenSSL's own functions do the work where the library that Python uses has them: they are
called without the interpreter's lock. Whether they can be trusted is tried once; where they are
missing or lay their state out in another way, `rehashes` does it, piece by piece, since it holds
the lock. A state is kept in the form of `rehashes` (8 words, count of blocks, rest), by either.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import struct
from typing import Protocol

from rehashes import PySha256

_WORDS = 8
_BLOCK = 64
_KEPT = struct.Struct("<8IQB63s")
_PIECE = 64 * 1024  # bytes: what the lock is held for, about 50 microseconds


class _Context(ctypes.Structure):
    """SHA256_CTX of <openssl/sha.h>."""

    _fields_ = (
        ("words", ctypes.c_uint32 * _WORDS),
        ("bits_low", ctypes.c_uint32),
        ("bits_high", ctypes.c_uint32),
        ("rest", ctypes.c_ubyte * _BLOCK),
        ("count", ctypes.c_uint),
        ("size", ctypes.c_uint),
    )


class Sha256(Protocol):
    """A digest in the making. Used by one thread at a time."""

    def update(self, block: memoryview) -> None:
        """Go on with `block`."""
        ...

    def state(self) -> bytes:
        """What to go on from, at any later time."""
        ...

    def digest(self) -> bytes:
        """The value so far."""
        ...


class _OpenSsl:
    """By the functions of the library that `hashlib` uses."""

    def __init__(self, saved: bytes | None, library: ctypes.CDLL) -> None:
        self._library = library
        self._context = _Context()
        library.SHA256_Init(ctypes.byref(self._context))
        if saved is not None:
            *words, blocks, count, rest = _KEPT.unpack(saved)
            bits = (blocks * _BLOCK + count) * 8
            self._context.words[:] = words
            self._context.bits_low, self._context.bits_high = bits & 0xFFFFFFFF, bits >> 32
            self._context.rest[: _BLOCK - 1] = rest
            self._context.count = count

    def update(self, block: memoryview) -> None:
        place = (ctypes.c_char * len(block)).from_buffer(
            bytearray(block) if block.readonly else block
        )
        self._library.SHA256_Update(ctypes.byref(self._context), place, len(block))

    def state(self) -> bytes:
        context = self._context
        count = context.count
        blocks = (context.bits_high << 32 | context.bits_low) // 8 // _BLOCK
        return _KEPT.pack(*context.words, blocks, count, bytes(context.rest)[:count])

    def digest(self) -> bytes:
        copy = _Context.from_buffer_copy(self._context)
        value = (ctypes.c_ubyte * 32)()
        self._library.SHA256_Final(value, ctypes.byref(copy))
        return bytes(value)


class _Rehashes:
    """By a library of its own."""

    def __init__(self, saved: bytes | None) -> None:
        self._hasher = PySha256() if saved is None else PySha256.deserialize(saved)

    def update(self, block: memoryview) -> None:
        for at in range(0, len(block), _PIECE):
            self._hasher.update(bytes(block[at : at + _PIECE]))

    def state(self) -> bytes:
        kept: bytes = self._hasher.serialize()
        return kept

    def digest(self) -> bytes:
        copy = PySha256.deserialize(self._hasher.serialize())
        return bytes.fromhex(copy.finalize())


def sha256(saved: bytes | None = None) -> Sha256:
    """A new digest, or one that goes on from a state."""
    library = _trusted()
    return _Rehashes(saved) if library is None else _OpenSsl(saved, library)


@functools.cache
def _trusted() -> ctypes.CDLL | None:
    """OpenSSL's functions if they do what `rehashes` does, state and all; else None."""
    try:
        import _hashlib  # noqa: PLC0415  # a Python without OpenSSL has none

        library = ctypes.CDLL(_hashlib.__file__)
        library.SHA256_Init.argtypes = [ctypes.c_void_p]
        library.SHA256_Update.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
        library.SHA256_Final.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        return library if agrees(library) else None
    except (ImportError, AttributeError, OSError, struct.error):
        return None


def agrees(library: ctypes.CDLL) -> bool:
    """True if a state that the library left is the one that `rehashes` leaves, and the other way.

    Tried with a rest in its block and with none, so that nothing is trusted that lays it out
    otherwise.
    """
    sample = memoryview(bytes(range(256)) * 2)
    for cut in (0, 3, _BLOCK, 3 * _BLOCK + 5):
        ours, theirs = _OpenSsl(None, library), _Rehashes(None)
        ours.update(sample[:cut])
        theirs.update(sample[:cut])
        if ours.state() != theirs.state():
            return False
        further = _OpenSsl(theirs.state(), library)
        further.update(sample[cut:])
        if further.digest() != hashlib.sha256(sample).digest():
            return False
    return True
