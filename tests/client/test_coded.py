"""Coded transfers against a real server: what comes back is the file, or nothing."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.client.coding import CHUNK, KEY, ME, MIXED, OTHER, TEXT, WAYS, fetch, store
from towpath import errors
from towpath.client import Client, coded
from towpath.client.coded_object import CodedObject
from towpath.client.coded_peer import Decoding
from towpath.client.peer import Peer, Reply
from towpath.codec import PACKED, SEALED
from towpath.codec.chunks import Decoder
from towpath.codec.compress import LEVEL
from towpath.codec.container import FOOTER, Footer, Tail
from towpath.codec.keys import Identity, KeyFile, Opens, Passphrase
from towpath.codec.manifest import Chunk
from towpath.testing.server import Server

MIB = 1024 * 1024


@pytest.mark.parametrize(("compress", "encrypt", "keys"), WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("data", [MIXED, TEXT[: 2 * CHUNK], b"x", b""], ids=len)
def test_a_coded_file_goes_there_and_back(
    client: Client, peer: Peer, tmp_path: Path, compress: str, encrypt: Any, keys: Any, data: bytes
) -> None:
    (tmp_path / "a").write_bytes(data)
    name = f"there/{tmp_path.name}"
    up = client.upload(tmp_path / "a", name, compress=compress, encrypt=encrypt).result()
    assert (up.name, up.verified, up.length) == (name, True, len(data))
    record = client.stat(name)
    assert record.media_type == (SEALED if encrypt else PACKED)
    assert record.length == up.sent_bytes
    stored = fetch(peer, name)
    assert not encrypt or TEXT[:40] not in stored
    assert compress == "no" or len(data) < CHUNK or len(stored) < len(data)
    down = client.download(name, tmp_path / "b", keys=keys).result()
    assert (tmp_path / "b").read_bytes() == data
    assert (down.verified, down.length, down.crc64nvme) == (True, len(data), up.crc64nvme)


def test_a_file_that_is_not_coded_is_untouched_by_keys(
    client: Client, peer: Peer, mixed: Path, tmp_path: Path
) -> None:
    client.upload(mixed, "plain").result()
    assert client.download("plain", tmp_path / "b", keys=[KEY]).result().verified
    assert fetch(peer, "plain") == (tmp_path / "b").read_bytes() == MIXED


def test_an_address_of_a_coded_object_gives_its_file(
    client: Client, mixed: Path, tmp_path: Path, real: Server
) -> None:
    client.upload(mixed, "by-address", compress="auto").result()
    url = f"{real.url}/files/{client.stat('by-address').id}"
    client.download(url, tmp_path / "b").result()
    assert (tmp_path / "b").read_bytes() == MIXED


@pytest.mark.parametrize("keys", [[], [OTHER], [Passphrase("wrong"), Identity.new()]])
def test_who_has_no_key_gets_nothing(
    client: Client, mixed: Path, tmp_path: Path, state: Path, keys: list[Opens]
) -> None:
    name = f"locked-{len(keys)}"
    client.upload(mixed, name, encrypt=[KEY]).result()
    with pytest.raises(errors.WrongKey, match=f"key-file {KEY.id}"):
        client.download(name, tmp_path / "b", keys=keys).result()
    assert {path.name for path in tmp_path.iterdir()} == {"mixed.bin", "state"}
    assert list(state.glob("*.json")) == []


def rows(stored: bytes, keys: list[bytes]) -> list[tuple[int, int]]:
    """Where the coded chunks lie."""
    start = Footer.parse(stored[-FOOTER.size :], len(stored)).start
    table = Tail(stored[start:], len(stored)).table(keys)
    return [(table[i].stored_start, table[i].stored_end) for i in range(len(table))]


def file_keys(peer: Peer, name: str) -> list[bytes]:
    stored = fetch(peer, name)
    start = Footer.parse(stored[-FOOTER.size :], len(stored)).start
    head = Tail(stored[start:], len(stored)).head
    return coded.get_record(peer, head.record, head.file_id)[0].open([KEY])


@pytest.mark.parametrize(
    "kind", ["tampered", "truncated", "shortened", "blanked", "reordered", "swapped"]
)
@pytest.mark.parametrize("keys", [[KEY], []], ids=["encrypted", "compressed"])
def test_what_was_changed_at_the_server_is_refused_and_leaves_nothing(
    client: Client,
    peer: Peer,
    mixed: Path,
    tmp_path: Path,
    state: Path,
    kind: str,
    keys: list[KeyFile],
) -> None:
    name, media_type = f"sound-{kind}-{len(keys)}", SEALED if keys else PACKED
    how: dict[str, Any] = {"encrypt": keys} if keys else {"compress": "auto"}
    client.upload(mixed, name, **how).result()
    stored = fetch(peer, name)
    chunks = rows(stored, file_keys(peer, name) if keys else [])
    (a, b), (c, d) = chunks[5], chunks[6]  # amid the file, and of different bytes
    if kind == "tampered":
        wrong = stored[:b] + bytes([stored[b] ^ 1]) + stored[b + 1 :]
    elif kind == "truncated":
        wrong = stored[:-100]
    elif kind == "shortened":  # amid the file: the table says another length
        wrong = stored[: d - 100] + stored[d:]
    elif kind == "blanked":  # cut short, and the rest is where it was
        wrong = stored[: d - 100] + bytes(100) + stored[d:]
    elif kind == "reordered":
        wrong = stored[:a] + stored[c:d] + stored[a:b] + stored[d:]
    else:
        sibling = f"sibling-{len(keys)}"
        path = mixed if keys else tmp_path / "other.bin"  # the same bytes are packed alike
        path.write_bytes(MIXED if keys else bytes(each ^ 1 for each in MIXED))
        client.upload(path, sibling, **how).result()
        wrong = stored[:a] + fetch(peer, sibling)[a:b] + stored[b:]
        if path != mixed:
            path.unlink()
    assert wrong != stored
    store(peer, f"wrong-{name}", wrong, media_type)
    with pytest.raises((errors.DigestMismatch, errors.Unreadable)) as refused:
        client.download(f"wrong-{name}", tmp_path / "b", keys=keys).result()
    assert refused.value.why
    assert (str(refused.value)[:6] == "Chunk ") == (kind not in {"truncated", "shortened"})
    assert {path.name for path in tmp_path.iterdir()} == {"mixed.bin", "state"}
    assert list(state.glob("*.json")) == []


def test_a_record_of_another_file_is_refused(
    client: Client, peer: Peer, mixed: Path, tmp_path: Path
) -> None:
    for name in ("mine", "theirs"):
        client.upload(mixed, f"records/{name}", encrypt=[KEY]).result()
    mine, theirs = (
        next(each.path for each in client.names(f"records/{name}.")) for name in ("mine", "theirs")
    )
    store(peer, mine, fetch(peer, theirs), "application/json")
    with pytest.raises(errors.Unreadable, match="another file"):
        client.download("records/mine", tmp_path / "b", keys=[KEY]).result()
    assert not (tmp_path / "b").exists()


def test_a_record_that_is_gone_is_named(client: Client, mixed: Path, tmp_path: Path) -> None:
    client.upload(mixed, "orphan", encrypt=[KEY]).result()
    client.remove(next(each.path for each in client.names("orphan.")))
    with pytest.raises(errors.NotFound, match=r"called orphan\.[0-9a-f]{8}\.keys"):
        client.download("orphan", tmp_path / "b", keys=[KEY]).result()


def test_a_stranger_who_claims_to_be_coded_is_refused(
    client: Client, peer: Peer, tmp_path: Path
) -> None:
    for data in (b"", b"x", MIXED):
        store(peer, "claims", data)
        with pytest.raises(errors.Unreadable, match="coded file"):
            client.download("claims", tmp_path / "b").result()
        assert not (tmp_path / "b").exists()


class Watched(Peer):
    """A peer that remembers which ranges were asked for."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.spans: list[str] = []

    def open(self, method: str, url: str, fields: Any = None, **rest: Any) -> Any:
        self.spans += [(fields or {}).get("Range", "")]
        return super().open(method, url, fields, **rest)


