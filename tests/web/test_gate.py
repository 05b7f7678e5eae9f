"""Who is let in, decided from the head alone."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.web.tokens import token, write_tokens
from towpath.assemble import gate_of, serve
from towpath.core.caller import ANONYMOUS, EVERYTHING, Scope
from towpath.errors import Forbidden, Refused, SettingsError, Unauthenticated
from towpath.settings import Settings
from towpath.web.gate import LoopbackGate, TokenGate, read_tokens

DIGEST = hashlib.sha256(b"x").hexdigest()


@pytest.fixture
def gate(tmp_path: Path) -> TokenGate:
    return TokenGate(read_tokens(write_tokens(tmp_path / "tokens.toml")))


def shown(text: str) -> dict[str, str]:
    return {"authorization": text}


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_token_says_who_asks(gate: TokenGate, scheme: str) -> None:
    caller = gate.admit(shown(f"{scheme} {token('alice')}"))
    assert (caller.tenant, caller.subject) == ("red", "alice")
    assert caller.scopes == EVERYTHING
    reader = gate.admit(shown(f"Bearer  {token('reader')} "))
    assert reader.scopes == {Scope.READ, Scope.LIST}


def test_a_secret_may_hold_underscores(gate: TokenGate) -> None:
    assert gate.admit(shown(f"Bearer {token('team')}")).prefix == "team/"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Bearer",
        "Bearer ",
        token("alice"),
        f"Basic {token('alice')}",
        f"Bearer {token('alice')}x",
        f"Bearer {token('alice')[:-1]}",
        f"Bearer {token('alice')}, Bearer {token('alice')}",
        f"Bearer {token('alice').upper()}",
        "Bearer tow_alice_",
        "Bearer tow_alice",
        "Bearer tow__",
        "Bearer tow_nobody_",
        "Bearer tow_nobody_S3cret-of-alice-4711",
        "Bearer tow_bob_S3cret-of-alice-4711",
        "Bearer xyz_alice_S3cret-of-alice-4711",
    ],
)
def test_anything_else_is_nobody(gate: TokenGate, text: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        gate.admit(shown(text))
    assert "S3cret" not in str(caught.value)


@given(text=st.text(st.characters(max_codepoint=255)))
def test_no_field_opens_the_gate_or_breaks_it(text: str) -> None:
    with pytest.raises(Unauthenticated):
        TokenGate({}).admit(shown(text))
    with pytest.raises(Refused):
        LoopbackGate().admit({"host": text + "x", "origin": text})


def test_an_unknown_id_costs_the_same_work_as_a_wrong_secret(
    gate: TokenGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    work: list[tuple[str, int, int]] = []
    compare, sha256 = hmac.compare_digest, hashlib.sha256

    def compared(one: bytes, other: bytes) -> bool:
        work.append(("compare", len(one), len(other)))
        return compare(one, other)

    def hashed(data: bytes) -> Any:
        work.append(("hash", len(data), 0))
        return sha256(data)

    monkeypatch.setattr(hmac, "compare_digest", compared)
    monkeypatch.setattr(hashlib, "sha256", hashed)
    done = []
    for text in ("tow_alice_wrong", "tow_nobody_wrong"):
        work.clear()
        with pytest.raises(Unauthenticated):
            gate.admit(shown(f"Bearer {text}"))
        done.append(list(work))
    assert done[0] == done[1] == [("hash", 5, 0), ("compare", 32, 32)]


@pytest.mark.parametrize(
    "text",
    [
        "[[token]",
        "token = 5",
        "[[token]]",
        f'[[token]]\nid = "a"\nsha256 = "{DIGEST}"\ntenant = "t"',
        '[[token]]\nid = "a"\nsha256 = "abc"\ntenant = "t"\nsubject = "s"',
        '[[token]]\nid = "a"\nsha256 = "zz"\ntenant = "t"\nsubject = "s"',
        f'[[token]]\nid = "a_b"\nsha256 = "{DIGEST}"\ntenant = "t"\nsubject = "s"',
        f'[[token]]\nid = ""\nsha256 = "{DIGEST}"\ntenant = "t"\nsubject = "s"',
        2 * f'[[token]]\nid = "a"\nsha256 = "{DIGEST}"\ntenant = "t"\nsubject = "s"\n',
        f'[[token]]\nid = "a"\nsha256 = "{DIGEST}"\ntenant = "t"\nsubject = "s"\nscopes = ["fly"]',
        f'[[token]]\nid = "a"\nsha256 = "{DIGEST}"\ntenant = "t"\nsubject = "s"\nscopes = "write"',
    ],
)
def test_a_token_file_with_a_flaw_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "tokens.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_tokens(file)
    assert str(file) in caught.value.what
    assert caught.value.why


def test_a_token_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        read_tokens(tmp_path / "nothing.toml")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.9", "::1"])
def test_without_tokens_this_machine_is_served_by_its_own_name(host: str) -> None:
    gate = gate_of(Settings(host=host))
    name = f"[{host}]:8000" if ":" in host else f"{host}:8000"
    assert gate.admit({"host": name}) is ANONYMOUS


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "", "192.168.1.7", "example.org", "127.example.org", "1270.0.0.1"],  # noqa: S104
)
def test_without_tokens_the_server_does_not_listen_to_other_machines(
    host: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as caught:
        serve(host=host, data=tmp_path / "data", port=0)
    assert "--tokens" in caught.value.todo
    assert not (tmp_path / "data").exists()


def test_other_machines_are_served_without_tokens_if_that_is_what_is_wanted() -> None:
    gate = gate_of(Settings(host="0.0.0.0", anonymous_anywhere=True))  # noqa: S104
    assert gate.admit({"host": "example.org", "origin": "https://example.org"}) is ANONYMOUS


@pytest.mark.parametrize("peer", ["192.168.1.7", "10.0.0.1", "2001:db8::1", "::ffff:10.0.0.1"])
def test_without_tokens_another_machine_is_refused_whatever_name_it_uses(peer: str) -> None:
    """Somebody else's ASGI server may listen where ours would not."""
    with pytest.raises(Forbidden):
        LoopbackGate().admit({"host": "localhost"}, peer)


@pytest.mark.parametrize(
    "peer", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", None, "unix"]
)
def test_a_peer_on_this_machine_is_let_in(peer: str | None) -> None:
    assert LoopbackGate().admit({"host": "localhost"}, peer) is ANONYMOUS


def test_further_names_are_answered_when_they_are_set() -> None:
    gate = gate_of(Settings(hosts=("files.test",)))
    fields = {"host": "FILES.test:8000", "origin": "https://files.test"}
    assert gate.admit(fields) is ANONYMOUS
    with pytest.raises(Forbidden):
        gate.admit({"host": "other.test"})
