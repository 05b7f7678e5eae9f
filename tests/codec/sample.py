"""A coded file in memory, for tests: its chunks, its table, and what opens it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from towpath.codec.chunks import Coder, Decoder, Place
from towpath.codec.compress import LEVEL
from towpath.codec.container import FOOTER, Footer, Head, Tail, render
from towpath.codec.manifest import Table

FILE, KEY = bytes(range(16)), bytes(range(32))
TEXT = b"the same words again and again, " * 100


@dataclass
class Sample:
    """A file as it is stored. `cuts`: the plain bytes of each chunk."""

    cuts: list[bytes]
    sealed: bool = True
    compresses: bool = True
    chunks: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.table = Table(sealed=self.sealed)
        key = (0, KEY) if self.sealed else None
        longest = max(map(len, self.cuts), default=1)
        coder = Coder(FILE, longest, level=LEVEL if self.compresses else 0, key=key)
        for index, plain in enumerate(self.cuts):
            place = Place(
                index=index,
                start=self.table.length,
                stored_start=self.table.stored_length,
                final=index == len(self.cuts) - 1,
            )
            row, stored = coder.code(memoryview(plain), place)
            self.table.append(row)
            self.chunks.append(bytes(stored))
        record = "x.keys" if self.sealed else ""
        self.head = Head(file_id=FILE, sealed=self.sealed, record=record)
        self.tail = render(self.head, self.table, KEY if self.sealed else None)

    @property
    def stored(self) -> bytes:
        """The object."""
        return b"".join(self.chunks) + self.tail


def read(stored: bytes, key: bytes | None = KEY) -> bytes:
    """The file of an object. Raises what the codec raises."""
    footer = Footer.parse(stored[-FOOTER.size :], len(stored))
    tail = Tail(stored[footer.start :], len(stored))
    keys = [key] if key is not None else []
    table = tail.table(keys)
    decoder = Decoder(tail.head.file_id, keys, chunks=len(table))
    found = bytearray()
    for index in range(len(table)):
        row = table[index]
        found += decoder.decode(row, memoryview(stored)[row.stored_start : row.stored_end])
    return bytes(found)


Damage = Callable[[Sample], bytes]
