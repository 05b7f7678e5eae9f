"""A coded file as one object: read as written; damage, tricks and strangers are refused."""

import shutil
import subprocess
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.codec.sample import FILE, KEY, TEXT, Damage, Sample, read
from towpath.codec.compress import SKIPPED, skippable
from towpath.codec.container import FOOTER, Footer, Head, render
from towpath.codec.manifest import Chunk, Table
from towpath.core.crc import crc
from towpath.errors import DigestMismatch, TowpathError, Unreadable

CUTS = [TEXT, b"second" * 20, bytes(range(256)), b"end"]


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=6), st.booleans(), st.booleans())
def test_a_file_is_read_as_it_was_written(
    cuts: list[bytes], sealed: bool, compresses: bool
) -> None:
    stored = Sample(cuts, sealed, compresses).stored
    assert read(stored, KEY if sealed else None) == b"".join(cuts)


def test_who_has_the_key_alone_can_read() -> None:
    with pytest.raises(DigestMismatch, match="not the one that was sealed") as refused:
        read(Sample(CUTS).stored, KEY[::-1])
    assert "another key" in refused.value.why
    with pytest.raises(Unreadable, match="coded file"):
        read(Sample(CUTS).stored, None)


def restored(sample: Sample, order: list[int]) -> bytes:
    """The chunks in another order, with rows that fit: what somebody without the key could do."""
    table = Table(sealed=sample.sealed)
    for index in order:
        table.append(moved(sample.table[index], table))
    return b"".join(sample.chunks[index] for index in order) + render(sample.head, table, None)


def moved(row: Chunk, table: Table) -> Chunk:
    return replace(row, index=len(table), start=table.length, stored_start=table.stored_length)


def swapped(sample: Sample) -> bytes:
    one, two, *rest = sample.chunks
    return b"".join([two, one, *rest]) + sample.tail


def of_another(sample: Sample) -> bytes:
    """The first chunk as another upload of the same file coded it."""
    return Sample(CUTS).chunks[0] + sample.stored[len(sample.chunks[0]) :]


DAMAGES: dict[str, Damage] = {
    "tampered": lambda s: bytes([s.stored[0] ^ 1]) + s.stored[1:],
    "truncated": lambda s: s.stored[:-1],
    "cut between chunks": lambda s: b"".join(s.chunks[:2]) + s.tail,
    "a chunk missing": lambda s: b"".join(s.chunks[1:]) + s.tail,
    "reordered": swapped,
    "from another upload": of_another,
    "longer": lambda s: b"\0" + s.stored,
    "no tail": lambda s: b"".join(s.chunks),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_damage_is_refused(damage: Damage) -> None:
    with pytest.raises((DigestMismatch, Unreadable)) as refused:
        read(damage(Sample(CUTS)))
    assert refused.value.why


@pytest.mark.parametrize("order", [[1, 0, 2, 3], [0, 1, 2], [0, 1, 1, 3], []])
def test_another_table_cannot_be_made_without_the_key(order: list[int]) -> None:
    with pytest.raises(DigestMismatch, match="not the one that was sealed"):
        read(restored(Sample(CUTS), order))


@pytest.mark.parametrize("order", [[1, 0, 2, 3], [0, 1, 2]])
def test_even_a_table_of_the_right_key_cannot_move_chunks(order: list[int]) -> None:
    sample = Sample(CUTS)
    table = Table(sealed=True)
    for index in order:
        table.append(moved(sample.table[index], table))
    stored = b"".join(sample.chunks[index] for index in order) + render(sample.head, table, KEY)
    with pytest.raises(DigestMismatch, match="Chunk"):
        read(stored)


def test_a_sealed_file_cannot_be_passed_off_as_another() -> None:
    sample = Sample(CUTS)
    tail = render(replace(sample.head, record="y.keys"), sample.table, None)
    opened = SKIPPED + len(sample.head.render())
    sealed = sample.tail[opened : -FOOTER.size]
    head = replace(sample.head, record="y.keys").render()
    footer = FOOTER.pack(b"towcoded", 1, len(head), len(sealed), 0)[:-8]
    check = crc(memoryview(head + sealed + footer)).to_bytes(8, "big")
    assert tail[SKIPPED:opened] == head
    forged = head + sealed + footer + check
    with pytest.raises(DigestMismatch, match="not the one that was sealed"):
        read(b"".join(sample.chunks) + skippable(len(forged)) + forged)


def test_a_file_that_is_only_compressed_can_be_read_by_any_zstd_program() -> None:
    if shutil.which("zstd") is None:
        pytest.skip("LOUD: no zstd program has read a coded file: install zstd")
    stored = Sample(CUTS, sealed=False).stored
    done = subprocess.run(["zstd", "-d", "-c"], input=stored, capture_output=True, check=True)
    assert done.stdout == b"".join(CUTS)


@given(st.data())
def test_any_changed_byte_is_noticed(data: st.DataObject) -> None:
    stored = bytearray(Sample([b"a" * 40, b"b" * 3]).stored)
    stored[data.draw(st.integers(0, len(stored) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(TowpathError):
        read(bytes(stored))


@given(st.binary(max_size=200))
def test_noise_is_refused_in_our_own_words(noise: bytes) -> None:
    with pytest.raises(Unreadable):
        read(noise)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ((b"somezip0", 1, 20, 36), "does not end as a coded file"),
        ((b"towcoded", 2, 20, 36), "version 2"),
        ((b"towcoded", 1, 20, 2**32 - 1), "longer"),
        ((b"towcoded", 1, 2**16 - 1, 36), "longer"),
        ((b"towcoded", 1, 20, 980), "longer"),
    ],
)
def test_a_strangers_footer_cannot_ask_for_much(
    fields: tuple[bytes, int, int, int], says: str
) -> None:
    with pytest.raises(Unreadable, match=says):
        Footer.parse(FOOTER.pack(*fields, 0), 1000)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        bytes(19),
        Head(file_id=FILE, sealed=True, record="x").render()[:-1],
        Head(file_id=FILE, sealed=True).render(),
        Head(file_id=FILE, record="x").render(),
        Head(file_id=FILE, key=1).render(),
        Head(file_id=FILE, sealed=True, record="../x").render(),
        Head(file_id=FILE, sealed=True, record="/api/v1").render(),
        FILE + b"\2\0\0\1x",
        FILE + b"\1\0\0\1\xff",
    ],
)
def test_a_head_that_cannot_be_is_refused(head: bytes) -> None:
    with pytest.raises(Unreadable):
        Head.parse(head)


def test_a_table_that_needs_a_key_which_the_record_lacks_is_refused() -> None:
    sample = Sample(CUTS)
    tail = render(replace(sample.head, key=1), sample.table, KEY)
    with pytest.raises(Unreadable, match="not all of its keys"):
        read(b"".join(sample.chunks) + tail)