def test_a_range_is_read_from_the_chunks_that_have_it_alone(
    client: Client, real: Server, mixed: Path
) -> None:
    client.upload(mixed, "ranged", compress="auto", encrypt=[KEY]).result()
    url = f"{real.url}/files/{client.stat('ranged').id}"
    watched = Watched(real.url)
    file = CodedObject(watched, url, [KEY], lambda: None)
    for start, end in [(0, 1), (CHUNK - 1, CHUNK + 1), (5, 5), (400_000, 555_555)]:
        watched.spans.clear()
        found = b"".join(bytes(block) for block in file.blocks(start, end, lambda: None))
        assert found == MIXED[start:end]
        if start == end:
            assert watched.spans == []
            continue
        first, last = file.table.at(start), file.table.at(end - 1)
        assert watched.spans == [f"bytes={first.stored_start}-{last.stored_end - 1}"]
        assert last.index - first.index <= (end - 1) // CHUNK - start // CHUNK
    decoding = Decoding(watched, [KEY])
    for fields, wanted, status in [
        ({}, MIXED, 200),
        ({"Range": "bytes=300000-"}, MIXED[300_000:], 206),
        ({"Range": "bytes=3-7"}, MIXED[3:8], 206),
        ({"Range": "bytes=3-7", "If-Range": '"another"'}, MIXED, 200),
    ]:
        with decoding.open("GET", url, fields) as exchange:
            answer = exchange.answer()
            assert (answer.status, answer.text()) == (status, wanted)
    with pytest.raises(errors.BadAnswer):
        decoding.open("GET", url, {"Range": f"bytes={len(MIXED)}-"})
    watched.done_with()


