"""`towpath doctor`: finds what is in the way of transfers, and says what to do about it.

Rules: looks, and changes nothing that stays; what cannot be looked at after a trouble is left out,
not guessed; each check stands on its own, so that one that fails hides no other.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import textwrap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from towpath.cli import doctor_wire as wire
from towpath.cli.amounts import size
from towpath.cli.exits import LIMIT, NOT_AUTHORISED, OK, TEMPORARY, exit_code
from towpath.cli.findings import FINE, MARKS, NOTE, TROUBLE, WARNING, Finding, disks
from towpath.cli.options import Caller, caller_options
from towpath.cli.output import Output
from towpath.client.dial import split
from towpath.client.peer import Peer, Reply, expect
from towpath.client.surroundings import state_folder
from towpath.errors import Forbidden, TowpathError, Unauthenticated

_SECONDS = 10.0  # for the server to answer in
_LITTLE = 1 << 30  # free bytes at the server
_SCOPES = ("write", "read", "list", "remove")
_PART = re.compile(r"\[(.)\] (\S+) (.*)")


@click.command()
@caller_options
def doctor(caller: Caller) -> int:
    """Find what is in the way of transfers with the server.

    Looks at address, proxy, TLS, clock, token, version, disks here and there, and whether anything
    on the way holds bytes back. The exit code is that of the first trouble; 0 if there is none,
    warnings aside.
    """
    output, code, counts = caller.output, OK, dict.fromkeys(MARKS, 0)
    for finding in _examine(caller):
        counts[finding.level] += 1
        if finding.level == TROUBLE and code == OK:
            code = finding.code
        _show(output, finding)
    output.record("summary", **{f"{level}s": counts[level] for level in (TROUBLE, WARNING, NOTE)})
    if not counts[TROUBLE] and not counts[WARNING]:
        output.say("Nothing is in the way.")
    return code


def _show(output: Output, finding: Finding) -> None:
    output.record(
        "finding",
        check=finding.check,
        level=finding.level,
        what=finding.what,
        why=finding.why,
        todo=finding.todo,
    )
    width = max(shutil.get_terminal_size().columns, 40) - 1
    lead = f"[{MARKS[finding.level]}] {finding.check:<8} "
    for text in filter(None, (finding.what, finding.why, finding.todo)):
        for line in textwrap.wrap(text, width - len(lead), break_long_words=False):
            output.line(lead + line)
            lead = " " * len(lead)


def _examine(caller: Caller) -> Iterator[Finding]:
    yield from _server(caller)
    yield from disks(
        (
            ("what is downloaded here", Path.cwd()),
            ("notes of transfers", state_folder()),
            ("temporary files", Path(tempfile.gettempdir())),
        )
    )


def _server(caller: Caller) -> Iterator[Finding]:
    origin, _ = split(caller.url)
    dialer = caller.dialer(timeout=_SECONDS)
    yield from wire.by_proxy(dialer, origin)
    reached = wire.reach(dialer, origin)
    if isinstance(reached, Finding):
        yield reached
        return
    yield Finding("reach", FINE, f"{origin} was reached in {reached.seconds * 1000:.0f} ms")
    yield from wire.encryption(origin, reached)
    try:
        token = caller.token()
    except TowpathError as error:
        yield _failed("token", error)
        return
    peer = caller.peer(token=token, timeout=_SECONDS)
    try:
        strange = _alive(peer)
        yield from strange
        if all(finding.level != TROUBLE for finding in strange):
            yield from _checked("server", lambda: _parts(_ready(peer)))
            yield from _who(peer, has_token=token is not None)
    finally:
        peer.done_with()


def _alive(peer: Peer) -> list[Finding]:
    """Look whether it is a Towpath that answers, and what time it has."""
    try:
        reply, asked, answered = wire.timed(lambda: peer.ask("GET", peer.address("livez")))
    except TowpathError as error:
        return [_failed("server", error)]
    if reply.status == 200 and reply.body.strip() == b"ok":
        return list(wire.clock(reply, asked, answered))
    return [
        Finding(
            "server",
            TROUBLE,
            f"What answers at {peer.url} is not a Towpath.",
            why=f"Asked whether it lives, it answered {reply.status}.",
            todo="Check the path in the address, and what a proxy in front does with it.",
        )
    ]


def _ready(peer: Peer) -> Reply:
    return peer.ask("GET", peer.address("readyz?verbose"), again=True)


def _parts(reply: Reply) -> Iterator[Finding]:
    """The parts of the server that /readyz lists."""
    found = [_PART.fullmatch(line) for line in reply.body.decode("utf-8", "replace").splitlines()]
    wrong = [match for match in found if match is not None and match[1] != "+"]
    for match in wrong:
        full = match[2] == "store" and "full" in match[3]
        yield Finding(
            "server",
            WARNING if match[1] == "!" else TROUBLE,
            f"At the server: {match[2]} {match[3]}.",
            why="Its readiness (/readyz) says so.",
            todo="Make space there." if full else "Whoever runs it should look at its log.",
            code=LIMIT if full else TEMPORARY,
        )
    if not wrong and reply.ok:
        yield Finding("server", FINE, "the server is ready")


def _who(peer: Peer, *, has_token: bool) -> Iterator[Finding]:
    """What the server says to who shows the token, and what that may do."""
    try:
        told = expect(peer.ask("GET", peer.api("server"), again=True)).json()
    except (Unauthenticated, Forbidden) as error:
        yield Finding(
            "token",
            TROUBLE,
            "The server does not take the token." if has_token else "The server wants a token.",
            why=f"{error.what} {error.why}".strip(),
            todo="Ask who runs the server for one, then: towpath login.",
            code=NOT_AUTHORISED,
        )
        return
    except TowpathError as error:
        yield _failed("server", error)
        return
    who = told.get("caller") if isinstance(told.get("caller"), dict) else None
    yield from _version(str(told.get("version", "")))
    yield from _space(told)
    scopes = set(_SCOPES) if who is None else set(map(str, who.get("scopes", [])))
    yield from _scopes(who, scopes)
    prefix = str(who.get("prefix", "")) if who else ""
    if "write" in scopes:
        yield from _checked("bodies", lambda: [wire.bodies(peer, prefix)])
    else:
        yield from _checked("bodies", lambda: [wire.early_answers(peer)])
    yield from _checked("expect", lambda: wire.expectations(peer))
    if "list" in scopes:
        yield from _checked("events", lambda: [wire.events(peer)])


def _version(theirs: str) -> Iterator[Finding]:
    from towpath import __version__

    if _numbers(theirs) >= _numbers(__version__):
        yield Finding("version", FINE, f"the server is Towpath {theirs}")
        return
    yield Finding(
        "version",
        WARNING,
        f"The server is older than this command: {theirs or 'unknown'}.",
        why=f"This is {__version__}; it may ask for what the server does not know.",
        todo="Update the server, or use the command of its version.",
    )


def _numbers(version: str) -> tuple[int, ...]:
    """The first two numbers: what may change what is spoken."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


