"""Options that several commands share, and the client they make.

Rules: a secret comes from a file or from the environment, never from the command line, where
every user of the machine could read it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from towpath.cli.amounts import parse_size
from towpath.cli.output import Output
from towpath.cli.show import WAYS, Show, show_for
from towpath.errors import SettingsError

if TYPE_CHECKING:
    from towpath.client import Client

DEFAULT_URL = "http://127.0.0.1:8000"
_F = TypeVar("_F", bound=Callable[..., Any])


class Size(click.ParamType[int]):
    """A size such as 8MiB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401 - as click hands it over
        if isinstance(value, int):
            return value
        try:
            return parse_size(value)
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
    type=Rate(),
    metavar="RATE",
    help="Bytes a second for all together: 20M, or a timetable such as "
    "'08:00,512k 23:00,off'; else TOWPATH_LIMIT.",
)


@dataclass(frozen=True, slots=True)
class Caller:
    """What the shared options say. `explicit`: the URL was written on the command line."""

    url: str
    explicit: bool
    token_file: str | None
    ca: str | None
    output: Output
    progress: str

    def client(self, url: str | None = None, **options: Any) -> Client:  # noqa: ANN401
        """A client of the server, or of the one at `url`, which gets no other server's token."""
        from towpath.client import Client

        mine = url is None or url.rstrip("/") == self.url.rstrip("/") or self.token_file
        token = self._token() if mine else None
        return Client(url or self.url, token, ca=self.ca, **options)

    def show(self) -> Show:
        """What shows progress."""
        return show_for(self.progress, as_json=self.output.as_json)

    def _token(self) -> str | None:
        from towpath.client.surroundings import token

        if self.token_file is None:
            return token()
        try:
            return Path(self.token_file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"The token file {self.token_file} cannot be read.", why=f"{error}."
            ) from error


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
        type=click.Path(exists=True, dir_okay=False),
        help="Certificates to trust, in PEM.",
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

    @wraps(command)
    def run(
        *,
        url: str,
        token_file: str | None,
        ca: str | None,
        progress: str = "none",
        as_json: bool,
        debug: bool,
        **rest: Any,  # noqa: ANN401 - click's own
    ) -> int:
        context = click.get_current_context()
        source = context.get_parameter_source("url")
        caller = Caller(
            url=url,
            explicit=source is ParameterSource.COMMANDLINE,
            token_file=token_file,
            ca=ca,
            output=_output(as_json=as_json, debug=debug),
            progress=progress,
        )
        return _code(command(caller, **rest))

    return _with(run, (*_SERVER, *_OUTPUT))


def transfer_options(command: _F) -> Callable[..., int]:
    """The same, and how to show progress."""
    return _with(caller_options(command), (_PROGRESS,))


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
