"""Coded uploads that stop and go on, against a real server: nothing durable is sent again."""

from __future__ import annotations

import base64
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.client.coding import (
    CHUNK,
    KEY,
    ME,
    MIXED,
    OTHER,
    WAYS,
    WORDS,
    another,
    fetch,
    stop_after,
    stopped,
)
from towpath import errors
from towpath.client import Client, TransferState, coded
from towpath.client.peer import Peer
from towpath.codec.container import FOOTER, Footer, Tail
from towpath.codec.keys import Passphrase
from towpath.testing.server import Server


def test_no_key_is_written_where_transfers_are_remembered(
    real: Server, mixed: Path, state: Path, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_key = b"the key of just this one file!!!"
    monkeypatch.setattr("towpath.client.coded_upload.new_file_key", lambda: file_key)
    stop_after(monkeypatch, 2)
    with another(real, state) as client, pytest.raises(errors.Forbidden):
        client.upload(mixed, "remembered", encrypt=[KEY]).result()
    written = b"".join(path.read_bytes() for path in state.rglob("*") if path.is_file())
    assert b"remembered" in written
    for secret in (KEY.key, file_key):
        shapes = (secret, secret.hex().encode(), base64.b64encode(secret)[:-1])
        assert not any(shape in written for shape in shapes)


@pytest.mark.parametrize(("compress", "encrypt", "keys"), WAYS.values(), ids=WAYS.keys())
def test_another_run_sends_only_what_the_server_has_not(
    real: Server,
    client: Client,
    state: Path,
    mixed: Path,
    tmp_path: Path,
    compress: str,
    encrypt: Any,
    keys: Any,
) -> None:
    how = {"compress": compress, "encrypt": encrypt}
    name = f"resumed/{tmp_path.name}"
    before = stopped(real, state, mixed, name, **how)
    assert len(before) == 4
    up = client.upload(mixed, name, **how).result()
    assert (up.resumed_from, up.verified) == (4 * CHUNK, True)
    assert sum(before) + up.sent_bytes == client.stat(name).length
    assert list(state.glob("*.chunks")) == list(state.glob("*.json")) == []
    client.download(name, tmp_path / "b", keys=keys).result()
    assert (tmp_path / "b").read_bytes() == MIXED


@pytest.mark.parametrize(("compress", "encrypt", "keys"), WAYS.values(), ids=WAYS.keys())
def test_a_gap_is_filled_in_its_place(
    real: Server,
    client: Client,
    state: Path,
    mixed: Path,
    tmp_path: Path,
    compress: str,
    encrypt: Any,
    keys: Any,
) -> None:
    name, how = f"gaps/{tmp_path.name}", {"compress": compress, "encrypt": encrypt}
    real_send, others = coded.send_chunk, threading.Semaphore(0)

    def send(*args: Any, **rest: Any) -> Any:
        if args[2]["Content-Range"].startswith("bytes 0-"):
            assert others.acquire(timeout=10)
            assert others.acquire(timeout=10)
            raise errors.Forbidden("The first one does not get through.")
        reply = real_send(*args, **rest)
        others.release()
        return reply

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coded, "send_chunk", send)
        with another(real, state) as first, pytest.raises(errors.Forbidden):
            first.upload(mixed, name, **how).result()
    (note,) = client.unfinished()
    up = client.upload(mixed, name, **how).result()
    assert up.resumed_from == note.offset >= 2 * CHUNK
    assert up.sent_bytes < client.stat(name).length
    client.download(name, tmp_path / "b", keys=keys).result()
    assert (tmp_path / "b").read_bytes() == MIXED


