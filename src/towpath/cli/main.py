"""`towpath`: the commands, each imported when it is used, so that the others cost nothing.

Rules: every way out goes through `main`, which turns errors into one line and an exit code.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
import threading
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

import click

from towpath.cli.aliases import ALIASES, Aliased
from towpath.cli.exits import INTERRUPTED, USAGE
from towpath.cli.output import Output

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_NEW_OBJECTS = 10_000  # after which cycles among them are looked for
# name -> where it is, what --help says of it
COMMANDS = {
    "serve": ("towpath.cli.serve:serve", "Start a server."),
    "put": ("towpath.cli.put:put", "Upload files and folders; run again to go on."),
    "get": ("towpath.cli.get:get", "Download objects; run again to go on."),
    "sync": ("towpath.cli.sync:sync", "Make one side what the other is."),
    "ls": ("towpath.cli.names:ls", "List names on the server."),
    "stat": ("towpath.cli.names:stat", "Show what the server knows of a name."),
    "cat": ("towpath.cli.cat:cat", "Write objects to stdout."),
    "rm": ("towpath.cli.names:rm", "Remove names from the server."),
    "mv": ("towpath.cli.mv:mv", "Call names on the server something else."),
    "link": ("towpath.cli.link:link", "Make an address that needs no token."),
    "hash": ("towpath.cli.digests:hash_files", "Print digests of files here."),
    "verify": ("towpath.cli.digests:verify", "Hold a file against the server's digest."),
    "transfers": ("towpath.cli.transfers:transfers", "List or watch what is not finished."),
    "resume": ("towpath.cli.resume:resume", "Go on with transfers that stopped."),
    "pause": ("towpath.cli.queue:pause", "Pause uploads of the queue."),
    "cancel": ("towpath.cli.queue:cancel", "Give uploads up, here and on the server."),
    "retry": ("towpath.cli.queue:retry", "Queue uploads that failed again."),
    "wait": ("towpath.cli.queue:wait", "Wait for the queue."),
    "keys": ("towpath.cli.keys:keys", "Make keys, and change who can read a file."),
    "gc": ("towpath.cli.gc:gc", "Remove what stopped transfers left here."),
    "top": ("towpath.cli.top:top", "Watch uploads on the server as they happen."),
    "bench": ("towpath.cli.bench:bench", "Measure how fast the server is from here."),
    "doctor": ("towpath.cli.doctor:doctor", "Find what is in the way of transfers."),
    "login": ("towpath.cli.login:login", "Keep a token for a server."),
    "logout": ("towpath.cli.login:logout", "Forget the token for a server."),
    "config": ("towpath.cli.config:config", "Show and change settings."),
    "token": ("towpath.cli.token:token", "Make, list and revoke tokens of a server."),
    "ledger": ("towpath.cli.ledger:ledger", "Look after a server's ledger."),
    "completion": ("towpath.cli.completion:completion", "Print a shell's completion script."),
    "man": ("towpath.cli.man:man", "Print or write manual pages."),
    "version": ("towpath.cli.version:version", "Show versions."),
}


class Lazy(Aliased):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)  # noqa: S101 - the table says so
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names come from the table alone: no command is imported to be completed."""
        from click.shell_completion import CompletionItem

        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        others = [name for name in ALIASES if " " not in name and incomplete]
        found = [name for name in (*COMMANDS, *others) if name.startswith(incomplete)]
        return [CompletionItem(name, help=COMMANDS[ALIASES.get(name, name)][1]) for name in found]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])
        with formatter.section("Aliases"):
            formatter.write_dl([(name, meant) for name, meant in ALIASES.items()])


class Kept(dict[str, Any]):
    """Defaults from the settings file, read when a command is about to run."""

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ANN401 - as click asks for it
        if key not in COMMANDS or key == "config":  # which must run when the file is wrong
            return default
        from towpath.cli.stored import read_settings

        return read_settings()


def _version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted:
        from towpath import __version__

        print(f"towpath {__version__}")
        ctx.exit()


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """Haul very large files: resumable, verified, in bounded memory.

    A transfer that stopped goes on where it was when the same command runs again.
    """


def main(args: Sequence[str] | None = None) -> int:
    """Run one command; return what the process should exit with."""
    output = Output(debug="--debug" in (sys.argv if args is None else args))
    try:
        result: Any = cli.main(
            args, prog_name="towpath", standalone_mode=False, obj=output, default_map=Kept()
        )
        return result if isinstance(result, int) else 0
    except click.UsageError as error:
        error.show()
        return USAGE
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        output.say("towpath: Interrupted.")
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone: not a matter for a message
        return 0
    except Exception as error:  # noqa: BLE001 - the last door: nobody else would say it
        return output.error(error)


def run() -> NoReturn:
    """What the installed command calls: `main`, then the process ends.

    Nearly all that a command makes while it starts is kept, so cycles are looked for seldom. At its
    end it does what is registered and leaves the memory to the system: to take the interpreter
    apart object by object takes a short command 30 ms.
    """
    gc.set_threshold(_NEW_OBJECTS)
    code = main()
    if threading.active_count() > 1:  # somebody still works
        sys.exit(code)
    atexit._run_exitfuncs()  # noqa: SLF001 - what every ordinary end calls
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):  # who read it has gone: the long way says so, or is silent
        sys.exit(code)
    os._exit(code)


if __name__ == "__main__":
    run()
