"""`towpath put`: upload files, folders, or what comes on stdin.

Rules: a folder is walked as its files are sent, never listed first; links to folders are not
followed, so a walk ends.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from towpath.cli.carry import Begin, Job, News, carry
from towpath.cli.keyfiles import locks, sealing_options
from towpath.cli.options import Caller, Size, limit_option, transfer_options
from towpath.cli.plan import DRY_RUN, plan_uploads
from towpath.cli.queue_put import detach, is_detached, queue_options

if TYPE_CHECKING:
    from towpath.client import BlockingTransfer, Client


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH... [DEST]", type=click.Path())
@click.option("--to", "dest", help="The destination, where PATH... [DEST] would be ambiguous.")
@click.option("--name", help="What to call what comes on stdin (PATH is -).")
@click.option("--meta", multiple=True, metavar="KEY=VALUE", help="Kept with the upload.")
@click.option(
    "--on-conflict",
    type=click.Choice(["keep-both", "replace", "fail"]),
    help="When the name is taken; keep-both by default.",
)
@click.option("--delta", is_flag=True, help="Send only what the file of that name has not.")
@click.option("--restart", is_flag=True, help="Forget what was sent before.")
@click.option("--parallel", type=click.IntRange(1, 64), default=4, show_default=True)
@click.option(
    "--chunk-size", type=Size(), help="Bytes of one request; all that is left by default."
)
@click.option("--retries", type=click.IntRange(0), default=10, show_default=True, help="In a row.")
@click.option("--no-verify", is_flag=True, help="Compute and compare no checksums.")
@limit_option
@queue_options
@sealing_options
@DRY_RUN
@transfer_options
def put(caller: Caller, paths: tuple[str, ...], **said: Any) -> int:  # noqa: ANN401 - as click has parsed it
    """Upload files and folders.

    DEST is a name on the server; `folder/` keeps the files' own names. If it stops, the same
    command goes on where it was. PATH may be - for stdin, with --name. With --delta a file
    replaces the one of its name, and only what has changed is sent.
    """
    sources, dest = split_destination(paths, said["dest"])
    keep: dict[str, Any] = {
        "metadata": metadata(said["meta"]),
        "on_conflict": said["on_conflict"] or "",
        "compress": "auto" if said["compress"] else "no",
        "encrypt": locks(said, caller.output),
    }
    detached = is_detached(said)
    if "-" in sources:
        if detached:
            raise click.UsageError("What comes on stdin cannot be read later: leave --detach out.")
        if said["dry_run"]:
            raise click.UsageError("What comes on stdin is not known before: no --dry-run with -.")
        if said["delta"]:
            raise click.UsageError("What comes on stdin is read once: no --delta with -.")
        if len(sources) > 1 or not (said["name"] or dest):
            raise click.UsageError("Reading stdin: give - alone, and --name for what it is called.")
        caller.output.say("What comes on stdin is read once: if it stops, it cannot be resumed.")
        jobs = iter([_stdin(said["name"] or dest or "", keep)])
    else:
        if said["name"]:
            raise click.UsageError("--name is for stdin; for a file, give the name as DEST.")
        if dest is not None and not said["dest"] and Path(dest).is_dir():
            caller.output.say(f"{dest} is the destination; a folder to upload has no slash.")
        if detached:
            pairs = (pair for source in sources for pair in files(source, dest))
            return detach(caller, pairs, keep, said)
        if said["dry_run"]:
            return plan_uploads(caller, (pair for each in sources for pair in files(each, dest)))
        keep |= {"restart": said["restart"], "delta": said["delta"]}
        if said["delta"]:  # a new version of it
            keep["on_conflict"] = said["on_conflict"] or "replace"
        jobs = _jobs(sources, dest, keep, caller)
    client = caller.client(
        parallel=said["parallel"],
        chunk_size=said["chunk_size"],
        retries=said["retries"],
        verify=not said["no_verify"],
        limit=said["limit"],
    )
    return carry(client, jobs, output=caller.output, show=caller.show(), parallel=said["parallel"])


def split_destination(paths: tuple[str, ...], to: str | None) -> tuple[list[str], str | None]:
    """Sources and destination: the last of several is one if it ends in / or is no file here."""
    sources, dest = list(paths), to
    if to is None and len(sources) > 1:
        last = sources[-1]
        if last.endswith("/") or not os.path.lexists(last):
            dest = sources.pop()
    if dest is not None and not dest.endswith("/") and len(sources) > 1:
        raise click.UsageError(
            f"There is no {dest} here to upload; to put several files into a folder, write {dest}/."
        )
    return sources, dest


def metadata(pairs: tuple[str, ...]) -> dict[str, str]:
    """KEY=VALUE pairs."""
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise click.UsageError(f"--meta {pair}: write KEY=VALUE.")
        found[key] = value
    return found


def files(path: str, dest: str | None) -> Iterator[tuple[str, str]]:
    """Each file below `path` with its name on the server."""
    if not Path(path).is_dir():
        yield path, dest or ""
        return
    own = Path(os.path.abspath(path)).name  # noqa: PTH100 - of a link, its own name
    yield from _walk(path, dest if dest and not dest.endswith("/") else f"{dest or ''}{own}")


def _walk(folder: str, name: str) -> Iterator[tuple[str, str]]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            inside = f"{name}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, inside)
            elif entry.is_file():
                yield entry.path, inside


def _jobs(
    sources: list[str], dest: str | None, keep: dict[str, Any], caller: Caller
) -> Iterator[Job]:
    for source in sources:
        for path, name in files(source, dest):
            caller.output.record("begin", direction="upload", path=path)
            yield Job(path, _begin(path, name, keep), lambda result: str(result.name))


def _begin(path: str, name: str, keep: dict[str, Any]) -> Begin:
    def begin(client: Client, news: News) -> BlockingTransfer[Any]:
        return client.upload(path, name or None, progress=news, **keep)

    return begin


def _stdin(name: str, keep: dict[str, Any]) -> Job:
    def begin(client: Client, news: News) -> BlockingTransfer[Any]:
        return client.upload(sys.stdin.buffer, name, progress=news, **keep)

    return Job(name, begin, lambda result: str(result.name), resumable=False)
