"""`towpath get`: download objects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from towpath.cli.carry import Begin, Job, News, carry
from towpath.cli.keyfiles import opening_options, opens
from towpath.cli.options import Caller, limit_option, transfer_options
from towpath.cli.plan import DRY_RUN, plan_downloads

if TYPE_CHECKING:
    from towpath.client import BlockingTransfer, Client


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME... [PATH]")
@click.option("--to", "dest", help="Where to, where NAME... [PATH] would be ambiguous.")
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@click.option("--restart", is_flag=True, help="Forget what came before.")
@click.option("--parallel", type=click.IntRange(1, 64), default=4, show_default=True)
@click.option("--retries", type=click.IntRange(0), default=10, show_default=True, help="In a row.")
@click.option("--no-verify", is_flag=True, help="Compute and compare no checksums.")
@limit_option
@opening_options
@DRY_RUN
@transfer_options
def get(caller: Caller, names: tuple[str, ...], **said: Any) -> int:  # noqa: ANN401 - as click has parsed it
    """Download objects.

    PATH is a file or a folder here; the last argument is one if it is a folder that exists, ends
    in /, or begins with ./ or /. Bytes go to PATH.part until all are here and verified. If it
    stops, the same command goes on where it was.
    """
    wanted, path = split_path(names, said["dest"])
    folder = path.endswith("/") or Path(path).is_dir()
    if len(wanted) > 1 and not folder:
        raise click.UsageError(f"Several objects go into a folder: {path}/")
    target = f"{path.rstrip('/')}/" if folder else path
    if said["dry_run"]:
        return plan_downloads(caller, wanted, target, overwrite=said["overwrite"])
    if folder:
        Path(target).mkdir(parents=True, exist_ok=True)
    keep = {
        "overwrite": said["overwrite"],
        "restart": said["restart"],
        "keys": opens(said, caller.output),
    }
    client = caller.client(
        parallel=said["parallel"],
        retries=said["retries"],
        verify=not said["no_verify"],
        limit=said["limit"],
    )
    return carry(
        client,
        _jobs(wanted, target, keep, caller),
        output=caller.output,
        show=caller.show(),
        parallel=said["parallel"],
    )


def split_path(names: tuple[str, ...], to: str | None) -> tuple[list[str], str]:
    """What to download, and where to."""
    wanted = list(names)
    if to is not None:
        return wanted, to
    if len(wanted) > 1:
        last = wanted[-1]
        if Path(last).is_dir() or last.endswith("/") or last.startswith((".", "/")):
            return wanted[:-1], last
        if len(wanted) == 2 and "/" not in last and last != wanted[0]:
            return wanted[:1], last
    return wanted, "./"


def _jobs(names: list[str], target: str, keep: dict[str, Any], caller: Caller) -> Iterator[Job]:
    for name in names:
        caller.output.record("begin", direction="download", name=name)
        yield Job(name, _begin(name, target, keep), lambda result: str(result.path))


def _begin(name: str, target: str, keep: dict[str, Any]) -> Begin:
    def begin(client: Client, news: News) -> BlockingTransfer[Any]:
        return client.download(name, target, progress=news, **keep)

    return begin
