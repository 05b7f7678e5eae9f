"""Encrypted files that are replaced, moved and removed at a server: their keys go with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.client.coding import KEY, MIXED, OTHER, fetch, stopped, store
from towpath import errors
from towpath.client import Client
from towpath.client.peer import Peer, Reply
from towpath.client.words import name_of
from towpath.codec.beside import is_beside
from towpath.testing.server import Server


@pytest.fixture
def there(tmp_path: Path) -> str:
    """A folder of this test's own."""
    return f"beside/{tmp_path.name}"


def names(client: Client, folder: str) -> list[str]:
    """What is in a folder, without it; records as .keys."""
    found = [each.path.removeprefix(f"{folder}/") for each in client.names(folder)]
    known = [name for name in found if not name.endswith(".keys")]
    return sorted(
        next((f"{name}.keys" for name in known if is_beside(each, name)), each) for each in found
    )


def opened(client: Client, name: str, path: Path, key: Any = KEY) -> bytes:
    client.download(name, path, keys=[key], overwrite=True).result()
    return path.read_bytes()


SEALED: dict[str, Any] = {"encrypt": [KEY]}
PLAIN: dict[str, Any] = {}
PACKED: dict[str, Any] = {"compress": "auto"}


@pytest.mark.parametrize("first", [SEALED, PLAIN, PACKED], ids=["sealed", "plain", "packed"])
@pytest.mark.parametrize(
    "then", [SEALED, PLAIN, PACKED, {"delta": True}], ids=["sealed", "plain", "packed", "changes"]
)
def test_whatever_replaces_a_file_there_is_the_record_that_it_needs(
    client: Client, mixed: Path, tmp_path: Path, there: str, first: Any, then: Any
) -> None:
    client.upload(mixed, f"{there}/x", **first).result()
    mixed.write_bytes(MIXED[::-1])
    client.upload(mixed, f"{there}/x", on_conflict="replace", **then).result()
    assert names(client, there) == (["x", "x.keys"] if then is SEALED else ["x"])
    assert opened(client, f"{there}/x", tmp_path / "b") == MIXED[::-1]


def test_who_puts_by_name_or_by_stream_replaces_keys_too(
    client: Client, peer: Peer, mixed: Path, there: str
) -> None:
    for replace in (
        lambda: store(peer, f"{there}/x", b"plain", "text/plain"),
        lambda: client.upload(b"plain", f"{there}/x", on_conflict="replace").result(),
    ):
        client.upload(mixed, f"{there}/x", on_conflict="replace", **SEALED).result()
        assert names(client, there) == ["x", "x.keys"]
        replace()
        assert names(client, there) == ["x"]


def test_a_removed_file_leaves_nothing(client: Client, peer: Peer, mixed: Path, there: str) -> None:
    client.upload(mixed, f"{there}/x", **SEALED).result()
    client.remove(f"{there}/x")
    up = client.upload(mixed, f"{there}/y", **SEALED).result()
    peer.ask("DELETE", up.url, {"Tus-Resumable": "1.0.0"})
    client.upload(mixed, f"{there}/z", **SEALED).result()
    peer.ask("DELETE", peer.address(f"names/{there}/z"))
    assert names(client, there) == []


def test_a_moved_file_can_be_read_by_name_by_address_and_as_a_stream(
    client: Client, mixed: Path, tmp_path: Path, there: str
) -> None:
    up = client.upload(mixed, f"{there}/old/x", **SEALED).result()
    client.move(f"{there}/old/x", f"{there}/new/y")
    assert names(client, f"{there}/old") == []
    assert names(client, f"{there}/new") == ["y", "y.keys"]
    assert opened(client, f"{there}/new/y", tmp_path / "b") == MIXED
    address = client.stat(f"{there}/new/y").href
    assert up.url.endswith(address)
    assert opened(client, up.url, tmp_path / "c") == MIXED
    taken: list[bytes] = []
    client.download(f"{there}/new/y", lambda block: taken.append(bytes(block)), keys=[KEY]).result()
    assert b"".join(taken) == MIXED


