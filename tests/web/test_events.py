"""Server-Sent Events: how things stand, what happens, and who hears it."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path

import pytest

from tests.web.listening import stream
from tests.web.running import PATIENCE, House, Served, running
from tests.web.talk import CHUNK, Gone, Line, Tus, metadata, require_problem
from tests.web.tokens import token, write_tokens

KIB = 1024


def key_of(path: str) -> str:
    return path.rpartition("/")[2]


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tokens(tmp_path_factory.mktemp("tokens") / "tokens.toml")


@pytest.fixture
def guarded(house: House, tokens: Path) -> Served:
    return house.get("direct", tokens=tokens)


def test_an_upload_is_heard_of_from_its_creation_to_its_end(served: Served) -> None:
    with stream(served) as listener:
        assert listener.status == 200
        assert listener.fields["content-type"] == "text/event-stream"
        assert listener.fields["cache-control"] == "no-store"
        listener.until("listening")
        tus = Tus(served)
        path = tus.new(6, upload_metadata=metadata(name=f"events-{served.kind}.txt"))
        (created,) = [each for each in listener.until("created") if each.data["id"] == key_of(path)]
        assert created.data["state"] == "open"
        assert (created.data["length"], created.data["received"]) == (6, 0)
        tus.patch(path, 0, b"abc")
        progress = listener.until("progress")[-1]
        while not progress.data["durable"]:  # a beat may tell of it before that
            progress = listener.until("progress")[-1]
        assert (progress.data["offset"], progress.data["durable"]) == (3, 3)
        tus.patch(path, 3, b"def")
        done = listener.until("completed")[-1]
        assert done.id.startswith(key_of(path) + ":")
        told = done.data
        assert told.pop("created_at").endswith("Z")
        assert told.pop("updated_at").endswith("Z")
        assert told.pop("expires_at") is None
        assert told.pop("bytes_per_second") >= 0
        assert told == {
            "id": key_of(path),
            "name": f"events-{served.kind}.txt",
            "state": "complete",
            "offset": 6,
            "length": 6,
            "owner": "anonymous",
            "reason": "",
            "durable": 6,
            "received": 6,
            "eta_seconds": 0.0,
        }


def test_who_comes_late_hears_how_things_stand(served: Served) -> None:
    tus = Tus(served)
    path = tus.new(6)
    tus.patch(path, 0, b"abcd")
    with stream(served, last="whatever:9") as listener:
        heard = listener.until("listening")
        states = {each.data["id"]: each.data for each in heard if each.kind == "state"}
        assert states[key_of(path)]["offset"] == 4
        assert heard[-1].data == {"uploads": len(states), "more": False}
    tus.ask("DELETE", path, {"Tus-Resumable": "1.0.0"})


def test_the_stream_of_one_upload_ends_with_it_and_is_not_asked_for_again(served: Served) -> None:
    tus = Tus(served)
    path, other = tus.new(3), tus.new(3)
    address = f"/api/v1/uploads/{key_of(path)}/events"
    with stream(served, address) as listener:
        listener.until("listening")
        tus.patch(other, 0, b"abc")
        tus.patch(path, 0, b"abc")
        heard = list(listener.events())
    assert {each.data["id"] for each in heard} == {key_of(path)}
    assert heard[-1].kind == "completed"
    with stream(served, address, last=heard[-1].id) as again:
        assert again.status == 204
    with stream(served, address) as again:
        assert [each.kind for each in again.events()] == ["state", "listening"]


@pytest.mark.parametrize(
    ("end", "kind", "state"),
    [("DELETE", "cancelled", "cancelled")],
)
def test_an_end_without_an_object_is_heard_with_its_reason(
    direct: Served, end: str, kind: str, state: str
) -> None:
    tus = Tus(direct)
    path = tus.new(3)
    with stream(direct, f"/api/v1/uploads/{key_of(path)}/events") as listener:
        listener.until("listening")
        tus.ask(end, path, {"Tus-Resumable": "1.0.0"})
        last = listener.until(kind)[-1].data
    assert (last["state"], bool(last["reason"])) == (state, True)


def test_a_long_chunk_is_heard_of_at_least_twice_a_second(served: Served) -> None:
    tus, size, seconds = Tus(served), 30 * KIB, 3.0
    path = tus.new(size)
    checksum = "sha256 " + "A" * 43 + "="  # of other bytes: nothing becomes durable on the way
    with stream(served, f"/api/v1/uploads/{key_of(path)}/events") as listener:
        listener.until("listening")
        with contextlib.closing(Line(served)) as line:
            fields = {
                **CHUNK,
                "Upload-Offset": 0,
                "Upload-Checksum": checksum,
                "Content-Length": size,
            }
            line.send_head("PATCH", path, fields)
            began = time.monotonic()
            for _ in range(30):
                line.send(bytes(KIB))
                time.sleep(seconds / 30)  # the sender's pace is what is tested
            took = time.monotonic() - began
            assert line.answer().status == 460
        tus.ask("DELETE", path, {"Tus-Resumable": "1.0.0"})
        heard = listener.until("cancelled")
    moved = [each.data for each in heard if 0 < each.data["received"] < size]
    assert 2 * took - 1 <= len(moved) + 1 <= 4 * took + 1, (moved, took)
    assert {each["durable"] for each in moved} == {0}
    assert size / took / 3 < moved[-1]["bytes_per_second"] < size / took * 3


def test_nobody_hears_of_what_belongs_to_others(guarded: Served) -> None:
    with contextlib.ExitStack() as stack:
        ears = {
            who: stack.enter_context(stream(guarded, who=who))
            for who in ("alice", "carol", "bob", "admin")
        }
        for each in ears.values():
            each.until("listening")
        paths = {
            who: Tus(guarded, token=token(who)).put(b"abc") for who in ("alice", "carol", "bob")
        }
        ids = {who: key_of(path) for who, path in paths.items()}
        for who in ("alice", "carol", "bob"):
            heard = ears[who].until("completed")
            assert {each.data["id"] for each in heard} == {ids[who]}, who
        chief = ears["admin"].until("completed") + ears["admin"].until("completed")
        assert {each.data["id"] for each in chief} == {ids["alice"], ids["carol"]}


def test_the_stream_of_a_foreign_upload_is_not_there(guarded: Served) -> None:
    key = key_of(Tus(guarded, token=token("alice")).new(3))
    for who in ("carol", "bob"):
        answer = Tus(guarded, token=token(who)).ask("GET", f"/api/v1/uploads/{key}/events")
        require_problem(answer, 404, "not-found")
    require_problem(Tus(guarded).ask("GET", "/api/v1/events"), 401, "unauthenticated")
    answer = Tus(guarded, token=token("writer")).ask("GET", "/api/v1/events")
    require_problem(answer, 403, "forbidden")


def test_so_many_may_listen_and_the_next_is_told_to_come_later(tmp_path: Path) -> None:
    with running("direct", tmp_path, listeners=1) as served:
        with stream(served) as listener:
            listener.until("listening")
            answer = Tus(served).ask("GET", "/api/v1/events")
            require_problem(answer, 503, "limit-reached")
            assert answer.number("retry-after") > 0
        deadline, status = time.monotonic() + PATIENCE, 503
        while status == 503:  # it takes a moment until the server knows that the first one left
            assert time.monotonic() < deadline
            with stream(served) as listener:
                status = listener.status
        assert status == 200


@pytest.mark.parametrize("kind", ["direct", "plain", "tls"])
def test_the_server_ends_while_somebody_listens(tmp_path: Path, kind: str) -> None:
    def listen(served: Served) -> None:
        with stream(served) as listener, contextlib.suppress(Gone):
            for each in listener.events():
                if each.kind == "listening":
                    listening.set()

    listening = threading.Event()
    with running(kind, tmp_path) as served:
        ears = threading.Thread(target=listen, args=(served,), daemon=True)
        ears.start()
        assert listening.wait(PATIENCE)
        began = time.monotonic()
    ears.join(PATIENCE)
    assert time.monotonic() - began < 8, "an open stream does not hold the server up"
