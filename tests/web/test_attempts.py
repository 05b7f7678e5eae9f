"""A creation of a small file that is sent again under the same mark, over real sockets."""

from __future__ import annotations

import hashlib
import secrets
from base64 import b64encode

import pytest

from tests.web.running import Served
from tests.web.talk import Answer, Tus, metadata, require_problem

FIRST, OTHER = b"the first file" * 100, b"another one..." * 100


def sent(served: Served, data: bytes, name: str, rule: str, *, mark: str = "1") -> Answer:
    """A file in one request, with its digest, as our client does."""
    digest = b64encode(hashlib.sha256(data).digest()).decode()
    said = metadata(name=name, on_conflict=rule, attempt=mark)
    return Tus(served).create(
        len(data), data, upload_metadata=said, upload_checksum=f"sha256 {digest}"
    )


def listed(served: Served, name: str) -> list[str]:
    answer = Tus(served).ask("GET", f"/api/v1/names?prefix={name}")
    return [each["path"] for each in answer.document["names"]]


@pytest.mark.parametrize("rule", ["keep-both", "replace", "fail"])
@pytest.mark.parametrize("other", [OTHER, OTHER[1:], FIRST + b"."], ids=["same", "less", "more"])
def test_two_files_under_one_mark_are_not_taken_for_one(
    direct: Served, rule: str, other: bytes
) -> None:
    name = secrets.token_hex(8)
    first = sent(direct, FIRST, name, rule)
    require_problem(sent(direct, other, name, rule), 409, "state-conflict")
    again = sent(direct, FIRST, name, rule)
    assert (again.status, again.fields["location"]) == (201, first.fields["location"])
    assert Tus(direct).ask("GET", first.fields["location"]).body == FIRST
    assert listed(direct, name) == [name]


def test_each_file_with_a_mark_of_its_own_is_kept(direct: Served) -> None:
    name = secrets.token_hex(8)
    assert sent(direct, FIRST, name, "keep-both").status == 201
    answer = sent(direct, OTHER, name, "keep-both", mark="2")
    assert Tus(direct).ask("GET", answer.fields["location"]).body == OTHER
    assert listed(direct, name) == [name, f"{name} (2)"]
