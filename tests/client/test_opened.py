"""What has no length is not uploaded by its path: an empty object would be made of it."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from tests.client.conftest import Carry
from tests.client.fake import FakeServer
from towpath import errors
from towpath.client.opened import open_source


def test_a_file_is_opened_from_its_beginning(tmp_path: Path) -> None:
    for data in (b"", b"three words here"):
        (tmp_path / "a").write_bytes(data)
        with open_source(str(tmp_path / "a")) as file:
            assert file.read() == data


@pytest.mark.parametrize("way", [{}, {"delta": True}, {"compress": "auto"}], ids=str)
def test_a_pipe_is_refused_with_what_to_do(
    carry: Carry, server: FakeServer, tmp_path: Path, way: dict[str, object]
) -> None:
    os.mkfifo(tmp_path / "pipe")  # nobody writes to it: opening it would wait
    with pytest.raises(errors.Malformed, match=r"no regular file.*put - NAME"):
        carry("upload", tmp_path / "pipe", **way)
    assert server.uploads == {}


def test_what_a_shell_hands_over_is_refused(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    threading.Thread(target=os.close, args=(writing,)).start()
    try:
        with pytest.raises(errors.Malformed, match="no regular file"):
            open_source(f"/dev/fd/{reading}")
    finally:
        os.close(reading)


@pytest.mark.parametrize("path", ["/dev/zero", "/proc/self/maps"])
def test_what_the_system_makes_is_refused(path: str) -> None:
    with pytest.raises(errors.Malformed):
        open_source(path)


def test_a_folder_and_what_is_not_there_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(errors.Malformed, match="is a folder"):
        open_source(str(tmp_path))
    with pytest.raises(errors.NotFound):
        open_source(str(tmp_path / "nothing"))


def test_a_file_that_cannot_be_looked_at_is_closed_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"three words here")
    asked: list[int] = []

    def broken(handle: int) -> os.stat_result:
        asked.append(handle)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fstat", broken)
    with pytest.raises(errors.TransferError, match=r"cannot be read.*Input/output error") as raised:
        open_source(str(tmp_path / "a"))
    monkeypatch.undo()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(asked[0])  # it is closed, though the error still knows of it
    assert raised.value.__cause__ is not None
