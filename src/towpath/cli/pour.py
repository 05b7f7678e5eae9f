"""Objects to stdout, one after the other.

Rules: stdout gets their bytes and nothing else; at the first failure it ends, since what follows
would be taken for its continuation; what was written cannot be taken back, so the exit code is the
proof.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from towpath.cli.exits import OK
from towpath.cli.interrupt import Halt, interruptible
from towpath.cli.output import Output, forget_stdout
from towpath.cli.show import Show
from towpath.errors import TowpathError

if TYPE_CHECKING:
    from towpath.client import BlockingTransfer, Client, DownloadResult
    from towpath.codec.keys import Opens

_LOOK = 0.2  # seconds between two looks at the progress


def pour(
    client: Client, names: Iterable[str], *, keys: Sequence[Opens], output: Output, show: Show
) -> int:
    """Write the bytes of `names` to stdout; return the exit code. The client is closed then.

    `keys`: what may open those that are encrypted. Whoever reads may leave at any time: that is no
    failure.
    """
    about = ""
    transfer: BlockingTransfer[DownloadResult] | None = None
    try:
        with interruptible(), client:
            for name in names:
                about = name
                transfer = client.download(name, sys.stdout.buffer, keys=keys)
                _follow(transfer, name, show)
    except Halt as halt:
        show.close()
        output.say("Stopped. What was written is not all of it.")
        return halt.code
    except TowpathError as error:
        show.close()
        if isinstance(error.__cause__, BrokenPipeError):
            forget_stdout()
            return OK
        code = output.error(error, about=about)
        if transfer is not None and transfer.progress.transferred_bytes:
            output.say("What was written to stdout is not the object: do not use it.")
        return code
    finally:
        show.close()
    return OK


def _follow(transfer: BlockingTransfer[DownloadResult], name: str, show: Show) -> None:
    while True:
        try:
            transfer.result(_LOOK)
        except TimeoutError:
            show.update(name, transfer.progress)
        else:
            show.update(name, transfer.progress)
            return
