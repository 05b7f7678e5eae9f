"""When a file was changed, as its sender said: told of its name, and never a fault."""

from __future__ import annotations

import json
import secrets

import pytest

from tests.web.ranging import Ranger
from tests.web.running import Served
from tests.web.talk import Tus, metadata


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"mtime": "1700000000123"}, "2023-11-14T22:13:20.123Z"),
        ({"mtime": 0}, "1970-01-01T00:00:00.000Z"),
        ({"mtime": -1}, "1969-12-31T23:59:59.999Z"),
        ({}, None),
        ({"mtime": "yesterday"}, None),
        ({"mtime": [1]}, None),
        ({"mtime": 10**30}, None),
        ({"mtime": "9" * 5000}, None),
        (None, None),
    ],
)
def test_a_name_tells_what_json_said_of_the_time(
    direct: Served, said: dict[str, object] | None, told: str | None
) -> None:
    ranger, name = Ranger(direct), secrets.token_hex(8)
    ranger.new(0, name=name, metadata="" if said is None else json.dumps(said))
    assert ranger.ask("GET", f"/api/v1/names/{name}").document["modified_at"] == told


@pytest.mark.parametrize(("said", "told"), [("5", "1970-01-01T00:00:00.005Z"), ("", None)])
def test_a_name_tells_what_tus_said_of_the_time(direct: Served, said: str, told: str) -> None:
    name = secrets.token_hex(8)
    Tus(direct).put(b"x", **{"Upload-Metadata": metadata(name=name, mtime=said)})
    answer = Ranger(direct).ask("GET", f"/api/v1/names?prefix={name}")
    assert [each["modified_at"] for each in answer.document["names"]] == [told]