def test_wrapping_anew_changes_who_can_read_and_moves_no_data(
    client: Client, mixed: Path, tmp_path: Path
) -> None:
    client.upload(mixed, "rotated", encrypt=[KEY]).result()
    before = client.stat("rotated")
    with pytest.raises(errors.WrongKey):
        client.rewrap("rotated", [OTHER], [OTHER])
    with pytest.raises(errors.Malformed, match="needs at least one key"):
        client.rewrap("rotated", [KEY], [])
    client.rewrap("rotated", [KEY], [OTHER, ME.recipient])
    assert client.stat("rotated") == before
    with pytest.raises(errors.WrongKey):
        client.download("rotated", tmp_path / "b", keys=[KEY]).result()
    client.download("rotated", tmp_path / "b", keys=[ME]).result()
    assert (tmp_path / "b").read_bytes() == MIXED
    client.upload(mixed, "open", compress="auto").result()
    with pytest.raises(errors.Unreadable, match="not encrypted"):
        client.rewrap("open", [KEY], [KEY])


def test_a_stream_is_not_coded_in_silence(client: Client, mixed: Path) -> None:
    with closing(mixed.open("rb")) as stream, pytest.raises(errors.Malformed, match="stream"):
        client.upload(stream, "x", compress="auto")
    for how in ({"compress": "auto"}, {"encrypt": [KEY]}):
        with pytest.raises(errors.Malformed, match="only its changes"):
            client.upload(mixed, "x", delta=True, **how)
    with pytest.raises(errors.Malformed, match="auto"):
        client.upload(mixed, "x", compress="yes")


@pytest.mark.parametrize(("level", "large"), [(0, 7680 * 2**10), (LEVEL, 4 * 2**20)])
def test_chunks_of_large_files_are_longer_so_that_their_table_stays_small(
    level: int, large: int
) -> None:
    assert coded.chunk_size(1, None, level) == 4 * 2**20
    assert coded.chunk_size(2**28 - 1, None, level) == 4 * 2**20
    assert coded.chunk_size(2**28, None, level) == coded.chunk_size(2**41, None, level) == large
    assert coded.chunk_size(2**45, None, level) > 32 * 2**20
    assert coded.chunk_size(2**50, None, level) == 64 * 2**20
    assert coded.chunk_size(2**30, 1, level) == 64 * 2**10
    assert coded.chunk_size(2**40, 1, level) > 2**20


