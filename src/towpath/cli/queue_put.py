"""`towpath put --detach`: the files go into the queue, and the command is done.

Rules: a job says all that a process needs that knows nothing of this one, but no secret; an option
that the queue does not know is refused, not forgotten.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

import click
from click.core import ParameterSource

from towpath.cli.exits import OK, PARTLY
from towpath.cli.options import Caller
from towpath.errors import LimitReached, SettingsError, TowpathError

if TYPE_CHECKING:
    from towpath.cli.put import Sending
    from towpath.cli.select import Found
    from towpath.client.queue import Job

_F = TypeVar("_F", bound=Callable[..., Any])
_QUEUE = {"detach", "priority", "at", "dry_run"}
_FILES = {
    "paths",
    "files_from",
    "from0",
    "dest",
    "meta",
    "on_conflict",
    "restart",
    "delta",
    "preserve",
    "no_verify",
}
_CHOICE = {"include", "exclude", "links", "update", "checksum"}  # of what is queued
_KEYS = ("key_file", "recipient", "passphrase_file")  # which nobody has to be asked for
_CODING = {"compress", "encrypt", *_KEYS}
_WAYS = {"parallel", "connections", "chunk_size", "retries", "limit", "url", "token_file", "ca"}
_REACH = {"cert", "cert_key", "proxy"}
_KEPT = _FILES | _CHOICE | _CODING | _WAYS | _REACH
_SHOWN = {"as_json", "debug", "name"}  # say nothing of the upload itself
_WHY = {
    "passphrase_env": "the queue outlives this shell. Name a file: --passphrase-file",
    "verify": "nobody waits to hear of it. Later `towpath verify NAME PATH` compares",
    "progress": "`towpath transfers` shows how far files of the queue are",
}


class Moment(click.ParamType[float]):
    """A time to come: 23:30, or 2026-12-24T18:00. Seconds since 1970."""

    name = "time"

    def convert(
        self,
        value: Any,  # noqa: ANN401 - as click hands it over
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        if isinstance(value, float):
            return value
        try:
            return moment(value, datetime.now(UTC).astimezone())
        except ValueError:
            self.fail(f"{value!r} is no time; write 23:30 or 2026-12-24T18:00", param, ctx)


def moment(text: str, now: datetime) -> float:
    """A local time as seconds since 1970; without a date the next such time. Raises ValueError."""
    if len(text) <= 5:
        clock = datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007 - a time of the day
        day = now.date() if clock > now.time() else now.date() + timedelta(days=1)
        return datetime.combine(day, clock).timestamp()
    return datetime.fromisoformat(text).timestamp()


def queue_options(command: _F) -> _F:
    """--detach, --priority and --at."""
    for option in (
        click.option(
            "--at", type=Moment(), metavar="TIME", help="With --detach: not before 23:30."
        ),
        click.option(
            "--priority",
            type=click.IntRange(-1000, 1000),
            metavar="N",
            help="With --detach: higher goes first; 0 by default.",
        ),
        click.option(
            "--detach", is_flag=True, help="Upload in the background, after this command."
        ),
    ):
        command = option(command)
    return command


def is_detached(said: dict[str, Any]) -> bool:
    """Whether the files go into the queue. Raises UsageError for what makes no sense."""
    if not said["detach"]:
        if said["priority"] is not None or said["at"] is not None:
            raise click.UsageError("--priority and --at are for the queue: add --detach.")
        return False
    context = click.get_current_context()
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        given = source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
        if given and name not in _QUEUE | _KEPT | _SHOWN:
            why = f": {_WHY[name]}" if name in _WHY else ""
            raise click.UsageError(f"{parameter.opts[0]} does not go with --detach{why}.")
    if said["encrypt"] and not any(said[name] for name in _KEYS):
        raise click.UsageError(
            "With --detach nobody is asked for a passphrase: give --key-file, --recipient or"
            " --passphrase-file."
        )
    return True


def detach(caller: Caller, sources: Iterable[Found], keep: Sending, said: dict[str, Any]) -> int:
    """Queue files, and see to it that somebody carries them."""
    from towpath.cli.queue_runner import queue_folder, rouse
    from towpath.client.queue import MOST, Queue

    queue, maker = Queue(queue_folder()), _Maker(caller, keep, said)
    room, queued = queue.room, 0
    failed: list[int] = []
    for found in sources:
        try:
            if queued >= room:
                raise LimitReached(
                    "The queue is full.",
                    why=f"It holds {MOST} jobs.",
                    todo="Wait for some of them, or upload without --detach.",
                )
            job = queue.add(maker.job(found))
        except TowpathError as error:
            failed.append(caller.output.error(error, about=found.path))
            if isinstance(error, LimitReached):
                break
            continue
        queued += 1
        caller.output.record(
            "queued", id=job.id, path=job.path, name=job.name, priority=job.priority
        )
        caller.output.line(job.id)
    rouse(queue)
    if queued:
        files = "1 file is" if queued == 1 else f"{queued} files are"
        how = "how it goes" if queued == 1 else "how they go"
        caller.output.say(f"{files} in the queue; `towpath transfers` shows {how}.")
    if not failed:
        return OK
    return PARTLY if queued else failed[0]


class _Maker:
    """Makes jobs of the files that one command names."""

    def __init__(self, caller: Caller, keep: Sending, said: dict[str, Any]) -> None:
        """Raises SettingsError for what would not outlive this command."""
        from towpath.client import surroundings
        from towpath.client.dial import split

        split(caller.url)
        self._metadata = keep.metadata
        if caller.token_file is None and surroundings.token():
            raise SettingsError(
                "The token is only in this shell, which the queue outlives.",
                why="TOWPATH_TOKEN holds it.",
                todo="Keep it with `towpath login`, or in a file for --token-file.",
            )
        if caller.proxy and "@" in caller.proxy:
            raise SettingsError(
                "The password of the proxy would be written down.",
                why="A job in the queue keeps the proxy that was named.",
                todo="Name it in HTTPS_PROXY, which the queue is started with.",
            )
        self._common = {
            "batch": uuid4().hex[:12],
            "server": caller.url if caller.url.endswith("/") else f"{caller.url}/",
            "on_conflict": keep.on_conflict,
            "restart": keep.restart,
            "delta": keep.delta,
            "preserve": keep.preserve,
            "update": keep.update,
            "checksum": keep.checksum,
            "compress": said["compress"],
            "key_files": tuple(map(os.path.abspath, said["key_file"])),
            "recipients": tuple(map(os.path.abspath, said["recipient"])),
            "passphrase_file": _absolute(said["passphrase_file"]),
            "verify": not said["no_verify"],
            "parallel": said["parallel"],
            "connections": said["connections"],
            "chunk_size": said["chunk_size"],
            "retries": said["retries"],
            "limit": said["limit"] or surroundings.speed_limit(),
            "token_file": _absolute(caller.token_file),
            "ca": _absolute(caller.ca),
            "cert": _absolute(caller.cert),
            "cert_key": _absolute(caller.cert_key),
            "proxy": caller.proxy,
            "priority": said["priority"] or 0,
            "not_before": said["at"] or 0.0,
        }

    def job(self, found: Found) -> Job:
        """The job for one file. Raises what is wrong with it."""
        from towpath.client.attributes import LINK
        from towpath.client.location import absolute, name_for
        from towpath.client.opened import open_source
        from towpath.client.progress import Direction
        from towpath.client.queue import Job
        from towpath.client.resume import transfer_id

        if found.error is not None:
            raise found.error
        here = absolute(found.path)
        if found.link is None:
            open_source(here).close()
        there = name_for(found.name or None, Path(here).name)
        link = {} if found.link is None else {LINK: found.link}
        return Job(
            id=transfer_id(Direction.UPLOAD, self._common["server"], there, here),
            path=here,
            name=there,
            size=0 if link else Path(here).stat().st_size,
            unless_there=not found.anyway,
            link=bool(link),
            metadata=self._metadata | link,
            created_at=time.time(),
            **self._common,
        )


def _absolute(path: str | None) -> str | None:
    return None if path is None else os.path.abspath(path)  # noqa: PTH100 - links are kept
