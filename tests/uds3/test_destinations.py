"""Where a file is to go: names, folders, files of this machine; and URLs that lead nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from towpath import errors
from towpath.uds3.destinations import address_of, target_of


@pytest.mark.parametrize(
    ("destination", "address"),
    [
        ("documents/2024/", "documents/2024/x.pdf"),
        ("storage/documents/y.pdf", "storage/documents/y.pdf"),
        ("./y.pdf", "y.pdf"),
        ("./", "x.pdf"),
    ],
)
def test_a_name_is_a_name_here_and_there(destination: str, address: str) -> None:
    assert address_of(destination, "x.pdf", in_process=True) == address
    assert address_of(destination, "x.pdf", in_process=False) == address


def test_a_path_from_the_root_is_a_file_here_and_a_name_at_a_server(tmp_path: Path) -> None:
    wanted = (tmp_path / "a b.pdf").as_uri()
    assert address_of(str(tmp_path / "a b.pdf"), "x", in_process=True) == wanted
    assert address_of(wanted, "x", in_process=True) == wanted
    assert address_of(f"{tmp_path}/", "x.pdf", in_process=True) == (tmp_path / "x.pdf").as_uri()
    assert address_of(str(tmp_path), "x.pdf", in_process=True) == (tmp_path / "x.pdf").as_uri()
    assert address_of("/documents/", "x.pdf", in_process=False) == "documents/x.pdf"


@pytest.mark.parametrize(
    "destination",
    ["couchdb://documents/doc_12345/attachment", "s3://bucket/x", "file://elsewhere/x"],
)
def test_a_store_that_is_not_there_is_refused(destination: str) -> None:
    with pytest.raises(errors.SettingsError):
        address_of(destination, "x.pdf", in_process=True)


def test_a_server_writes_no_file_of_this_machine() -> None:
    with pytest.raises(errors.SettingsError, match="A server does not write"):
        address_of("file:///srv/x", "x.pdf", in_process=False)


@pytest.mark.parametrize("destination", ["", "a/../b", "file://"])
def test_what_cannot_be_a_destination_is_refused(destination: str) -> None:
    with pytest.raises(errors.Malformed):
        address_of(destination, "x.pdf", in_process=True)


def test_a_download_goes_to_a_file_or_into_a_folder(tmp_path: Path) -> None:
    assert target_of(str(tmp_path / "y"), "a/x.pdf") == tmp_path / "y"
    assert target_of(str(tmp_path), "a/x.pdf") == tmp_path / "x.pdf"
    assert target_of(f"{tmp_path}/new/", "x.pdf") == tmp_path / "new" / "x.pdf"
    with pytest.raises(errors.Malformed):
        target_of(f"{tmp_path}/", "..")
