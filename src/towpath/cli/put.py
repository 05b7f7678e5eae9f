"""`towpath put`: upload files, folders, or what comes on stdin.

Rules: a folder is walked as its files are sent, never listed first; a link is followed only when
that was asked for, and never round in a circle.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from towpath.cli.carry import Begin, Job, News, at_once, carry
from towpath.cli.destination import once, split_destination
from towpath.cli.effort import Effort
from towpath.cli.exits import among
from towpath.cli.files_from import List, check_list, list_options
from towpath.cli.keyfiles import CODING, locks, sealing_options
from towpath.cli.named import insist_on_names
from towpath.cli.options import Caller, Size, limit_option, many_options, transfer_options
from towpath.cli.plan import DRY_RUN, plan_uploads
from towpath.cli.queue_put import detach, is_detached, queue_options
from towpath.cli.read_back import check_proof, proof_options, read_back
from towpath.cli.same import same_options
from towpath.cli.select import LINKS, Found, Named, Selecting, Walk, rules_given, selection_options
from towpath.cli.unsent import Unsent
from towpath.client.attributes import LINK, attributes_of
from towpath.client.whole import SMALL

if TYPE_CHECKING:
    from towpath.client import BlockingTransfer, Client
    from towpath.codec.keys import Locks


@click.command(cls=Selecting)
@click.argument("paths", nargs=-1, metavar="PATH... [DEST]", type=click.Path())
@list_options
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
@selection_options
@click.option(
    "--links",
    type=click.Choice(LINKS),
    default="skip",
    show_default=True,
    help="Links in folders: skip them, since they may lead anywhere; follow them to what they"
    " lead to; or keep them as links.",
)
@click.option("--preserve", is_flag=True, help="Send time and permissions with each file.")
@same_options
@many_options
@click.option("--chunk-size", type=Size(), help="Bytes of one request at most; by default as fits.")
@click.option("--retries", type=click.IntRange(0), default=10, show_default=True, help="In a row.")
@proof_options
@limit_option
@queue_options
@sealing_options
@DRY_RUN
@transfer_options
def put(caller: Caller, paths: tuple[str, ...], **said: Any) -> int:  # noqa: ANN401 - as click has parsed it
    """Upload files and folders.

    DEST is a name on the server; `folder/` keeps the files' own names. If it stops, the same
    command goes on where it was. Of folders, and of several files, what the server has is left
    out. PATH may be - for stdin, with --name; --files-from takes the PATHs from a list. With
    --delta a file replaces the one of its name, and only what has changed is sent.
    """
    sources = _sources(caller, paths, said)
    detached = is_detached(said)
    if said["delta"] and any(said[name] for name in CODING):
        raise click.UsageError("A file cannot be coded if only its changes are sent: no --delta.")
    update = said["update"] or said["checksum"]
    keep = Sending(
        caller=caller,
        metadata=metadata(said["meta"]),
        on_conflict=said["on_conflict"] or ("replace" if update or said["delta"] else ""),
        always=any(said[name] for name in ("on_conflict", "restart", "meta", "delta")),
        restart=said["restart"],
        delta=said["delta"],
        preserve=said["preserve"],
        update=update,
        checksum=said["checksum"],
        retries=said["retries"],
        compress="auto" if said["compress"] else "no",
        encrypt=locks(said, caller.output),
        proves=said["verify"],
    )
    walk = Walk(rules_given(said["include"], said["exclude"]), said["links"])
    if said["dry_run"] or detached:
        with caller.client() as client:
            unsent = _unsent(client, keep, later=detached)
            found = _wanted(unsent, walk, sources)
            if said["dry_run"]:
                code = plan_uploads(caller, found, unsent, effort=_effort(keep, said))
                return among(code, unsent.same)
            return among(detach(caller, found, keep, said), unsent.same)
    client = caller.client(
        connections=said["connections"],
        **at_once(said["parallel"], said["connections"], said["total_connections"]),
        chunk_size=said["chunk_size"],
        retries=said["retries"],
        verify=not said["no_verify"],
        limit=said["limit"],
    )
    unsent = _unsent(client, keep)
    if sources.stdin:
        caller.output.say("What comes on stdin is read once: if it stops, it cannot be resumed.")
        jobs = iter([_stdin(said["name"] or sources.dest or "", keep)])
    else:
        jobs = _jobs(_wanted(unsent, walk, sources, proves=keep.proves), keep)
    code = carry(
        client,
        jobs,
        output=caller.output,
        show=caller.show(),
        parallel=said["parallel"],
    )
    return among(code, unsent.same)


class _Sources(NamedTuple):
    """What is uploaded. `several`: it may be more than one; `stdin`: it is what comes there."""

    named: Iterable[Named]
    dest: str | None
    several: bool
    stdin: bool = False


def _sources(caller: Caller, paths: tuple[str, ...], said: dict[str, Any]) -> _Sources:
    """What the words of the command line name. Raises UsageError for what makes no sense."""
    check_list(paths, said)
    listed = said["files_from"] is not None
    words: list[str] = []
    if listed:
        dest = said["dest"] if said["dest"] is not None else next(iter(paths), None)
    else:
        words, dest = split_destination(paths, said["dest"])
    insist_on_names(dest or "", said["name"] or "")
    words = once(words, dest, caller.output.say)
    stdin = "-" in words
    _check_stdin(words, dest, said, stdin=stdin)
    check_proof(said, stdin=stdin)
    if dest is not None and not stdin and not said["dest"] and Path(dest).is_dir():
        caller.output.say(f"{dest} is the destination; a folder to upload has no slash.")
    if listed:
        end = b"\0" if said["from0"] else b"\n"
        names = List(said["files_from"], dest, end, caller.output.say)
        return _Sources(names.named(), dest, several=True)
    return _Sources((Named(word, dest) for word in words), dest, len(words) > 1, stdin)


def _check_stdin(
    sources: list[str], dest: str | None, said: dict[str, Any], *, stdin: bool
) -> None:
    """Raises UsageError for what makes no sense with stdin, or only with it."""
    if not stdin:
        if said["name"]:
            raise click.UsageError("--name is for stdin; for a file, give the name as DEST.")
        return
    if len(sources) > 1 or not (said["name"] or dest):
        raise click.UsageError("Reading stdin: give - alone, and --name for what it is called.")
    if said["detach"]:
        raise click.UsageError("What comes on stdin cannot be read later: leave --detach out.")
    if said["delta"]:
        raise click.UsageError("What comes on stdin is read once: no --delta with -.")
    if any(said[name] for name in CODING):
        raise click.UsageError("A stream cannot be compressed or encrypted.")
    if said["dry_run"]:
        raise click.UsageError("What comes on stdin is not known before: no --dry-run with -.")


class Sending(NamedTuple):
    """How files are sent."""

    caller: Caller
    metadata: dict[str, str]
    on_conflict: str
    always: bool  # one file goes in any case: more is wanted than that the server has it
    restart: bool
    delta: bool  # only what the file of that name has not
    preserve: bool  # time and permissions go with each
    update: bool  # what the server has is left out
    checksum: bool  # and that is told by checksum
    retries: int
    compress: str
    encrypt: Sequence[Locks]
    proves: bool  # by reading back


def metadata(pairs: tuple[str, ...]) -> dict[str, str]:
    """KEY=VALUE pairs."""
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise click.UsageError(f"--meta {pair}: write KEY=VALUE.")
        found[key] = value
    return found


def _effort(keep: Sending, said: dict[str, Any]) -> Effort:
    """What counts how much work the files are."""
    from towpath.client.coded import coding_of

    coding = coding_of(keep.compress, keep.encrypt)
    return Effort(
        limit=said["limit"],
        chunk_size=said["chunk_size"],
        level=coding.level if coding else None,
        delta=keep.delta,
    )


def _jobs(files: Iterator[Found], keep: Sending) -> Iterator[Job]:
    for found in files:
        keep.caller.output.record("begin", direction="upload", path=found.path)
        small = found.link is not None or (found.size is not None and found.size <= SMALL)
        proof = read_back(found.path, keep.encrypt) if keep.proves and not found.link else None
        begin = _begin(found, keep)
        yield Job(found.path, begin, lambda result: str(result.name), small=small, proof=proof)


def _unsent(client: Client, keep: Sending, *, later: bool = False) -> Unsent:
    """What looks at the server. `later`: the files go into the queue, whose server may be away."""
    return Unsent(
        client=client,
        output=keep.caller.output,
        insists=keep.update,
        always=keep.always,
        checksum=keep.checksum,
        beside=keep.on_conflict in ("", "keep-both"),
        sealed=bool(keep.encrypt),
        retries=keep.retries if keep.update or not later else 0,
        later=later,
    )


def _wanted(
    unsent: Unsent, walk: Walk, sources: _Sources, *, proves: bool = False
) -> Iterator[Found]:
    """The files to send; those that are left out are told at the end."""
    yield from unsent.of(walk, sources.named, several=sources.several)
    if unsent.same:
        what = "it" if unsent.same == 1 else "them"
        unproven = " These were not read back: `towpath verify` does that." if proves else ""
        unsent.output.say(f"{unsent.same} left out: the server has {what}.{unproven}")
    for text in walk.told():
        unsent.output.say(text)


def _begin(found: Found, keep: Sending) -> Begin:
    def begin(client: Client, news: News) -> BlockingTransfer[Any]:
        if found.error is not None:
            raise found.error
        extra = dict(keep.metadata)
        if found.link is not None:
            extra[LINK] = found.link
            return client.upload(
                b"", found.name, metadata=extra, on_conflict=keep.on_conflict, progress=news
            )
        if keep.preserve:
            extra.update(attributes_of(found.path))
        return client.upload(
            found.path,
            found.name or None,
            metadata=extra,
            on_conflict=keep.on_conflict,
            restart=keep.restart,
            delta=keep.delta,
            compress=keep.compress,
            encrypt=keep.encrypt,
            progress=news,
        )

    return begin


def _stdin(name: str, keep: Sending) -> Job:
    def begin(client: Client, news: News) -> BlockingTransfer[Any]:
        return client.upload(
            sys.stdin.buffer,
            name,
            metadata=keep.metadata,
            on_conflict=keep.on_conflict,
            compress=keep.compress,
            encrypt=keep.encrypt,
            progress=news,
        )

    return Job(name, begin, lambda result: str(result.name), resumable=False)
