"""Webhooks: told at least once, signed, with an id that stays, to nobody else."""

from __future__ import annotations

import queue
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.web.process import process
from tests.web.receiver import OLD, SECRET, Receiver, receiver, write_secrets
from tests.web.running import running
from tests.web.serving import wait_for
from tests.web.talk import TUS, Tus, metadata
from towpath.core.model import Object, Upload
from towpath.errors import Malformed, SettingsError, TowpathError, Unanswered
from towpath.protocol.signing import read_secrets
from towpath.settings import load
from towpath.testing.clock import FakeClock
from towpath.testing.rows import upload
from towpath.web.calls import calls_of
from towpath.web.courier import Courier
from towpath.web.webhooks import Webhooks

ALL = "created,completed,cancelled,expired,failed"


@pytest.fixture
def ear() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


@pytest.mark.parametrize("kind", ["direct", "plain", "granian"])
def test_a_complete_upload_is_told_of_signed_and_with_its_digest(
    tmp_path: Path, ear: Receiver, kind: str
) -> None:
    secrets = write_secrets(tmp_path / "secrets", SECRET, OLD)
    with running(kind, tmp_path, webhooks=ear.url, signing_secrets=secrets) as served:
        tus = Tus(served)
        path = tus.put(b"abc", upload_metadata=metadata(name="a/b.txt"))
        call = ear.next()
        partial = tus.create(3, b"abc", upload_concat="partial")
        assert partial.status == 201
        other = tus.put(b"x")
        assert ear.next().said["data"]["id"] == other.rpartition("/")[2], "parts are not told of"
    key = path.rpartition("/")[2]
    assert call.path == "/told?by=towpath"
    assert call.fields["content-type"] == "application/json"
    assert call.fields["webhook-id"] == f"evt_completed_{key}"
    assert call.is_signed_with(SECRET)
    assert call.is_signed_with(OLD)
    assert not call.is_signed_with(b"another")
    said = call.said
    assert said.pop("timestamp").endswith("Z")
    assert said["type"] == "upload.completed"
    data = said["data"]
    for name in ("created_at", "updated_at"):
        assert data.pop(name).endswith("Z")
    assert data.pop("digests").keys() == {"crc64nvme"}
    assert data == {
        "id": key,
        "name": "a/b.txt",
        "state": "complete",
        "offset": 3,
        "length": 3,
        "owner": "anonymous",
        "tenant": "local",
        "expires_at": None,
        "reason": "",
        "media_type": None,
        "metadata": metadata(name="a/b.txt"),
        "dialect": "tus",
    }


def test_other_ends_and_beginnings_are_told_of_where_that_is_asked(
    tmp_path: Path, ear: Receiver
) -> None:
    with receiver() as other:
        settings = {
            "webhooks": f"{ear.url},{other.url}",
            "webhook_events": ALL,
            "signing_secrets": write_secrets(tmp_path / "secrets"),
        }
        with running("direct", tmp_path, **settings) as served:
            tus = Tus(served)
            path = tus.new(3)
            created = ear.next()
            assert created.said["type"] == "upload.created"
            assert created.said["data"]["state"] == "open"
            tus.ask("DELETE", path, TUS)
            cancelled = ear.next()
            assert cancelled.said["type"] == "upload.cancelled"
            assert cancelled.said["data"]["reason"]
            same = {other.next().fields["webhook-id"] for _ in range(2)}
    assert same == {each.fields["webhook-id"] for each in (created, cancelled)}


@pytest.mark.timeout(90)
def test_what_was_not_heard_is_told_again_by_the_next_process(
    tmp_path: Path, ear: Receiver
) -> None:
    ear.answer(500)
    secrets = write_secrets(tmp_path / "secrets")
    settings, mine = {"webhooks": ear.url, "signing_secrets": str(secrets)}, "kind = 'webhook'"
    with process("direct", tmp_path, **settings) as server:
        Tus(server.served).put(b"abc")
        first = ear.next()
        wait_for(lambda: server.served.lines_of("outbox", f"{mine} AND tries = 1"), "a try")
        server.end(signal.SIGKILL)
        ear.answer(204)
        server.start_again()
        again = ear.next(60)
        assert again.fields["webhook-id"] == first.fields["webhook-id"]
        assert again.body == first.body
        assert again.is_signed_with(SECRET)
        wait_for(lambda: not server.served.lines_of("outbox", mine), "it to be told")
        server.end()
        with pytest.raises(queue.Empty):
            ear.next(0.1)