def test_the_keys_of_a_moved_file_can_be_changed_and_no_data_moves(
    client: Client, peer: Peer, mixed: Path, tmp_path: Path, there: str
) -> None:
    client.upload(mixed, f"{there}/x", **SEALED).result()
    client.move(f"{there}/x", f"{there}/y")
    before, stored = client.stat(f"{there}/y"), fetch(peer, f"{there}/y")
    client.rewrap(f"{there}/y", [KEY], [OTHER])
    assert (client.stat(f"{there}/y"), fetch(peer, f"{there}/y")) == (before, stored)
    assert names(client, there) == ["y", "y.keys"]
    assert opened(client, f"{there}/y", tmp_path / "b", OTHER) == MIXED
    with pytest.raises(errors.WrongKey):
        opened(client, f"{there}/y", tmp_path / "b", KEY)


def test_a_record_that_stayed_where_it_was_at_first_is_found(
    client: Client, mixed: Path, tmp_path: Path, there: str
) -> None:
    """As a server left it that moved the file alone."""
    client.upload(mixed, f"{there}/x", **SEALED).result()
    (first,) = [each.path for each in client.names(f"{there}/x.")]
    client.move(f"{there}/x", f"{there}/y")
    (now,) = [each.path for each in client.names(f"{there}/y.")]
    client.move(now, first)
    assert opened(client, f"{there}/y", tmp_path / "b") == MIXED
    client.rewrap(f"{there}/y", [KEY], [OTHER])
    assert opened(client, f"{there}/y", tmp_path / "b", OTHER) == MIXED


def test_a_file_that_got_another_name_than_was_asked_for_has_its_keys_beside_it(
    client: Client, mixed: Path, tmp_path: Path, there: str
) -> None:
    for name in ("x", "x (2)"):
        assert client.upload(mixed, f"{there}/x", **SEALED).result().name == f"{there}/{name}"
    assert names(client, there) == ["x", "x (2)", "x (2).keys", "x.keys"]
    client.remove(f"{there}/x")
    assert names(client, there) == ["x (2)", "x (2).keys"]
    assert opened(client, f"{there}/x (2)", tmp_path / "b") == MIXED


def test_an_upload_that_cannot_be_given_up_keeps_its_keys(
    real: Server, client: Client, state: Path, mixed: Path, there: str
) -> None:
    """It may be complete by now, and without them nobody could read it."""
    stopped(real, state, mixed, f"{there}/x", **SEALED)
    (note,) = client.unfinished()
    before, ask = names(client, there), Peer.ask

    def refused(self: Peer, method: str, url: str, *args: Any, **rest: Any) -> Reply:
        if method == "DELETE" and "/files/" in url:
            return Reply(403, {}, b"")
        return ask(self, method, url, *args, **rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Peer, "ask", refused)
        client.forget(note)
    assert names(client, there) == before
    assert len(before) == 1


def test_who_was_killed_at_the_very_end_takes_no_keys_of_a_complete_file_away(
    real: Server, client: Client, state: Path, mixed: Path, tmp_path: Path, there: str
) -> None:
    stopped(real, state, mixed, f"{there}/x", **SEALED)
    (rows,) = state.glob("*.chunks")
    kept = rows.read_bytes()
    client.upload(mixed, f"{there}/x", **SEALED).result()
    rows.write_bytes(kept)  # the note was gone, the rows were not
    up = client.upload(mixed, f"{there}/x", restart=True, **SEALED).result()
    assert up.name == f"{there}/x (2)"
    assert names(client, there) == ["x", "x (2)", "x (2).keys", "x.keys"]
    assert opened(client, f"{there}/x", tmp_path / "b") == MIXED


def test_a_server_tells_the_name_of_an_encrypted_file_but_not_to_who_shows_a_link(
    client: Client, peer: Peer, mixed: Path, there: str
) -> None:
    client.upload(mixed, f"{there}/x", **SEALED).result()
    client.upload(mixed, f"{there}/plain").result()
    client.move(f"{there}/x", f"{there}/ü y")
    link = client.link(f"{there}/ü y").href
    for address, told in (
        (client.stat(f"{there}/ü y").href, f"{there}/ü y"),
        (f"names/{quote(there)}/%C3%BC%20y", f"{there}/ü y"),
        (client.stat(f"{there}/plain").href, None),
        (link, None),
    ):
        reply = peer.ask("HEAD", peer.address(address))
        assert reply.ok
        assert name_of(reply.fields) == told
