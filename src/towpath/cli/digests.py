"""`towpath hash` and `verify`: digests of files here, held against what the server has.

Rules: a file is read once for all digests, block by block; digests are written as the server writes
them: algorithms as RFC 9530 names them, values in hexadecimal.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from towpath.cli.exits import OK, PARTLY
from towpath.cli.keyfiles import opening_options, opens
from towpath.cli.named import SERVER_NAME
from towpath.cli.options import Caller, caller_options, output_options
from towpath.cli.output import Output
from towpath.errors import (
    BadAnswer,
    DigestMismatch,
    NotFound,
    StoreLost,
    TowpathError,
    TransferError,
)

if TYPE_CHECKING:
    from towpath.client.peer import Peer

ALGORITHMS = ("crc64nvme", "sha-256", "sha-512", "sha", "md5", "crc32c", "crc32")
_USUAL = ("crc64nvme", "sha-256")
_BLOCK = 1024 * 1024
_RETRIES = 10  # in a row
_ESCAPED = str.maketrans({"\\": r"\\", "\n": r"\n", "\r": r"\r"})


@click.command("hash")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path())
@click.option(
    "-a",
    "--algorithm",
    "algorithms",
    type=click.Choice(ALGORITHMS),
    multiple=True,
    help="May be given again; crc64nvme and sha-256 by default.",
)
@output_options
def hash_files(output: Output, paths: tuple[str, ...], algorithms: tuple[str, ...]) -> int:
    """Print digests of files here, as the server says them.

    With one --algorithm a line is what sha256sum and its like print and read; with several the
    algorithm stands before it.
    """
    wanted = algorithms or _USUAL
    codes = []
    for path in paths:
        try:
            length, found = digests_of(path, wanted)
        except TowpathError as error:
            codes.append(output.error(error, about=path))
            continue
        output.record("digests", path=path, length=length, digests=found)
        for name, value in found.items():
            output.as_named(_line(path, value if len(wanted) == 1 else f"{name:<9}  {value}"))
    return _code(codes, len(paths))


@click.command()
@click.argument("name", type=SERVER_NAME)
@click.argument("path", default="", type=click.Path())
@click.option("--read", is_flag=True, help="Read what is stored, and compare that.")
@opening_options
@caller_options
def verify(caller: Caller, name: str, path: str, read: bool, **said_of_keys: Any) -> None:  # noqa: ANN401 - as click has parsed it
    """Hold the file PATH against what the server has under NAME.

    Compares length and every digest that the server knows. Without PATH it tells whether the
    server has found the object damaged; --read fetches all of its bytes, keeps none, and compares
    them with the digest. Exit code 6: they differ. Of a compressed file, and of an encrypted one
    with its key, the file itself is compared; else what is stored.
    """
    if path and read:
        raise click.UsageError("--read is for what is stored; it goes without PATH.")
    from towpath.client.coded_peer import Decoding

    keys = opens(said_of_keys, caller.output)
    peer = Decoding(caller.peer(), keys, sealed=bool(keys))
    try:
        said = _facts(peer, name)
        if path:
            how = _compare(name, path, said)
        elif read:
            how = _read(peer, name)
        else:
            how = {}
    finally:
        peer.done_with()
    caller.output.record(
        "verified", name=name, path=path or None, length=said["length"], digests=how
    )
    for algorithm, value in how.items():
        caller.output.line(f"{algorithm:<9}  {value}  {name}")
    caller.output.say(_verdict(name, path, read=read))


def _verdict(name: str, path: str, *, read: bool) -> str:
    if path:
        return f"{path} is what the server has as {name}."
    if read:
        return f"The bytes of {name} are those of its digest."
    return f"The server knows of no damage to {name}. It was not read: --read does that."


def _facts(peer: Peer, name: str) -> dict[str, Any]:
    """Length and digests that the server knows. Raises NotFound, StoreLost for a damaged one."""
    from towpath.client.peer import expect
    from towpath.core.digest import parse_digests

    record = expect(peer.ask("GET", peer.api("names", name), again=True), api=True).json()
    length, href = record.get("length"), record.get("href")
    if not isinstance(length, int) or not isinstance(href, str):
        raise BadAnswer("The server's answer lacks a field.")
    if record.get("damaged"):
        raise StoreLost(
            f"{name} is damaged on the server.",
            why="Its stored bytes are not those that came.",
            todo="Remove it and upload it again.",
        )
    known = {key: str(value) for key, value in dict(record.get("digests") or {}).items()}
    head = peer.ask("HEAD", peer.address(href), again=True)
    if head.ok:  # who may list but not read sees only the record
        told = parse_digests(head.fields.get("repr-digest", ""))
        known |= {key: value.hex() for key, value in told.items()}
    return {"length": length, "digests": {k: v for k, v in known.items() if k in ALGORITHMS}}


def _compare(name: str, path: str, said: Mapping[str, Any]) -> dict[str, str]:
    """The digests that agree. Raises DigestMismatch."""
    here = _size(path)
    if here != said["length"]:
        raise _differs(path, name, f"It has {here} bytes here and {said['length']} there.")
    _, found = digests_of(path, tuple(said["digests"]))
    for algorithm, value in said["digests"].items():
        if found[algorithm] != value:
            raise _differs(
                path, name, f"Its {algorithm} is {found[algorithm]} here and {value} there."
            )
    return found


def _read(peer: Peer, name: str) -> dict[str, str]:
    """The digest of all bytes that are stored. Raises DigestMismatch."""
    from towpath.client.control import Control
    from towpath.client.reading import Reading
    from towpath.client.retry import Patience

    reading = Reading(peer, name, Control(), lambda: Patience(_RETRIES), whole=True)
    block = memoryview(bytearray(_BLOCK))
    try:
        while reading.take(block):
            pass
    except DigestMismatch as error:
        raise DigestMismatch(
            f"What is stored as {name} is not what came.", why=error.why, todo="Upload it again."
        ) from error
    return {"crc64nvme": f"{reading.crc:016x}"}


def _differs(path: str, name: str, why: str) -> DigestMismatch:
    return DigestMismatch(
        f"{path} is not what the server has as {name}.",
        why=why,
        todo="Send the one or fetch the other again.",
    )


def digests_of(path: str, algorithms: tuple[str, ...]) -> tuple[int, dict[str, str]]:
    """Length and digests of a file. Raises NotFound, TransferError."""
    from towpath.core.digest import hasher

    hashers = {name: hasher(name) for name in algorithms}
    block = memoryview(bytearray(_BLOCK))
    length = 0
    with _reading(path), open(path, "rb", buffering=0) as file:  # noqa: PTH123 - raw reads
        while taken := file.readinto(block):
            length += taken
            for each in hashers.values():
                each.update(block[:taken])
    return length, {name: each.digest().hex() for name, each in hashers.items()}


def _size(path: str) -> int:
    with _reading(path):
        return Path(path).stat().st_size


@contextmanager
def _reading(path: str) -> Iterator[None]:
    """Say what is wrong with a file in our words."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {path}.", todo="Check the path.") from error
    except OSError as error:
        why = f"{error.strerror or os.strerror(error.errno or 0)}."
        raise TransferError(f"{path} cannot be read.", why=why) from error


def _line(path: str, value: str) -> str:
    """A file and its digest as sha256sum writes them: one line, whatever the file is called."""
    escaped = path.translate(_ESCAPED)
    return f"{value}  {path}" if escaped == path else f"\\{value}  {escaped}"


def _code(codes: list[int], count: int) -> int:
    if not codes:
        return OK
    return codes[0] if len(codes) == count and len(set(codes)) == 1 else PARTLY
