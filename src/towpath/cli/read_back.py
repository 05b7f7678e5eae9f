"""`put --verify`: what was sent is read back from the server, and held against the file.

Rules: every byte that the server has stored comes back and is compared with the file as it is on
the disk now; nothing is kept of it. A file is proven when its upload is done, beside other uploads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from towpath.errors import DigestMismatch

if TYPE_CHECKING:
    from towpath.cli.carry import Begin, News
    from towpath.client import BlockingTransfer, Client, DownloadResult
    from towpath.codec.keys import Locks, Opens

_F = TypeVar("_F", bound=Callable[..., Any])


def proof_options(command: _F) -> _F:
    """--verify and --no-verify, which are two things."""
    for option in (
        click.option("--no-verify", is_flag=True, help="Compute and compare no checksums."),
        click.option(
            "--verify",
            is_flag=True,
            help="Read each file back from the server when it is there, and compare all bytes.",
        ),
    ):
        command = option(command)
    return command


def check_proof(said: dict[str, Any], *, stdin: bool) -> None:
    """Raises UsageError for what cannot be read back or compared."""
    if not said["verify"]:
        return
    if stdin:
        raise click.UsageError("What comes on stdin is read once: no --verify with -.")
    if said["no_verify"]:
        raise click.UsageError("--verify and --no-verify are contrary: leave one of them out.")
    if said["dry_run"]:
        raise click.UsageError("Nothing is sent that could be read back: no --verify here.")
    secret = ("encrypt", "key_file", "passphrase_file", "passphrase_env")
    if said["recipient"] and not any(said[name] for name in secret):
        raise click.UsageError(
            "What only a --recipient can open cannot be read back: leave --verify out, or give a"
            " key of yours, too."
        )


class Compared:
    """Takes the bytes of an object in order. Raises DigestMismatch where the file has others."""

    def __init__(self, path: str, name: str) -> None:
        self._path, self._name = path, name
        self._at = 0  # bytes that are the same

    def __call__(self, block: memoryview) -> None:
        """The next bytes."""
        with FileIO(self._path) as file:  # opened each time: nobody says when it is given up
            file.seek(self._at)
            while block:
                here = file.read(len(block))
                if not here or here != block[: len(here)]:
                    raise self._differs()
                self._at += len(here)
                block = block[len(here) :]

    def flush(self) -> None:
        """Those were all."""
        if Path(self._path).stat().st_size != self._at:
            raise self._differs()

    def _differs(self) -> DigestMismatch:
        return DigestMismatch(
            f"{self._path} is not what the server has as {self._name}.",
            why=f"Read back, they differ at or soon after byte {self._at}.",
            todo="If the file has changed meanwhile, send it again; else look after the server's"
            " disk: its `towpath doctor` helps.",
        )


def read_back(path: str, encrypt: Sequence[Locks]) -> Callable[[Any], Begin]:
    """How the upload of a file is proven, when it has its result.

    `encrypt`: whom it was encrypted for; those who can open it do so.
    """

    def proof(result: Any) -> Begin:  # noqa: ANN401 - an UploadResult
        def begin(client: Client, news: News) -> BlockingTransfer[DownloadResult]:
            keys = [cast("Opens", key) for key in encrypt if hasattr(key, "unwrap")]
            compared = Compared(path, result.name)
            return client.download(result.name, compared, keys=keys, progress=news)

        return begin

    return proof
