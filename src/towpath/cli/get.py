"""`towpath get`: download objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from towpath.cli.carry import Job, News, at_once, carry
from towpath.cli.destination import insist_on_words
from towpath.cli.effort import Effort
from towpath.cli.keyfiles import opening_options, opens
from towpath.cli.landing import Folder
from towpath.cli.listed import listed
from towpath.cli.named import insist_on_names
from towpath.cli.options import Caller, limit_option, many_options, transfer_options
from towpath.cli.plan import DRY_RUN, plan_downloads
from towpath.cli.pour import pour
from towpath.cli.same import is_same, looked_up, same_options
from towpath.cli.select import Selecting, rules_given, selection_options
from towpath.client.attributes import apply
from towpath.client.location import local_name
from towpath.client.whole import SMALL
from towpath.errors import NotFound, TowpathError

if TYPE_CHECKING:
    from towpath.client import BlockingTransfer, Client, DownloadResult, NameRecord
    from towpath.codec.keys import Opens


@click.command(cls=Selecting)
@click.argument("names", nargs=-1, required=True, metavar="NAME... [PATH]")
@click.option("--to", "dest", help="Where to, where NAME... [PATH] would be ambiguous.")
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@click.option("--restart", is_flag=True, help="Forget what came before.")
@selection_options
@click.option(
    "--links",
    type=click.Choice(["skip", "keep"]),
    default="skip",
    show_default=True,
    help="Links that were put with --links keep: skip them, or make them anew where they lead to"
    " what lies in the folder.",
)
@click.option("--preserve", is_flag=True, help="Give each file the time and permissions it had.")
@same_options
@many_options
@click.option("--retries", type=click.IntRange(0), default=10, show_default=True, help="In a row.")
@click.option("--no-verify", is_flag=True, help="Compute and compare no checksums.")
@limit_option
@opening_options
@DRY_RUN
@transfer_options
def get(caller: Caller, names: tuple[str, ...], **said: Any) -> int:  # noqa: ANN401 - as click has parsed it
    """Download objects, and folders: NAME/ is all that lies below it.

    PATH is a file or a folder here; the last argument is one if it is a folder that exists, ends
    in /, or begins with ./ or /, and of two arguments if it has no / in it. Bytes go to PATH.part
    until all are here and verified. If it stops, the same command goes on where it was. PATH may be
    - for stdout: then the exit code says whether what was written is the object.
    """
    wanted, path = split_path(names, said["dest"])
    insist_on_names(*wanted)
    if path == "-":
        return _to_stdout(caller, wanted, said)
    folder = path.endswith("/") or Path(path).is_dir()
    if (len(wanted) > 1 or wanted[0].endswith("/")) and not folder:
        raise click.UsageError(f"Several objects go into a folder: {path}/")
    target = f"{path.rstrip('/')}/" if folder else path
    update = said["update"] or said["checksum"]
    filled = Folder(
        target,
        rules_given(said["include"], said["exclude"]),
        keep_links=said["links"] == "keep",
        update=update,
        checksum=said["checksum"],
    )
    if said["dry_run"]:
        return plan_downloads(
            caller,
            lambda client: _planned(client, wanted, filled),
            overwrite=said["overwrite"] or update,
            effort=Effort(limit=said["limit"]),
        )
    if folder:
        Path(target).mkdir(parents=True, exist_ok=True)
    keep = Taking(
        caller=caller,
        overwrite=said["overwrite"] or update,
        restart=said["restart"],
        preserve=said["preserve"],
        retries=said["retries"],
        keys=opens(said, caller.output),
    )
    client = caller.client(
        connections=said["connections"],
        **at_once(said["parallel"], said["connections"], said["total_connections"]),
        retries=said["retries"],
        verify=not said["no_verify"],
        limit=said["limit"],
    )
    return carry(
        client,
        _jobs(client, wanted, filled, keep),
        output=caller.output,
        show=caller.show(),
        parallel=said["parallel"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """How files are taken."""

    caller: Caller
    overwrite: bool
    restart: bool
    preserve: bool  # each gets the time and the permissions that it was sent with
    retries: int
    keys: Sequence[Opens]  # what may open an encrypted one


def _to_stdout(caller: Caller, names: list[str], said: dict[str, Any]) -> int:
    if caller.output.as_json:
        raise click.UsageError("--json is not for stdout: only the bytes go there.")
    keys = opens(said, caller.output)
    client = caller.client(
        retries=said["retries"], verify=not said["no_verify"], limit=said["limit"]
    )
    return pour(client, names, keys=keys, output=caller.output, show=caller.show())


def split_path(names: tuple[str, ...], to: str | None) -> tuple[list[str], str]:
    """What to download, and where to."""
    insist_on_words(*names, to=to)
    wanted = list(names)
    if to is not None:
        return wanted, to
    if len(wanted) > 1:
        last = wanted[-1]
        if last == "-" or Path(last).is_dir() or last.endswith("/") or last.startswith((".", "/")):
            return wanted[:-1], last
        if len(wanted) == 2 and "/" not in last and last != wanted[0]:
            return wanted[:1], last
    return wanted, "./"


def _jobs(client: Client, names: list[str], filled: Folder, keep: Taking) -> Iterator[Job]:
    for name in names:
        if name.endswith("/"):
            nothing: TowpathError | None = NotFound(
                f"The server has nothing below {name}.", todo="`towpath ls` shows names."
            )
            for record in listed(client, name, retries=keep.retries):
                nothing = None
                for path, error in filled.land(name, record):
                    yield _job(record.path, path, record, error, keep)
            if nothing is not None:
                yield _job(name, filled.root, None, nothing, keep)
            continue
        target, known = filled.root, None
        if keep.preserve or filled.update:
            try:
                known = looked_up(client, name, retries=keep.retries)
            except TowpathError as error:
                yield _job(name, target, None, error, keep)
                continue
        path = target if not target.endswith("/") else f"{target}{local_name(name)}"
        if filled.update and known and is_same(known, path, checksum=filled.checksum):
            keep.caller.output.say(f"{name} left out: it is here.")
            continue
        yield _job(name, target, known, None, keep)
    for text in filled.told():
        keep.caller.output.say(text)


def _planned(client: Client, names: list[str], filled: Folder) -> Iterator[tuple[str, str]]:
    for name in names:
        if name.endswith("/"):
            for record in client.names(name):
                path = filled.path_of(name, record)
                if path is not None:
                    yield record.path, path
        else:
            yield name, filled.root


def _job(
    name: str, path: str, record: NameRecord | None, error: TowpathError | None, keep: Taking
) -> Job:
    output = keep.caller.output

    def begin(client: Client, news: News) -> BlockingTransfer[Any]:
        if error is not None:
            raise error
        return client.download(
            name,
            path,
            overwrite=keep.overwrite,
            restart=keep.restart,
            keys=keep.keys,
            known=record,
            progress=news,
        )

    def landed(result: DownloadResult) -> str:
        if keep.preserve and record is not None:
            try:
                apply(record.metadata, result.path)
            except OSError as failure:
                output.say(f"{result.path}: time and permissions stay: {failure.strerror}.")
        return result.path

    output.record("begin", direction="download", name=name)
    small = record is not None and record.length <= SMALL
    return Job(name, begin, landed, small=small)
