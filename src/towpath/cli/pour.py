"""Objects to stdout, one after the other.

Rules: stdout gets their bytes and nothing else; at the first failure it ends, since what follows
would be taken for its continuation; what was written cannot be taken back, so the exit code is the
proof.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

from towpath.cli.exits import OK
from towpath.cli.interrupt import Halt, interruptible
from towpath.cli.output import Output
from towpath.cli.show import Show
from towpath.errors import TowpathError

if TYPE_CHECKING:
    from towpath.client import Client

_LOOK = 0.2  # seconds between two looks at the progress


def pour(client: Client, names: Iterable[str], *, output: Output, show: Show) -> int:
    """Write the bytes of `names` to stdout; return the exit code. The client is closed then.

    Whoever reads them may leave at any time: that is no failure.
    """
    about = ""
    try:
        with interruptible(), client:
            for name in names:
                about = name
                _pour_one(client, name, sys.stdout.buffer, show)
    except Halt as halt:
        show.close()
        output.say("Stopped. What was written is not all of it.")
        return halt.code
    except TowpathError as error:
        show.close()
        if isinstance(error.__cause__, BrokenPipeError):
            _forget_the_rest()
            return OK
        code = output.error(error, about=about)
        output.say("What was written to stdout is not the object: do not use it.")
        return code
    finally:
        show.close()
    return OK


def _pour_one(client: Client, name: str, stdout: BinaryIO, show: Show) -> None:
    transfer = client.download(name, stdout)
    while True:
        try:
            transfer.result(_LOOK)
        except TimeoutError:
            show.update(name, transfer.progress)
        else:
            show.update(name, transfer.progress)
            return


def _forget_the_rest() -> None:
    """What is left in the buffer of stdout goes nowhere, so that the interpreter ends in peace."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
