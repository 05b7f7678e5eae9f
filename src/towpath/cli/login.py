"""`towpath login` and `logout`: a token for a server, kept for the commands that follow.

Rules: a token is asked for or comes on stdin, never on the command line; it is not printed; one
that the server does not take is not kept.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from towpath.cli.exits import NOT_FOUND, OK
from towpath.cli.options import Caller, caller_options, output_options
from towpath.cli.output import Output
from towpath.cli.stored import canonical, forget_token, keep_token, servers

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@click.command()
@click.argument("server", default="", metavar="[URL]")
@click.option("--no-check", is_flag=True, help="Keep it without asking the server.")
@caller_options
def login(caller: Caller, server: str, no_check: bool) -> None:
    """Keep a token for the server, or for the one at URL.

    It is asked for; without a terminal it is the first line of stdin. Commands use it when neither
    TOWPATH_TOKEN nor --token-file says another one.
    """
    url = canonical(server or caller.url)
    token = _ask_for_token(url)
    who = {} if no_check else _check(caller, url, token)
    file = keep_token(url, token)
    caller.output.record("login", server=url, file=str(file), **who)
    _warn(caller.output, url)
    if not who:
        caller.output.say(f"The token for {url} is kept in {file}.")
        return
    limit = f", below {who['prefix']}" if who["prefix"] else ""
    caller.output.say(
        f"Logged in to {url} as {who['subject']} of {who['tenant']}: "
        f"{', '.join(who['scopes'])}{limit}."
    )


@click.command()
@click.argument("server", default="", metavar="[URL]")
@click.option("--all", "every", is_flag=True, help="Of every server.")
@click.option("--url", envvar="TOWPATH_URL", default="", metavar="URL", help="The server.")
@output_options
def logout(output: Output, server: str, url: str, every: bool) -> int:
    """Forget the token that is kept for the server, or for the one at URL.

    The server goes on taking it: whoever runs the server can take it back.
    """
    from towpath.cli.options import DEFAULT_URL

    wanted = servers() if every else [canonical(server or url or DEFAULT_URL)]
    code = OK
    for each in wanted:
        if forget_token(each):
            output.record("logout", server=each)
            output.say(f"Forgot the token for {each}.")
        else:
            output.say(f"No token is kept for {each}.")
            code = NOT_FOUND
    if not wanted:
        output.say("No tokens are kept.")
    return code


def _ask_for_token(url: str) -> str:
    if sys.stdin.isatty():
        from getpass import getpass

        token = getpass(f"Token for {url}: ").strip()
    else:
        token = sys.stdin.readline(4096).strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise click.UsageError(
            "That is no token: it is one word, as `towpath token new` prints it."
        )
    return token


def _check(caller: Caller, url: str, token: str) -> dict[str, Any]:
    """What the server says of who shows the token. Raises Unauthenticated, ServerUnreachable."""
    from towpath.client.peer import expect

    peer = caller.peer(url, token=token)
    try:
        told = expect(peer.ask("GET", peer.api("server")), api=True).json().get("caller")
    finally:
        peer.done_with()
    if not isinstance(told, dict):  # a server that does not say it
        return {}
    return {
        "subject": str(told.get("subject", "")),
        "tenant": str(told.get("tenant", "")),
        "scopes": [str(scope) for scope in told.get("scopes", [])],
        "prefix": str(told.get("prefix", "")),
    }


def _warn(output: Output, url: str) -> None:
    from towpath.client.dial import split

    origin, _ = split(url)
    if origin.scheme == "http" and origin.host not in _LOOPBACK:
        output.say("The token travels readable by others on the way: use https.")
