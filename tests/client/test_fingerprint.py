"""Uploads of what has no path, that go on in another call: by a word for the very same bytes."""

from pathlib import Path
from typing import Any

import pytest

import towpath
from tests.client.conftest import Carry
from tests.client.fake import FakeServer
from tests.client.givers import DATA, SMALL, SOURCES, each_source, generator
from towpath import errors


def broken_off(carry: Carry, server: FakeServer, source: Any, **rest: Any) -> None:
    """An upload that stops after 2,500,000 bytes."""
    server.faults.clear()
    for _ in range(2):
        server.fail("PATCH", "lose-answer")
        server.fail("HEAD", "early")  # a fault that nothing comes of: HEAD answers as it is
    server.fail("PATCH", "cut", at=500_000)
    server.fail("HEAD", "status", status=403)
    with pytest.raises(errors.Forbidden):
        carry("upload", source, "x", client=SMALL, fingerprint="mine", **rest)
    assert server.received == 2_500_000


@each_source
def test_the_same_fingerprint_goes_on_in_another_call(
    carry: Carry, server: FakeServer, state: Path, kind: str
) -> None:
    broken_off(carry, server, SOURCES[kind](DATA))
    result = carry("upload", SOURCES[kind](DATA), "x", client=SMALL, fingerprint="mine")
    assert bytes(server.named("x").data) == DATA
    assert (result.resumed_from, result.sent_bytes) == (2_500_000, 2_500_001)
    assert (server.received, result.verified) == (5_000_001, True)
    assert list(state.iterdir()) == []


def test_a_fingerprint_of_another_length_is_refused(carry: Carry, server: FakeServer) -> None:
    broken_off(carry, server, DATA)
    with pytest.raises(errors.SourceChanged, match="It had 5000001 bytes"):
        carry("upload", DATA[1:], "x", fingerprint="mine")
    assert carry("upload", DATA, "x", fingerprint="mine").resumed_from == 2_500_000


def test_a_stream_that_is_shorter_than_before_is_refused(carry: Carry, server: FakeServer) -> None:
    broken_off(carry, server, generator(DATA))
    with pytest.raises(errors.SourceChanged, match="shorter"):
        carry("upload", generator(DATA[:2_000_000]), "x", fingerprint="mine")


def test_other_bytes_under_the_same_fingerprint_are_found_and_removed(
    carry: Carry, server: FakeServer, state: Path
) -> None:
    broken_off(carry, server, DATA)
    with pytest.raises(errors.DigestMismatch):
        carry("upload", b"\0" + DATA[1:], "x", fingerprint="mine")
    assert (server.uploads, list(state.iterdir())) == ({}, [])


def test_restart_forgets_what_the_fingerprint_stood_for(carry: Carry, server: FakeServer) -> None:
    broken_off(carry, server, DATA)
    result = carry("upload", DATA[::-1], "x", fingerprint="mine", restart=True)
    assert (result.resumed_from, result.verified) == (0, True)
    assert len(server.uploads) == 1


def test_other_settings_under_the_same_fingerprint_are_refused(
    carry: Carry, server: FakeServer
) -> None:
    broken_off(carry, server, DATA)
    with pytest.raises(errors.StateConflict, match="other settings"):
        carry("upload", DATA, "x", fingerprint="mine", metadata={"case": "7"})


def test_an_upload_without_a_path_is_listed_and_forgotten_but_not_resumed_alone(
    carry: Carry, server: FakeServer, state: Path
) -> None:
    broken_off(carry, server, DATA)
    with towpath.Client(server.url, state_dir=state) as client:
        (note,) = client.unfinished()
        assert (note.name, note.path) == ("x", "stream:mine")
        with pytest.raises(errors.StateConflict, match="'mine'"):
            client.resume(note)
        client.forget(note)
        assert client.unfinished() == []
    assert server.uploads == {}
