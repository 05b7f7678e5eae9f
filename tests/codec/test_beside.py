"""Names of records: beside their objects, and found again from either side."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.codec.beside import FILE, file_id_of, is_beside, record_name

NAMES = st.lists(st.text("aü (2).", min_size=1, max_size=120), min_size=1, max_size=3)


@pytest.mark.parametrize("name", ["x" * 255, "ü" * 127, "a/" * 300 + "y" * 200, "short.txt"])
def test_the_record_stands_beside_the_object_whatever_it_is_called(name: str) -> None:
    record = record_name(name, bytes(range(16)))
    assert record.endswith(".00010203.keys")
    assert record.rpartition("/")[0] == name.rpartition("/")[0]
    assert len(record.rpartition("/")[2].encode()) <= 255
    assert name.startswith(record.removesuffix(".00010203.keys"))


@given(NAMES, st.binary(min_size=16, max_size=16))
def test_a_record_is_beside_its_object_and_no_other(parts: list[str], file_id: bytes) -> None:
    name = "/".join(parts)
    assert is_beside(record_name(name, file_id), name)
    assert not is_beside(record_name(f"z{name}", file_id), name)
    assert not is_beside(record_name(f"other/{name}", file_id), name)
    assert not is_beside(name, name)


@pytest.mark.parametrize("name", ["x.keys", "x.0001020.keys", "x.000102AB.keys", "x.00010203.key"])
def test_what_has_another_form_is_no_record(name: str) -> None:
    assert not is_beside(name, "x")


def test_an_upload_says_the_id_of_its_file() -> None:
    assert file_id_of({FILE: "00" * 15 + "ff"}) == bytes(15) + b"\xff"


@pytest.mark.parametrize("said", ["", "0" * 31, "0" * 33, "0" * 31 + "A", "g" * 32, 5, None])
def test_what_is_no_id_is_none(said: object) -> None:
    assert file_id_of({FILE: said}) is None
    assert file_id_of({}) is None
