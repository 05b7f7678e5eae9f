"""Options that several commands share, and the client they make.

Rules: a secret comes from a file or from the environment, never from the command line, where
every user of the machine could read it; a server's token goes to that server alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click
from click.core import ParameterSource

from towpath.cli.output import Output
from towpath.cli.show import WAYS, Show, show_for
from towpath.core.amount import read_bytes
from towpath.errors import SettingsError

if TYPE_CHECKING:
    from towpath.client import Client
    from towpath.client.dial import Dialer
    from towpath.client.peer import Peer

DEFAULT_URL = "http://127.0.0.1:8000"
FILE = click.Path(exists=True, dir_okay=False)
_F = TypeVar("_F", bound=Callable[..., Any])


class Size(click.ParamType[int]):
    """A size such as 8MiB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401 - as click hands it over
        if isinstance(value, int):
            return value
        try:
            return read_bytes(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Rate(click.ParamType[str]):
    """A rate such as 20M, or a timetable of rates."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401 - as click hands it over
        from towpath.core.timetable import Timetable

        try:
            Timetable.parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


limit_option = click.option(
    "--limit",
    "--limit-schedule",
    "limit",
    envvar="TOWPATH_LIMIT",
    type=Rate(),
    metavar="RATE",
    help="Bytes a second for all together: 20M, or a timetable such as "
    "'08:00,512k 23:00,off'; else TOWPATH_LIMIT.",
)


class Caller(NamedTuple):
    """What the shared options say. `explicit`: the URL was written on the command line."""

    url: str
    explicit: bool
    token_file: str | None
    everywhere: bool  # the token file was written on the command line: it is for any server
    ca: str | None
    cert: str | None
    cert_key: str | None
    proxy: str | None
    output: Output
    progress: str

    def client(self, url: str | None = None, **options: Any) -> Client:  # noqa: ANN401
        """A client of the server, or of the one at `url`, which gets no other server's token."""
        from towpath.client import Client

        return Client(
            url or self.url,
            self.token(url),
            ca=self.ca,
            cert=self.cert,
            cert_key=self.cert_key,
            proxy=self.proxy,
            **options,
        )

    def peer(
        self, url: str | None = None, *, token: str | None = None, timeout: float = 60.0
    ) -> Peer:
        """The same server for single requests; `token` in place of the one that is known."""
        from towpath.client.peer import Peer

        return Peer(
            url or self.url,
            token or self.token(url),
            timeout=timeout,
            ca=self.ca,
            cert=self.cert,
            cert_key=self.cert_key,
            proxy=self.proxy,
        )

    def dialer(self, *, timeout: float) -> Dialer:
        """What opens connections as these options say."""
        from towpath.client.dial import Dialer
        from towpath.client.surroundings import Trust

        trust = Trust(self.ca, self.cert, self.cert_key)
        return Dialer(trust, timeout=timeout, proxy=self.proxy)

    def show(self) -> Show:
        """What shows progress."""
        return show_for(self.progress, as_json=self.output.as_json)

    def token(self, url: str | None = None) -> str | None:
        """The token for the server, or for the one at `url`: said, or kept by `towpath login`."""
        from towpath.cli.stored import token_of
        from towpath.client.surroundings import token

        mine = url is None or url.rstrip("/") == self.url.rstrip("/")
        if self.token_file is not None and (mine or self.everywhere):
            return _read(self.token_file)
        return (token() if mine else None) or token_of(url or self.url)


def _read(file: str) -> str:
    try:
        return Path(file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The token file {file} cannot be read.", why=f"{error}.") from error


_OUTPUT = (
    click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per line."),
    click.option("--debug", is_flag=True, help="Show where an error comes from."),
)
_SERVER = (
    click.option(
        "--url",
        envvar="TOWPATH_URL",
        default=DEFAULT_URL,
        metavar="URL",
        help=f"The server; else TOWPATH_URL, else {DEFAULT_URL}.",
    ),
    click.option(
        "--token-file",
        metavar="FILE",
        envvar="TOWPATH_TOKEN_FILE",
        type=click.Path(dir_okay=False),
        help="Where the token is; else TOWPATH_TOKEN holds it.",
    ),
    click.option(
        "--ca",
        metavar="FILE",
        envvar="TOWPATH_CA",
        type=FILE,
        help="Certificates to trust, in PEM.",
    ),
    click.option(
        "--cert",
        metavar="FILE",
        envvar="TOWPATH_CERT",
        type=FILE,
        help="A certificate to show, in PEM.",
    ),
    click.option(
        "--cert-key",
        metavar="FILE",
        envvar="TOWPATH_CERT_KEY",
        type=FILE,
        help="Its key, if that is another file.",
    ),
    click.option(
        "--proxy",
        metavar="URL",
        envvar="TOWPATH_PROXY",
        help="An HTTP proxy, or none; else HTTPS_PROXY and HTTP_PROXY say.",
    ),
)
files_option = click.option(
    "--transfers",
    "--parallel",
    "parallel",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="Files at once.",
)
_MANY = (
    files_option,
    click.option(
        "--connections",
        type=click.IntRange(1, 64),
        help="Most for one file of 16 MiB or more, of which as many go as help; by default 12,"
        " or 6 for an upload that is compressed or encrypted.",
    ),
    click.option(
        "--total-connections",
        type=click.IntRange(1, 256),
        help="Most for all files together; by default 24, or more if the two above say so.",
    ),
)
_PROGRESS = click.option(
    "--progress",
    type=click.Choice(WAYS),
    default="auto",
    help="How to show progress on stderr.",
)


def output_options(command: _F) -> Callable[..., int]:
    """--json and --debug; the command gets an Output first."""

    @wraps(command)
    def run(*, as_json: bool, debug: bool, **rest: Any) -> int:  # noqa: ANN401 - click's own
        return _code(command(_output(as_json=as_json, debug=debug), **rest))

    return _with(run, _OUTPUT)


def caller_options(command: _F) -> Callable[..., int]:
    """What a command needs to speak to a server; it gets a Caller first."""
    return _with(_called(command), (*_SERVER, *_OUTPUT))


def bytes_options(command: _F) -> Callable[..., int]:
    """The same without --json, for a command whose output is bytes."""
    return _with(_called(command), (*_SERVER, _OUTPUT[1]))


def _called(command: _F) -> Callable[..., int]:
    @wraps(command)
    def run(  # noqa: PLR0913 - one for each option
        *,
        url: str,
        token_file: str | None,
        ca: str | None,
        cert: str | None,
        cert_key: str | None,
        proxy: str | None,
        progress: str = "none",
        as_json: bool = False,
        debug: bool,
        **rest: Any,  # noqa: ANN401 - click's own
    ) -> int:
        if proxy and "@" in proxy and _written("proxy"):
            raise click.UsageError(
                "A proxy's password would be seen by others: set TOWPATH_PROXY or HTTPS_PROXY."
            )
        caller = Caller(
            url=url,
            explicit=_written("url"),
            token_file=token_file,
            everywhere=_written("token_file"),
            ca=ca,
            cert=cert,
            cert_key=cert_key,
            proxy=proxy or None,
            output=_output(as_json=as_json, debug=debug),
            progress=progress,
        )
        return _code(command(caller, **rest))

    return run


def _written(option: str) -> bool:
    """True if it stands on the command line."""
    source = click.get_current_context().get_parameter_source(option)
    return source is ParameterSource.COMMANDLINE


def transfer_options(command: _F) -> Callable[..., int]:
    """The same, and how to show progress."""
    return _with(caller_options(command), (_PROGRESS,))


def many_options(command: Callable[..., int]) -> Callable[..., int]:
    """--transfers, --connections, --total-connections: how much goes on at once."""
    return _with(command, _MANY)


def _with(
    command: Callable[..., int], options: tuple[Callable[[Any], Any], ...]
) -> Callable[..., int]:
    for option in reversed(options):
        command = option(command)
    return command


def _output(*, as_json: bool, debug: bool) -> Output:
    """The Output that `main` made, told how to speak."""
    output = click.get_current_context().find_object(Output) or Output()
    output.as_json, output.debug = as_json, debug
    if debug:
        logging.basicConfig(level=logging.DEBUG, format="%(name)s: %(message)s")
    return output


def _code(result: int | None) -> int:
    return result or 0
