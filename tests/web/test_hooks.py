"""Hooks: refuse, change, stop and refuse at the end; over HTTP and in Python, on every server."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.web.forming import Forms
from tests.web.receiver import SECRET, Call, Receiver, receiver, write_secrets
from tests.web.running import PATIENCE, Served, running
from tests.web.sessions import BASE, begin, require_refusal
from tests.web.talk import CHUNK, Line, Tus, metadata, require_problem
from towpath.asgi import app
from towpath.core.caller import Caller
from towpath.core.command import NewUpload
from towpath.core.model import Upload
from towpath.errors import SettingsError, Vetoed
from towpath.settings import load

Served_ = Callable[..., contextlib.AbstractContextManager[Served]]


@pytest.fixture
def ear() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


@pytest.fixture
def serve(tmp_path: Path, ear: Receiver) -> Served_:
    secrets = write_secrets(tmp_path / "secrets")

    def start(kind: str = "direct", **more: Any) -> contextlib.AbstractContextManager[Served]:
        return running(kind, tmp_path / kind, hook=ear.url, signing_secrets=secrets, **more)

    return start


def key_of(path: str) -> str:
    return path.rpartition("/")[2]


@pytest.mark.parametrize("kind", ["direct", "plain", "tls", "granian"])
def test_an_http_hook_is_asked_and_may_refuse_with_a_reason(
    serve: Served_, ear: Receiver, kind: str
) -> None:
    ear.answer(refuse=True, reason="Only PDFs are taken.", todo="Send a PDF.")
    with serve(kind) as served:
        answer = Tus(served).create(3, upload_metadata=metadata(name="a.exe"))
        document = require_problem(answer, 403, "vetoed")
        assert (document["title"], document["todo"]) == ("Only PDFs are taken.", "Send a PDF.")
        session = {"filename": "a.pdf", "file_size": 3}
        refused = Forms(served, BASE).json("POST", "/initiate", session)
        assert "Only PDFs" in require_refusal(refused, 403, "vetoed")["message"]
        assert served.rows()["uploads"] == []
        assert served.files() == {}
    call = ear.next()
    assert call.is_signed_with(SECRET)
    said = call.said
    assert said.pop("timestamp").endswith("Z")
    assert said == {
        "type": "before_create",
        "data": {
            "caller": {"tenant": "local", "subject": "anonymous"},
            "upload": {
                "id": None,
                "name": "a.exe",
                "length": 3,
                "media_type": None,
                "metadata": metadata(name="a.exe"),
                "dialect": "tus",
                "partial": False,
            },
        },
    }


def test_an_http_hook_sets_id_name_and_metadata(serve: Served_, ear: Receiver) -> None:
    said = metadata(name="chosen.txt", by="hook")
    ear.answer(id="chosen00id", name="chosen.txt", metadata=said)
    with serve() as served:
        tus = Tus(served)
        path = tus.put(b"abc", upload_metadata=metadata(name="other.txt"))
        assert key_of(path) == "chosen00id"
        assert tus.head(path).fields["upload-metadata"] == said
        found = tus.ask("GET", "/api/v1/names/chosen.txt").document
        assert found["id"] == "chosen00id"
        require_problem(tus.create(3), 409, "state-conflict")
        assert tus.ask("GET", path).body == b"abc", "the one before is as it was"
        ear.answer(id="../../../etc")
        assert require_problem(tus.create(3), 400, "malformed")["field"] == "id"
        ear.answer(name="../secret")
        require_problem(tus.create(3), 400, "malformed")
        ear.answer(id=7.5)
        require_problem(tus.create(3), 503, "unanswered")
    assert served.files().keys() <= {"objects/chosen00id"} | {
        name for name in served.files() if "chosen00id" in name
    }


def test_who_chooses_the_same_id_at_once_is_told_apart(serve: Served_, ear: Receiver) -> None:
    ear.answer(id="thesame0id")
    with serve() as served:
        answers = []

        def create() -> None:
            answers.append(Tus(served).create(3))

        threads = [threading.Thread(target=create) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert sorted(answer.status for answer in answers) == [201] + [409] * 7
        tus = Tus(served)
        assert tus.patch("/files/thesame0id", 0, b"abc").status == 204
        tus.ask("DELETE", "/files/thesame0id", {"Tus-Resumable": "1.0.0"})
        require_problem(tus.create(3), 409, "state-conflict")


def test_an_upload_may_be_refused_at_its_end_and_is_gone(serve: Served_, ear: Receiver) -> None:
    def decide(call: Call) -> tuple[int, dict[str, str], bytes]:
        refuse = (
            call.said["type"] == "before_complete" and call.said["data"]["upload"]["length"] > 3
        )
        return 200, {}, json.dumps({"refuse": refuse, "reason": "It is infected."}).encode()

    ear.answers = decide
    with serve() as served:
        tus = Tus(served)
        assert tus.create(3, b"abc").status == 201
        path = tus.new(4)
        answer = tus.patch(path, 0, b"evil")
        assert require_problem(answer, 403, "vetoed")["title"] == "It is infected."
        (row,) = served.lines_of("uploads", "id = ?", key_of(path))
        assert row["state"] == "failed"
        assert "infected" in row["reason"]
        client = Forms(served, BASE)
        key = begin(client, file_size=4, chunk_size=4)["session_id"]
        client.form(f"/chunk/{key}", [("chunk_id", "0"), ("file", b"evil")])
        refused = client.json("POST", f"/complete/{key}")
        assert "infected" in require_refusal(refused, 403, "vetoed")["message"]
        assert not any("uploads/" in name for name in served.files())


def stopping(served: Served) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """A slow upload until it is stopped: status, problem, row."""
    path = Tus(served).new(10_000)
    with contextlib.closing(Line(served)) as line:
        fields = {**CHUNK, "Upload-Offset": 0, "Content-Length": 10_000}
        line.send_head("PATCH", path, fields)
        line.send(bytes(100))
        answer = line.answer()
    (row,) = served.lines_of("uploads", "id = ?", key_of(path))
    return answer.status, answer.document, row


def test_an_upload_may_be_stopped_while_it_runs(serve: Served_, ear: Receiver) -> None:
    def decide(call: Call) -> tuple[int, dict[str, str], bytes]:
        refuse = call.said["type"] == "while_receiving"
        return 200, {}, json.dumps({"refuse": refuse, "reason": "Enough."}).encode()

    ear.answers = decide
    with serve(hook_asks="while_receiving") as served:
        status, document, row = stopping(served)
    assert (status, document["title"]) == (403, "Enough.")
    assert (row["state"], row["handle"]) == ("failed", "")
    assert ear.next().said["data"]["upload"]["length"] == 10_000


@pytest.mark.parametrize("silence", ["500", "404", "nonsense", "hangs up"])
def test_a_hook_that_gives_no_answer_lets_nothing_pass_and_loses_nothing(
    serve: Served_, ear: Receiver, silence: str
) -> None:
    def mute(_: Call) -> tuple[int, dict[str, str], bytes] | None:
        if silence == "hangs up":
            return None
        return (int(silence), {}, b"") if silence.isdigit() else (200, {}, b"[1]")

    with serve() as served:
        tus = Tus(served)
        path = tus.new(3)
        ear.answers = mute
        answer = tus.create(3)
        require_problem(answer, 503, "unanswered")
        assert answer.number("retry-after") > 0
        require_problem(tus.patch(path, 0, b"abc"), 503, "unanswered")
        ear.answer()
        assert tus.offset(path) == 3, "asked again, it is complete"
        assert tus.ask("GET", path).body == b"abc"


def test_a_hook_that_gives_no_answer_may_be_taken_for_yes(serve: Served_, ear: Receiver) -> None:
    ear.answer(500)
    with serve(hook_fail_open=True) as served:
        path = Tus(served).put(b"abc")
        assert Tus(served).ask("GET", path).body == b"abc"
        ear.answer(refuse=True)
        require_problem(Tus(served).create(3), 403, "vetoed")


# --- in Python -------------------------------------------------------------------------------


class Blocking:
    """Hooks that block."""

    def before_create(self, caller: Caller, new: NewUpload) -> NewUpload:
        time.sleep(0.01)
        if new.name == "no.txt":
            raise Vetoed("No.", why="It is called so.", todo="Call it otherwise.")
        if new.name == "bug.txt":
            raise ZeroDivisionError
        return replace(new, name=f"{caller.subject}/{new.name}", id=f"id0{new.length:09}")

    def before_complete(self, upload: Upload) -> None:
        if upload.length == 4:
            raise Vetoed("Not four bytes.")


class Asynchronous:
    """Hooks that do not."""

    stopped = False

    async def while_receiving(self, upload: Upload) -> None:
        if self.stopped:
            raise Vetoed("Stopped by hand.")


@pytest.mark.parametrize("kind", ["direct", "plain"])
def test_hooks_in_python_decide_as_those_over_http(tmp_path: Path, kind: str) -> None:
    with running(kind, tmp_path, hooks=Blocking()) as served:
        tus = Tus(served)
        path = tus.put(b"abc", upload_metadata=metadata(name="a.txt"))
        assert key_of(path) == "id0000000003"
        assert tus.ask("GET", "/api/v1/names/anonymous/a.txt").status == 200
        answer = tus.create(5, upload_metadata=metadata(name="no.txt"))
        assert require_problem(answer, 403, "vetoed")["todo"] == "Call it otherwise."
        answer = tus.create(5, upload_metadata=metadata(name="bug.txt"))
        require_problem(answer, 503, "unanswered")
        assert b"ZeroDivision" in answer.body, "which kind of mistake it was helps who runs it"
        answer = tus.create(4, b"four", upload_metadata=metadata(name="b.txt"))
        require_problem(answer, 403, "vetoed")


def test_asynchronous_hooks_stop_an_upload(tmp_path: Path) -> None:
    hooks = Asynchronous()
    with running("direct", tmp_path, hooks=hooks) as served:
        assert Tus(served).put(b"abc")
        hooks.stopped = True
        status, document, row = stopping(served)
    assert (status, document["title"], row["state"]) == (403, "Stopped by hand.", "failed")


def test_an_application_takes_hooks_and_refuses_what_is_none(tmp_path: Path) -> None:
    settings = load({"data": tmp_path / "data"}, environment=False)
    with pytest.raises(SettingsError):
        app(settings, hooks=object())
    assert not (tmp_path / "data").exists(), "refused before anything is made"
