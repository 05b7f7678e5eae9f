"""Have you got this, in each dialect: at once for who may read it, and never a probe for others."""

from __future__ import annotations

import hashlib
import json
import random
import re
import secrets
from pathlib import Path
from typing import Any

import pytest

from tests.web.forming import Forms
from tests.web.ranging import Ranger, digest_of
from tests.web.running import House, Served
from tests.web.talk import TUS, Answer, Fields, metadata
from tests.web.tokens import write_tokens
from towpath.core.command import Create, NewUpload

DIALECTS = ["documents", "tus", "rufh", "ranges", "names", "have"]


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tokens(tmp_path_factory.mktemp("tokens") / "tokens.toml")


@pytest.fixture(params=["direct", "plain", "granian", "tls"])
def guarded(house: House, request: pytest.FixtureRequest, tokens: Path) -> Served:
    return house.get(request.param, tokens=tokens)


@pytest.fixture
def content() -> bytes:
    """Bytes that no other test has."""
    return secrets.token_bytes(5000)


def hold(served: Served, who: str, data: bytes, name: str) -> None:
    """Have somebody hold the bytes, with their SHA-256 known."""
    ranger = Ranger(served, who=who)
    key = ranger.new(len(data), name=name, wants=("sha-256",))
    assert ranger.put(key, 0, data).document["state"] == "complete"


def ask(served: Served, who: str, dialect: str, data: bytes) -> Answer:
    """Say in a dialect that one knows the SHA-256 of these bytes, and send none of them."""
    forms, sha = Forms(served, "", who=who), hashlib.sha256(data).hexdigest()
    name = "team/" + "".join(random.choices("abcdefgh", k=12))
    if dialect == "documents":
        said = {"filename": "same.pdf", "file_size": len(data), "expected_hash": sha}
        return forms.json("POST", "/api/documents/streaming/initiate", said)
    if dialect == "tus":
        fields: Fields = {
            "Upload-Length": len(data),
            "Upload-Metadata": metadata(name=name, sha256=sha),
        }
        return forms.ask("POST", "/files/", {**TUS, **fields})
    if dialect == "rufh":
        fields = {
            "Upload-Draft-Interop-Version": 8,
            "Upload-Complete": "?0",
            "Upload-Length": len(data),
            "Repr-Digest": digest_of(data),
            "Content-Disposition": f'attachment; filename="{name}"',
            "Content-Length": 0,
        }
        return forms.ask("POST", "/files/", fields)
    ranger = Ranger(served, who=who)
    if dialect == "ranges":
        new = NewUpload(length=len(data), name=name, digests={"sha-256": bytes.fromhex(sha)})
        return ranger.do(Create(new=new))
    if dialect == "have":
        return ranger.ask("POST", "/ranges/have", {}, json.dumps({"sha-256": [sha]}).encode())
    waits: Fields = {"Content-Length": len(data), "Expect": "100-continue"}
    return forms.ask("PUT", f"/names/{name}", {**waits, "Repr-Digest": digest_of(data)})


def is_had(dialect: str, answer: Answer, served: Served, who: str) -> bool:
    """Whether the answer says that nothing needs to be sent."""
    if dialect == "documents":
        key = answer.document["session_id"]
        forms = Forms(served, "/api/documents/streaming", who=who)
        resumed = forms.json("POST", "/resume", {"session_id": key})
        missing: list[int] = resumed.document["missing_chunks"]
        return not missing
    if dialect == "tus":
        return answer.fields["upload-offset"] == "5000"
    if dialect == "rufh":
        assert answer.status == 201
        return answer.fields["upload-complete"] == "?1"
    if dialect == "ranges":
        had: bool = answer.document["state"] == "complete"
        return had
    if dialect == "have":
        return bool(answer.document["have"])
    return answer.status == 201