def _space(told: dict[str, Any]) -> Iterator[Finding]:
    store = told.get("store")
    free = store.get("free") if isinstance(store, dict) else None
    if isinstance(free, int) and free < _LITTLE:
        yield Finding(
            "server",
            WARNING,
            f"Only {size(free)} are free at the server.",
            why="Uploads that do not fit are refused.",
            todo="Make space there.",
        )


def _scopes(who: dict[str, Any] | None, scopes: set[str]) -> Iterator[Finding]:
    if who is None:
        return
    missing = [scope for scope in _SCOPES if scope not in scopes]
    name = f"{who.get('subject')} of {who.get('tenant')}"
    below = f", below {who['prefix']}" if who.get("prefix") else ""
    if not missing:
        yield Finding("token", FINE, f"known as {name}{below}, with every right")
        return
    yield Finding(
        "token",
        WARNING,
        f"You may not {' or '.join(missing)} there.",
        why=f"The server knows you as {name}{below}, with {' '.join(sorted(scopes)) or 'nothing'}.",
        todo="If you need it, ask who runs the server for another token.",
    )


def _checked(check: str, act: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    try:
        yield from act()
    except TowpathError as error:
        yield _failed(check, error)


def _failed(check: str, error: TowpathError) -> Finding:
    return Finding(check, TROUBLE, error.what, error.why, error.todo, exit_code(error))
