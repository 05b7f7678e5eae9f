"""PATCH /api/v1/names/{path}: a name becomes another."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.web.running import House, Served
from tests.web.talk import Answer, Tus, metadata, require_problem
from tests.web.tokens import token, write_tokens


def unique(name: str) -> str:
    return f"{name}-{time.monotonic_ns()}"


def move(who: Tus, name: str, /, **said: Any) -> Answer:
    return who.ask("PATCH", f"/api/v1/names/{quote(name)}", {}, json.dumps(said).encode())


def put(who: Tus, name: str, content: bytes = b"abc") -> str:
    return who.put(content, upload_metadata=metadata(name=name)).rpartition("/")[2]


def test_a_name_is_moved_and_its_object_stays(served: Served) -> None:
    tus = Tus(served)
    old, new = unique("old/ü"), unique("new/name")
    key = put(tus, old)
    answer = move(tus, old, path=new)
    assert (answer.status, answer.document) == (200, {"path": new, "id": key, "version": 1})
    assert tus.ask("GET", f"/api/v1/names/{new}").document["id"] == key
    assert tus.ask("GET", f"/files/{key}").body == b"abc"
    require_problem(tus.ask("GET", f"/api/v1/names/{quote(old)}"), 404, "not-found")
    require_problem(move(tus, old, path=new), 404, "not-found")


def test_a_name_that_is_taken_is_refused_replaced_or_kept_beside(direct: Served) -> None:
    tus = Tus(direct)
    first, second, third = unique("1"), unique("2"), unique("3")
    keys = [put(tus, name) for name in (first, second, third)]
    require_problem(move(tus, first, path=third), 409, "name-conflict")
    kept = move(tus, first, path=third, on_conflict="keep-both").document
    assert (kept["path"], kept["id"]) == (f"{third} (2)", keys[0])
    replaced = move(tus, second, path=third, on_conflict="replace").document
    assert (replaced["path"], replaced["id"], replaced["version"]) == (third, keys[1], 2)
    require_problem(tus.ask("GET", f"/files/{keys[2]}"), 404)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"path": ""},
        {"path": None},
        {"path": ["a"]},
        {"path": "a/../b"},
        {"path": "a", "on_conflict": "overwrite"},
        {"path": "a", "on_conflict": 7},
    ],
)
def test_what_cannot_be_meant_is_refused(direct: Served, said: dict[str, Any]) -> None:
    tus = Tus(direct)
    name = unique("stays")
    put(tus, name)
    require_problem(move(tus, name, **said), 400, "malformed")
    assert tus.ask("GET", f"/api/v1/names/{name}").status == 200


def test_only_who_may_write_and_remove_moves_and_only_below_its_prefix(
    house: House, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file: Path = tmp_path_factory.getbasetemp() / "moving-tokens.toml"
    guarded = house.get("direct", tokens=write_tokens(file))
    who = {name: Tus(guarded, token=token(name)) for name in ("alice", "bob", "reader", "team")}
    inside, outside = unique("team/in"), unique("out")
    put(who["alice"], outside)
    put(who["team"], inside)
    require_problem(move(Tus(guarded), outside, path="x"), 401)
    require_problem(move(who["reader"], outside, path="x"), 403)
    require_problem(move(who["bob"], outside, path="x"), 404)
    require_problem(move(who["team"], outside, path="team/x"), 404)
    require_problem(move(who["team"], inside, path=unique("x")), 403)
    assert move(who["team"], inside, path=unique("team/x")).status == 200
    assert who["alice"].ask("GET", f"/api/v1/names/{outside}").status == 200


def test_the_server_tells_a_caller_what_it_may(
    house: House, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file: Path = tmp_path_factory.getbasetemp() / "moving-tokens.toml"
    guarded = house.get("direct", tokens=write_tokens(file))
    for name, scopes, prefix in (
        ("reader", ["list", "read"], ""),
        ("team", ["list", "read", "remove", "write"], "team/"),
    ):
        told = Tus(guarded, token=token(name)).ask("GET", "/api/v1/server").document["caller"]
        assert (told["scopes"], told["prefix"], told["tenant"]) == (scopes, prefix, "red")
