"""A file by many connections to a server that joins uploads, and knows no ranges.

The server is a real Towpath that is asked for ranges where it has none, as any other tus server.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from tests.client.awaited import Either
from tests.client.fake import FakeServer
from tests.client.gates import most_live
from towpath import errors
from towpath.client import BlockingTransfer, Client, UploadResult
from towpath.client.dial import Dialer, Origin
from towpath.client.resume import Note, Notebook
from towpath.client.wire import Connection
from towpath.testing.overheard import Overheard
from towpath.testing.plan import Lane, Plan, PlanOf, breaking
from towpath.testing.server import Server
from towpath.testing.wire import Wire, threaded

MIB = 1024 * 1024
SIZE = 40 * MIB + 12_345
PARTS = 5


@pytest.fixture(autouse=True)
def _no_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("towpath.client.parallel_words.PLACE", "nowhere/")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server") / "data") as server:
        yield server


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "large.bin"
    path.write_bytes(Random(2).randbytes(SIZE))
    return path


@contextlib.contextmanager
def way(server: Server, plan: PlanOf = lambda _: Plan()) -> Iterator[tuple[Wire, Overheard, str]]:
    """A wire to the server, who listens there, and where to connect to."""
    heard = Overheard()
    with threaded(Wire("127.0.0.1", server.port, plan=plan, tap=heard)) as wire:
        yield wire, heard, f"http://127.0.0.1:{wire.port}"


def slow(_: int) -> Plan:
    """A wire of 4 MiB a second."""
    return Plan(up=Lane(rate=4 * MIB))


def content(url: str, name: str, folder: Path) -> bytes:
    """What the server has."""
    target = folder / "read back"
    with Client(url, state_dir=folder / "reader", connections=1) as client:
        client.download(name, target, overwrite=True).result()
    return target.read_bytes()


def some(transfer: BlockingTransfer[UploadResult], count: int) -> None:
    """Return when so many bytes are sent."""
    assert any(progress.sent_bytes >= count for progress in transfer)


def paths(heard: Overheard, method: str) -> list[str]:
    return [each.path for each in heard.requests if each.method == method]


def paused(
    url: str, state: Path, source: Path, name: str, count: int, side: Either = Client
) -> Note:
    """An upload that stopped after so many bytes, as it is remembered."""
    with side(url, state_dir=state, connections=4) as client:
        transfer = client.upload(source, name)
        some(transfer, count)
        transfer.pause()
    (note,) = Notebook(state).all()
    return note


def test_a_large_file_goes_in_parts_and_is_verified(
    running: Server, large: Path, tmp_path: Path, either: Either
) -> None:
    with way(running) as (wire, heard, url), either(url, state_dir=tmp_path / "state") as client:
        up = client.upload(large, f"{tmp_path.name}/").result()
        assert (up.length, up.sent_bytes, up.verified) == (SIZE, SIZE, True)
        assert up.name == f"{tmp_path.name}/large.bin"
        assert wire.opened >= 2
        assert len(paths(heard, "POST")) == 1 + PARTS + 1  # ranges, the parts, all of them joined
        assert len(set(paths(heard, "PATCH"))) == PARTS
        record = client.stat(up.name)
        assert record.digests["crc64nvme"] == up.crc64nvme
        assert up.url == f"{url}{record.href}"
        assert content(url, up.name, tmp_path) == large.read_bytes()
    assert list((tmp_path / "state").iterdir()) == []


def test_each_part_is_sent_in_order_by_one_connection_at_a_time(
    running: Server, large: Path, tmp_path: Path
) -> None:
    with way(running) as (_, heard, url), Client(url, state_dir=tmp_path / "state") as client:
        client.upload(large, "order/").result()
    for part in set(paths(heard, "PATCH")):
        places = [each.place or 0 for each in heard.requests if each.path == part]
        assert places == sorted(set(places))


def test_one_connection_needs_no_parts(
    running: Server, large: Path, tmp_path: Path, either: Either
) -> None:
    with (
        way(running) as (_, heard, url),
        either(url, state_dir=tmp_path / "state", connections=1) as client,
    ):
        assert client.upload(large, "one/").result().verified
    assert [each.method for each in heard.requests if each.method != "GET"] == ["POST", "PATCH"]


def test_a_server_that_joins_no_uploads_gets_one(
    server: FakeServer, large: Path, tmp_path: Path, either: Either
) -> None:
    with either(server.url, state_dir=tmp_path / "state") as client:
        assert client.upload(large).result().verified
    asked = [request[:2] for request in server.requests if request[0] != "GET"]
    assert asked[:3] == [
        ("POST", "/nowhere/"),
        ("OPTIONS", "/files/"),
        ("POST", "/files/"),
    ]
    assert bytes(server.named("large.bin").data) == large.read_bytes()


def test_connections_that_break_cost_no_more_than_their_chunks(
    running: Server, large: Path, tmp_path: Path, either: Either
) -> None:
    with way(running, breaking(1, Lane(), 0.2)) as (wire, heard, url):
        with either(url, state_dir=tmp_path / "state", connections=4) as client:
            up = client.upload(large, "breaking/").result()
        cuts = sum("reset at byte" in event.what for event in wire.events)
        assert cuts >= 1
        assert SIZE <= wire.up <= SIZE + cuts * 8 * MIB + len(heard.requests) * 1024
    assert up.verified
    assert content(running.url, up.name, tmp_path) == large.read_bytes()


def test_after_a_pause_another_process_sends_only_what_is_missing(
    running: Server, large: Path, tmp_path: Path, either: Either
) -> None:
    with way(running, slow) as (wire, heard, url):
        note = paused(url, tmp_path / "state", large, "paused/", 10 * MIB, either)
        assert (note.dialect, note.length, len(note.parts)) == ("joined", SIZE, PARTS)
        assert [(start, end) for start, end, _ in note.parts][-1][1] == SIZE
        wire.plan = lambda _: Plan()
        parts = len(paths(heard, "POST")) - 1
        with either(url, state_dir=tmp_path / "state") as client:
            up = client.resume(note).result()
        assert 0 < up.resumed_from < SIZE
        assert up.sent_bytes <= SIZE - up.resumed_from
        assert up.verified
        assert len(paths(heard, "POST")) - 1 - parts == PARTS - parts + 1
        assert content(running.url, up.name, tmp_path) == large.read_bytes()


def test_a_note_that_lost_its_checksums_costs_reading_and_no_sending(
    running: Server, large: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    with way(running, slow) as (wire, _, url):
        note = paused(url, state, large, "lost/", 12 * MIB)
        Notebook(state).write(replace(note, spans=()))
        wire.plan = lambda _: Plan()
        with Client(url, state_dir=state, connections=4) as client:
            up = client.upload(large, "lost/").result()
    assert (up.verified, up.sent_bytes <= SIZE - up.resumed_from) == (True, True)


def test_a_part_that_the_server_lost_is_sent_again_and_no_other(
    running: Server, large: Path, tmp_path: Path
) -> None:
    with way(running, slow) as (wire, _, url):
        note = paused(url, tmp_path / "state", large, "vanished/", 14 * MIB)
        start, end, part = note.parts[0]
        wire.plan = lambda _: Plan()
        with Client(url, state_dir=tmp_path / "state", connections=4) as client:
            client.cancel(part.rpartition("/")[2])
            up = client.resume(note).result()
    assert up.verified
    assert up.sent_bytes >= end - start
    assert up.sent_bytes <= SIZE - up.resumed_from
    assert up.resumed_from > 0
    assert content(running.url, up.name, tmp_path) == large.read_bytes()


def test_a_part_that_vanishes_on_the_way_is_made_again(
    running: Server, large: Path, tmp_path: Path
) -> None:
    with (
        way(running, slow) as (wire, heard, url),
        Client(url, state_dir=tmp_path / "state", connections=4) as client,
    ):
        transfer = client.upload(large, "fleeting/")
        some(transfer, 4 * MIB)
        client.cancel(heard.locations[0].rpartition("/")[2])
        wire.plan = lambda _: Plan()
        wire.sever()
        assert transfer.result().verified
        assert content(running.url, "fleeting/large.bin", tmp_path) == large.read_bytes()


def test_parts_that_are_joined_already_are_not_sent_again(
    running: Server, large: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    with way(running, slow) as (wire, _, url):
        note = paused(url, state, large, "joined/", 4 * MIB)
        wire.plan = lambda _: Plan()
        with Client(url, state_dir=state) as client:
            up = client.upload(large, "joined/").result()
        # as a process leaves it that is killed right after the server has joined them
        gone = tuple((start, end, f"{url}/files/{'0' * 16}") for start, end, _ in note.parts)
        Notebook(state).write(replace(note, url=up.url, parts=gone))
        before = wire.up
        with Client(url, state_dir=state) as client:
            again = client.resume(note).result()
        assert (again.name, again.url, again.verified) == (up.name, up.url, True)
        assert (again.sent_bytes, again.resumed_from) == (0, SIZE)
        assert wire.up - before < 4096


def test_a_source_that_changes_never_becomes_an_object(running: Server, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(bytes(SIZE))
    with (
        way(running, slow) as (_, heard, url),
        Client(url, state_dir=tmp_path / "state", connections=4) as client,
    ):
        transfer = client.upload(path, "changing/")
        some(transfer, 6 * MIB)
        with path.open("ab") as file:
            file.write(b"more")
        with pytest.raises(errors.SourceChanged):
            transfer.result()
        sent = len(heard.requests)
        with pytest.raises(errors.SourceChanged, match="--restart"):
            client.upload(path, "changing/").result()
        assert len(heard.requests) == sent  # it was noticed before anything was said
        assert list(client.names("changing/")) == []


def test_a_restart_removes_the_parts_and_sends_the_file_as_it_is_now(
    running: Server, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    path.write_bytes(bytes(SIZE))
    with way(running, slow) as (wire, _, url):
        note = paused(url, tmp_path / "state", path, "again/", 4 * MIB)
        with path.open("ab") as file:
            file.write(b"more")
        wire.plan = lambda _: Plan()
        with Client(url, state_dir=tmp_path / "state", connections=4) as client:
            up = client.upload(path, "again/", restart=True).result()
            assert (up.length, up.verified) == (SIZE + 4, True)
            assert left_of(note, client) == []


def test_cancelling_terminates_the_parts(
    running: Server, large: Path, tmp_path: Path, either: Either
) -> None:
    with (
        way(running, slow) as (_, _, url),
        either(url, state_dir=tmp_path / "state", connections=4) as client,
    ):
        transfer = client.upload(large, "cancelled/")
        some(transfer, 4 * MIB)
        transfer.pause()
        (note,) = Notebook(tmp_path / "state").all()
        assert left_of(note, client) != []
        transfer.cancel()
        assert left_of(note, client) == []
    assert list((tmp_path / "state").iterdir()) == []


def left_of(note: Note, client: Client) -> list[str]:
    """Which of its parts are open at the server."""
    known = {url.rpartition("/")[2] for _, _, url in note.parts}
    return [upload.id for upload in client.uploads() if upload.id in known]


def test_a_taken_name_is_treated_as_asked(running: Server, large: Path, tmp_path: Path) -> None:
    with Client(running.url, state_dir=tmp_path / "state") as client:
        assert client.upload(large, "taken/x").result().name == "taken/x"
        assert client.upload(large, "taken/x").result().name == "taken/x (2)"
        with pytest.raises(errors.NameConflict):
            client.upload(large, "taken/x", on_conflict="fail").result()
        client.remove("taken/x")
        up = client.upload(large, "taken/x", on_conflict="fail").result()
        assert (up.name, up.sent_bytes, up.verified) == ("taken/x", 0, True)


def test_bytes_that_turn_out_wrong_are_removed(
    running: Server, large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, either: Either
) -> None:
    monkeypatch.setattr("towpath.client.joined_upload.crc64nvme", lambda view, before: before + 1)
    with either(running.url, state_dir=tmp_path / "state") as client:
        with pytest.raises(errors.DigestMismatch):
            client.upload(large, "wrong/").result()
        assert list(client.names("wrong/")) == []
    assert list((tmp_path / "state").iterdir()) == []


def test_several_files_have_no_more_connections_than_the_client(
    running: Server, large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live: set[Connection] = set()
    counts: set[int] = set()
    dial, close = Dialer.dial, Connection.close

    def counted(dialer: Dialer, origin: Origin) -> Connection:
        connection = dial(dialer, origin)
        live.add(connection)
        counts.add(len(live))
        return connection

    def closed(connection: Connection) -> None:
        live.discard(connection)  # the server may see that later, when the next one is there
        close(connection)

    monkeypatch.setattr(Dialer, "dial", counted)
    monkeypatch.setattr(Connection, "close", closed)
    with Client(running.url, state_dir=tmp_path / "state", total_connections=3) as client:
        transfers = [client.upload(large, f"together/{number}") for number in range(3)]
        assert all(transfer.result().verified for transfer in transfers)
    assert max(counts) == 3


def test_a_far_server_gets_several_parts_at_once(
    running: Server, large: Path, tmp_path: Path
) -> None:
    far = Plan(up=Lane(rate=8 * MIB, latency=0.02))
    with (
        way(running, lambda _: far) as (wire, _, url),
        Client(url, state_dir=tmp_path / "state") as client,
    ):
        live = most_live(wire)
        up = client.upload(large, "far/").result()
    assert up.verified
    assert live() >= 4