def test_a_plain_transfer_loads_neither_ciphers_nor_compression(
    real: Server, mixed: Path, tmp_path: Path
) -> None:
    program = (
        "import sys, towpath\n"
        f"with towpath.Client({real.url!r}, state_dir={str(tmp_path / 's')!r}) as client:\n"
        f"    client.upload({str(mixed)!r}, 'light').result()\n"
        f"    client.download('light', {str(tmp_path / 'b')!r}).result()\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "towpath.client.upload" in loaded
    assert not {"cryptography", "backports.zstd", "compression.zstd", "towpath.codec.keys"} & loaded


class Busy(Peer):
    """A peer whose server has no time at first."""

    asked = 0

    def ask(self, method: str, url: str, *rest: Any, **more: Any) -> Reply:
        self.asked += 1
        return Reply(503, {}, b"") if self.asked == 1 else super().ask(method, url, *rest, **more)


def test_what_a_busy_server_does_not_say_is_not_taken_for_no_chunks(
    client: Client, real: Server, mixed: Path
) -> None:
    client.upload(mixed, "busy", encrypt=[KEY]).result()
    url = f"{real.url}/files/{client.stat('busy').id}"
    busy = Busy(real.url)
    decoding = Decoding(busy, [KEY])
    with pytest.raises(errors.TowpathError):
        decoding.open("GET", url)
    file = decoding.coded(url)
    assert file is not None
    assert file.length == len(MIXED)
    busy.done_with()


@pytest.mark.parametrize(("compress", "encrypt", "keys"), WAYS.values(), ids=WAYS.keys())
def test_an_open_file_reads_any_part_of_what_is_coded(
    client: Client, mixed: Path, tmp_path: Path, compress: str, encrypt: Any, keys: Any
) -> None:
    name = f"open/{tmp_path.name}"
    client.upload(mixed, name, compress=compress, encrypt=encrypt).result()
    with client.open(name, keys=keys) as file:
        for at in (0, 5, CHUNK - 3, 4 * CHUNK + 1, len(MIXED) - 2):
            file.seek(at)
            assert file.read(7) == MIXED[at : at + 7]
        file.seek(0)
        assert file.read() == MIXED
    assert b"".join(client.blocks(name, keys=keys)) == MIXED


def test_of_a_coded_file_only_the_chunks_that_are_read_come(
    client: Client, mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.upload(mixed, "part", encrypt=[KEY]).result()
    decode, decoded = Decoder.decode, list[int]()

    def counted(self: Decoder, row: Chunk, *rest: Any) -> memoryview:
        decoded.append(row.index)
        return decode(self, row, *rest)

    monkeypatch.setattr(Decoder, "decode", counted)
    with client.open("part", keys=[KEY]) as file:
        file.seek(5 * CHUNK + 10)
        assert file.read(100) == MIXED[5 * CHUNK + 10 : 5 * CHUNK + 110]
    assert set(decoded) <= {5, 6, 7}  # some more are asked for ahead


def test_files_that_stand_open_keep_nobody_from_going_on(
    real: Server, state: Path, mixed: Path, tmp_path: Path
) -> None:
    with (
        Client(real.url, state_dir=state, chunk_size=4 * MIB, memory=MIB) as client,
        ExitStack() as held,
    ):
        client.upload(mixed, "standing", encrypt=[KEY]).result()
        for _ in range(5):
            held.enter_context(client.open("standing", keys=[KEY])).read(1)
        assert client.download("standing", tmp_path / "b", keys=[KEY]).result().verified


def test_an_encrypted_file_is_not_opened_without_its_key(client: Client, mixed: Path) -> None:
    client.upload(mixed, "shut", encrypt=[KEY]).result()
    for keys in ([], [OTHER]):
        with pytest.raises(errors.WrongKey), client.open("shut", keys=keys) as file:
            file.read(1)
        with pytest.raises(errors.WrongKey):
            next(client.blocks("shut", keys=keys))
    with pytest.raises(errors.Malformed, match="cannot be encrypted"):
        client.open("new", "wb", keys=[KEY])  # type: ignore[call-overload]