def test_a_pause_keeps_what_is_durable(client: Client, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(MIXED * 12)
    client.set_limit(2_000_000)  # so that progress is heard in its middle
    transfer = client.upload(large, "paused", compress="auto", encrypt=[KEY])
    assert any(0 < each.transferred_bytes < len(MIXED) * 12 for each in transfer)
    transfer.pause()
    before = transfer.progress
    assert before.state is TransferState.PAUSED
    client.set_limit(None)
    transfer.resume()
    assert transfer.result().verified
    client.download("paused", tmp_path / "b", keys=[KEY]).result()
    assert (tmp_path / "b").read_bytes() == large.read_bytes()


def test_who_only_writes_to_others_goes_on_with_a_key_of_its_own(
    real: Server, client: Client, state: Path, mixed: Path, tmp_path: Path, peer: Peer
) -> None:
    for count in (1, 2):
        stopped(real, state, mixed, "letter", count, encrypt=[ME.recipient])
    client.upload(mixed, "letter", encrypt=[ME.recipient]).result()
    name = next(each.path for each in client.names("letter."))
    stored = fetch(peer, "letter")
    start = Footer.parse(stored[-FOOTER.size :], len(stored)).start
    head = Tail(stored[start:], len(stored)).head
    keys = coded.get_record(peer, name, head.file_id)[0].open([ME])
    table = Tail(stored[start:], len(stored)).table(keys)
    assert len(set(keys)) == 3
    assert Counter(table[i].key for i in range(len(table))) == {0: 1, 1: 2, 2: 7}
    client.download("letter", tmp_path / "b", keys=[ME]).result()
    assert (tmp_path / "b").read_bytes() == MIXED


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"encrypt": [KEY]}, {"encrypt": [OTHER]}),
        ({"encrypt": [KEY]}, {"encrypt": [KEY, OTHER]}),
        ({"encrypt": [KEY]}, {"encrypt": [KEY], "compress": "auto"}),
        ({"encrypt": [KEY]}, {}),
        ({"compress": "auto"}, {}),
        ({"compress": "auto"}, {"compress": "6"}),
        ({"compress": "auto"}, {"compress": "auto", "metadata": {"a": "b"}}),
    ],
)
def test_a_run_that_would_code_it_otherwise_is_refused(
    real: Server, client: Client, state: Path, mixed: Path, first: Any, then: Any
) -> None:
    stopped(real, state, mixed, "otherwise", **first)
    with pytest.raises(errors.StateConflict, match="began"):
        client.upload(mixed, "otherwise", **then).result()
    assert client.upload(mixed, "otherwise", **then, restart=True).result().resumed_from == 0


def test_another_passphrase_cannot_go_on(
    real: Server, client: Client, state: Path, mixed: Path
) -> None:
    stopped(real, state, mixed, "words", encrypt=[WORDS])
    with pytest.raises(errors.WrongKey):
        client.upload(mixed, "words", encrypt=[Passphrase("wrong horse", work=12)]).result()
    assert client.upload(mixed, "words", encrypt=[WORDS]).result().resumed_from == 4 * CHUNK


def test_a_changed_file_is_not_mixed_with_what_it_was(
    real: Server, client: Client, state: Path, mixed: Path
) -> None:
    stopped(real, state, mixed, "changed", encrypt=[KEY])
    mixed.write_bytes(MIXED[::-1])
    with pytest.raises(errors.SourceChanged):
        client.upload(mixed, "changed", encrypt=[KEY]).result()


def test_what_is_remembered_is_resumed_if_it_needs_no_key(
    real: Server, client: Client, state: Path, mixed: Path, tmp_path: Path
) -> None:
    stopped(real, state, mixed, "again", compress="auto", metadata={"case": "42"})
    (note,) = client.unfinished()
    assert (note.offset, note.length) == (4 * CHUNK, len(MIXED))
    assert client.resume(note).result().resumed_from == 4 * CHUNK
    client.download("again", tmp_path / "b").result()
    assert (tmp_path / "b").read_bytes() == MIXED


@pytest.mark.parametrize("compress", ["no", "auto"])
def test_what_is_encrypted_is_resumed_by_who_gives_its_keys(
    real: Server, client: Client, state: Path, mixed: Path, tmp_path: Path, compress: str
) -> None:
    name = f"sealed-{compress}"
    stopped(real, state, mixed, name, encrypt=[KEY, ME.recipient], compress=compress)
    (note,) = client.unfinished()
    assert note.keys == (("key-file", ""), ("recipient", ""))
    with pytest.raises(errors.StateConflict, match="Give them as when it began"):
        client.resume(note)
    with pytest.raises(errors.StateConflict, match="began in another way"):
        client.resume(note, encrypt=[KEY]).result()
    up = client.resume(note, encrypt=[KEY, ME.recipient]).result()
    assert (up.resumed_from, up.verified) == (4 * CHUNK, True)
    client.download(name, tmp_path / "b", keys=[ME]).result()
    assert (tmp_path / "b").read_bytes() == MIXED


def test_of_keys_their_files_are_remembered_and_nothing_else(
    real: Server, client: Client, state: Path, mixed: Path, tmp_path: Path
) -> None:
    mine, theirs = replace(KEY, path="/keys/mine"), replace(WORDS, path="/keys/words")
    stopped(real, state, mixed, "places", encrypt=[mine, theirs])
    (note,) = client.unfinished()
    assert note.keys == (("key-file", "/keys/mine"), ("passphrase", "/keys/words"))
    assert client.resume(note, encrypt=[KEY, WORDS]).result().verified  # wherever they are now


