"""From `NAME.part` to NAME: what may be there before, and how a file gets its name at last.

Rules: nothing is replaced unless that was asked for; what gets the name is the file that the bytes
came into, and no other.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from towpath.client.sealed import sync_folder
from towpath.errors import NameConflict, TransferError


def refuse_existing(target: Path, *, overwrite: bool) -> None:
    """Raise NameConflict if a download may not have that name."""
    try:
        mode = target.stat().st_mode
    except OSError:  # there is none; or else opening the part will say what is wrong
        return
    if not stat.S_ISREG(mode):
        raise NameConflict(
            f"{target} is there, and is no regular file.",
            why="A download would take its place.",
            todo="Say FOLDER/ to fill a folder, and - to write to a pipe or a device.",
        )
    if not overwrite:
        raise NameConflict(
            f"{target} exists.",
            why="A download replaces nothing by itself.",
            todo="Choose another path, or say so (--overwrite).",
        )


def insist_on(part: Path, came: os.stat_result) -> None:
    """Raise TransferError if what lies there now is not the file that the bytes came into."""
    try:
        same = os.path.samestat(part.stat(), came)
    except FileNotFoundError:
        same = False
    if not same:
        raise TransferError(
            f"{part} is not the file that was downloaded.",
            why="Somebody removed it meanwhile, or put another one in its place.",
            todo="Download it again.",
        )


def give_name(part: Path, target: Path, *, overwrite: bool) -> None:
    """Give the file its name, for good. Raises NameConflict if it is taken by now."""
    try:
        if overwrite:
            part.replace(target)
        elif os.name == "nt":
            part.rename(target)
        else:
            _rename_to_free(part, target)
    except FileExistsError as error:
        raise NameConflict(
            f"{target} exists now.",
            why="It came up while the download ran.",
            todo=f"The bytes are whole and verified in {part}.",
        ) from error
    sync_folder(target.parent)


def _rename_to_free(part: Path, target: Path) -> None:
    """Rename, but raise FileExistsError when the name is taken."""
    try:
        os.link(part, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if target.exists():
            raise FileExistsError(target) from None
        part.rename(target)
    else:
        part.unlink()