# --- one delivery ----------------------------------------------------------------------------


def hooks_to(*urls: str, events: tuple[str, ...] = ("completed",)) -> Webhooks:
    return Webhooks(urls, events, [SECRET], Courier(seconds=5), FakeClock())


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "fields", "error", "after"),
    [
        (200, {}, None, 0),
        (204, {}, None, 0),
        (302, {"Location": "/elsewhere"}, Unanswered, 0),
        (400, {}, Unanswered, 0),
        (410, {}, SettingsError, 0),
        (429, {"Retry-After": "77"}, Unanswered, 77),
        (503, {"Retry-After": "999999"}, Unanswered, 3600),
        (503, {"Retry-After": "soon"}, Unanswered, 0),
    ],
)
async def test_an_answer_says_whether_it_was_heard(
    ear: Receiver,
    status: int,
    fields: dict[str, str],
    error: type[TowpathError] | None,
    after: int,
) -> None:
    ear.answers = lambda _: (status, fields, b"")
    webhooks = hooks_to(ear.url)
    (row,) = webhooks.of("completed", upload(), None, now=0)
    if error is None:
        await webhooks.deliver(row)
    else:
        with pytest.raises(error) as raised:
            await webhooks.deliver(row)
        if isinstance(raised.value, Unanswered):
            assert raised.value.retry_after == after
    assert ear.calls.qsize() == 1, "redirects are not followed"


@pytest.mark.anyio
async def test_an_address_that_is_not_set_any_more_is_told_nothing(ear: Receiver) -> None:
    (row,) = hooks_to(ear.url).of("completed", upload(), None, now=0)
    with pytest.raises(SettingsError):
        await hooks_to("http://127.0.0.1:1/").deliver(row)
    assert ear.url not in repr(row), "an address may hold a secret"


def test_only_what_is_asked_for_is_noted() -> None:
    made = Object(tenant="t", owner="o", id="u1", length=3, crc=7, created_at=0)
    sha256 = f"sha-256=:{'A' * 43}=:"
    cases: list[tuple[str, Upload, int]] = [
        ("completed", upload(), 2),
        ("created", upload(), 2),
        ("failed", upload(), 0),
    ]
    webhooks = hooks_to("http://a/", "http://b/", events=("completed", "created"))
    for kind, row, count in cases:
        rows = webhooks.of(kind, row, made, now=1)
        assert len({each.id for each in rows}) == count
    (first, _) = webhooks.of("completed", upload(), replace(made, digests=sha256), now=1)
    assert bytes(32).hex() in first.payload
    assert hooks_to().of("completed", upload(), made, now=1) == ()


# --- settings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        {"webhooks": "http://127.0.0.1/"},
        {"hook": "http://127.0.0.1/"},
        {"webhooks": "ftp://127.0.0.1/", "signing_secrets": "secrets"},
        {"webhooks": "http://user:secret@127.0.0.1/", "signing_secrets": "secrets"},
        {"webhooks": "http://127.0.0.1/", "signing_secrets": "nowhere"},
        {"webhooks": "http://127.0.0.1/", "signing_secrets": "bad"},
        {"webhook_events": "progress"},
        {
            "hook": "http://127.0.0.1/",
            "hook_asks": "before_lunch",
            "signing_secrets": "secrets",
        },
    ],
)
def test_settings_that_cannot_be_meant_are_refused(
    tmp_path: Path, said: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_secrets(Path("secrets"))
    Path("bad").write_text("whsec_short")
    with pytest.raises(SettingsError) as refused:
        calls_of(load(said, environment=False), FakeClock())
    assert "short" not in str(refused.value)


def test_a_secret_is_whsec_and_base64_and_is_told_to_nobody(tmp_path: Path) -> None:
    file = write_secrets(tmp_path / "secrets", SECRET, OLD)
    assert read_secrets(file.read_text()) == (SECRET, OLD)
    for text in ("", "c2VjcmV0", "whsec_!!!!", "whsec_" + "A" * 200):
        with pytest.raises(Malformed) as refused:
            read_secrets(text)
        assert not text or text not in str(refused.value)


def test_a_known_message_has_the_signature_of_the_specification() -> None:
    # The example of the Standard Webhooks specification's reference implementations.
    from towpath.protocol.signing import sign  # noqa: PLC0415  # beside what it is for

    secrets = read_secrets("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    fields = dict(
        sign(
            secrets,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            b'{"test": 2432232314}',
            at=1614265330,
        )
    )
    assert fields["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