def test_a_level_is_remembered(
    real: Server, client: Client, state: Path, mixed: Path, tmp_path: Path
) -> None:
    stopped(real, state, mixed, "level", compress="9")
    (note,) = client.unfinished()
    assert client.resume(note).result().resumed_from == 4 * CHUNK
    client.download("level", tmp_path / "b").result()
    assert (tmp_path / "b").read_bytes() == MIXED


def test_an_upload_that_cannot_be_created_leaves_no_record_of_its_keys(
    client: Client, mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = Peer.ask

    def refused(self: Peer, method: str, *args: Any, **rest: Any) -> Any:
        if method == "POST":
            raise errors.Forbidden("Not now.")
        return ask(self, method, *args, **rest)

    monkeypatch.setattr(Peer, "ask", refused)
    with pytest.raises(errors.Forbidden):
        client.upload(mixed, "uncreated", encrypt=[KEY]).result()
    assert [each.path for each in client.names("uncreated")] == []


@pytest.mark.parametrize("damage", ["gone", "torn", "short", "garbled"])
def test_rows_that_were_lost_here_cost_a_fresh_start_and_nothing_else(
    real: Server, client: Client, state: Path, mixed: Path, tmp_path: Path, damage: str
) -> None:
    name = f"lost-{damage}"
    stopped(real, state, mixed, name, 10, encrypt=[KEY])  # all but the table: no row is ahead
    (journal,) = state.glob("*.chunks")
    data = journal.read_bytes()
    if damage == "gone":
        journal.unlink()
    else:
        torn = {"torn": data[:-150], "short": data[:10], "garbled": data[:-80] + bytes(80)}
        journal.write_bytes(torn[damage])
    up = client.upload(mixed, name, encrypt=[KEY]).result()
    assert (up.resumed_from, up.verified, up.name) == (0, True, name)
    client.download(name, tmp_path / "b", keys=[KEY]).result()
    assert (tmp_path / "b").read_bytes() == MIXED


@pytest.mark.parametrize("at", [0, 3, 10])  # 10: the table
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lost_answer_or_request_sends_no_durable_chunk_again(
    client: Client, mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, when: str
) -> None:
    real_send, turn = coded.send_chunk, threading.Lock()
    calls: list[str] = []

    def send(*args: Any, **rest: Any) -> Any:
        with turn:
            mine = len(calls) == at
            calls.append(args[2]["Content-Range"])
        if mine and when == "before":
            raise errors.Cut("The connection was lost.")
        reply = real_send(*args, **rest)
        if mine:
            raise errors.Cut("The connection was lost.")
        return reply

    monkeypatch.setattr(coded, "send_chunk", send)
    name = f"answers-{at}-{when}"
    up = client.upload(mixed, name, encrypt=[KEY]).result()
    assert up.verified
    assert len(calls) == 11 + (when == "before")
    assert up.sent_bytes == client.stat(name).length
    client.download(name, tmp_path / "b", keys=[KEY]).result()
    assert (tmp_path / "b").read_bytes() == MIXED


def test_a_taken_name_is_treated_as_asked(client: Client, mixed: Path, tmp_path: Path) -> None:
    client.upload(mixed, "taken.x", encrypt=[KEY]).result()
    assert client.upload(mixed, "taken.x", encrypt=[KEY]).result().name == "taken (2).x"
    with pytest.raises(errors.NameConflict):
        client.upload(mixed, "taken.x", encrypt=[KEY], on_conflict="fail").result()
    with pytest.raises(errors.NameConflict):
        client.upload(mixed, "taken.x", encrypt=[KEY], on_conflict="fail").result()
    client.remove("taken.x")
    up = client.upload(mixed, "taken.x", encrypt=[KEY], on_conflict="fail").result()
    assert (up.name, up.sent_bytes) == ("taken.x", 0)
    client.download("taken (2).x", tmp_path / "b", keys=[KEY]).result()
    assert (tmp_path / "b").read_bytes() == MIXED


def test_giving_one_up_takes_upload_and_record_from_the_server(
    real: Server, client: Client, state: Path, mixed: Path
) -> None:
    stopped(real, state, mixed, "cancelled", encrypt=[KEY])
    assert [each.path for each in client.names("cancelled")] != []
    (note,) = client.unfinished()
    client.forget(note)
    assert [each.path for each in client.names("cancelled")] == []
    assert [each for each in client.uploads() if each.name == "cancelled"] == []
    assert [*state.glob("*.chunks"), *state.glob("*.json")] == []
