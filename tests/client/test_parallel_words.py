"""What a client says in the dialect of ranges is what the server reads."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl

import pytest

from towpath.client import parallel_words as words
from towpath.core.command import Append, Create
from towpath.core.model import OnConflict
from towpath.protocol import ranges
from towpath.protocol.message import Head

KEY = "0123456789abcdefghijklmnopqrstu"


@pytest.mark.parametrize(
    ("said", "meant"),
    [("", OnConflict.KEEP_BOTH), *((each.value, each) for each in OnConflict)],
)
def test_an_upload_is_described_as_it_is_meant(said: str, meant: OnConflict) -> None:
    body = words.creation(5, "a/b", said, {"note": "ü"})
    command = ranges.parse(Head(method="POST", path="/"), json.loads(body))
    assert isinstance(command, Create)
    new = command.new
    assert (new.length, new.name, new.on_conflict) == (5, "a/b", meant)
    assert json.loads(new.metadata) == {"note": "ü"}


def test_a_range_is_where_it_was_cut() -> None:
    fields = {**words.chunk(3, 8, 20), "content-length": "5"}
    command = ranges.parse(Head(method="PUT", path=f"/{KEY}", fields=fields), {})
    assert isinstance(command, Append)
    write = command.write
    assert (write.offset, write.length, write.declares) == (3, 5, 20)


def test_what_is_missing_is_asked_for_from_a_byte_on() -> None:
    url, _, query = words.look(f"http://h/{KEY}", 7).partition("?")
    command = ranges.parse(Head(method="GET", path=f"/{KEY}"), dict(parse_qsl(query)))
    assert url == f"http://h/{KEY}"
    assert command == ranges.Look(key=KEY, after=7)