def shape(answer: Answer) -> Any:
    """The answer without what is new each time: ids, names, times, digests."""
    text = json.dumps([answer.status, sorted(answer.fields.items()), answer.body.decode()])
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z|\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT", "TIME", text)
    text = re.sub(r"team/[a-h]{12}|team%2F[a-h]{12}|\bdGVhb[\w=+/]*", "NAME", text)
    text = re.sub(r"max-age=\d+", "max-age=SECONDS", text)
    text = re.sub(r"[0-9a-f]{64}|[\w+/]{43}=", "DIGEST", text)
    return re.sub(r"(?<![0-9a-z])([0-9a-z]{31}|[0-9a-f]{16})(?![0-9a-z])", "ID", text)


@pytest.mark.parametrize("dialect", [each for each in DIALECTS if each != "names"])
def test_nothing_is_told_or_used_of_what_others_hold(
    guarded: Served, content: bytes, dialect: str
) -> None:
    hold(guarded, "bob", content, "secret.bin")  # another tenant
    hold(guarded, "alice", content, "elsewhere/secret.bin")  # another folder of one's own tenant
    unheard = ask(guarded, "team", dialect, secrets.token_bytes(len(content)))
    answer = ask(guarded, "team", dialect, content)
    assert shape(answer) == shape(unheard)
    assert not is_had(dialect, answer, guarded, "team")
    if dialect != "have":
        blind = ask(guarded, "writer", dialect, content)
        assert not is_had(dialect, blind, guarded, "writer")


@pytest.mark.parametrize("dialect", [each for each in DIALECTS if each != "names"])
def test_who_may_read_it_is_done_at_once(guarded: Served, content: bytes, dialect: str) -> None:
    hold(guarded, "alice", content, "team/shared.bin")
    for who in ("alice", "carol", "team"):
        answer = ask(guarded, who, dialect, content)
        assert is_had(dialect, answer, guarded, who), answer.body


def test_a_put_that_waits_for_our_word_sends_nothing_if_its_bytes_are_here(
    guarded: Served, content: bytes
) -> None:
    hold(guarded, "alice", content, "team/shared.bin")
    for who in ("carol", "team"):
        answer = ask(guarded, who, "names", content)
        assert (answer.status, answer.interim) == (201, ())
        got = Forms(guarded, "", who=who).ask("GET", answer.fields["location"])
        assert got.body == content


@pytest.mark.parametrize("who", ["bob", "writer"])
def test_a_put_of_what_only_others_hold_is_asked_for_its_bytes(
    guarded: Served, content: bytes, who: str
) -> None:
    hold(guarded, "alice", content, "shared.bin")
    forms = Forms(guarded, "/names", who=who)
    fields = {"Repr-Digest": digest_of(content), "Expect": "100-continue"}
    wrong = forms.ask("PUT", f"/{secrets.token_hex(6)}", fields, bytes(len(content)))
    assert wrong.status == 422  # knowing the digest is not having the bytes
    assert forms.ask("PUT", f"/{secrets.token_hex(6)}", fields, content).status == 201


def test_a_put_that_does_not_wait_is_read_and_proven_in_any_case(
    guarded: Served, content: bytes
) -> None:
    hold(guarded, "alice", content, "team/shared.bin")
    forms = Forms(guarded, "/names/team", who="team")
    fields = {"Repr-Digest": digest_of(content)}
    assert forms.ask("PUT", f"/{secrets.token_hex(6)}", fields, bytes(5000)).status == 422
    assert forms.ask("PUT", f"/{secrets.token_hex(6)}", fields, content).status == 201


def test_an_unreadable_digest_in_tus_metadata_is_refused(direct: Served) -> None:
    said = {**TUS, "Upload-Length": 5, "Upload-Metadata": metadata(sha256="abc")}
    answer = Forms(direct, "").ask("POST", "/files/", said)
    assert (answer.status, answer.document["field"]) == (400, "Upload-Metadata")


def test_a_question_needs_the_right_to_read(guarded: Served) -> None:
    assert ask(guarded, "writer", "have", b"x").status == 403
    assert ask(guarded, "reader", "have", b"x").status == 200
