"""The process that works the queue off: started by whoever finds work and nobody at it.

Rules: one for each state folder, by a lock; it belongs to no terminal and ends when nothing is left
to do. It has no token from the environment: that would go to whichever server comes first.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING

from towpath.client.surroundings import state_folder, without_token
from towpath.errors import StateConflict, TransferError

if TYPE_CHECKING:
    from towpath.client import Client
    from towpath.client.lines import Lines
    from towpath.client.queue import Job, Queue
    from towpath.client.resume import Notebook
    from towpath.client.throttle import Throttle
    from towpath.codec.keys import Locks

LOG_BYTES = 1024 * 1024  # of one log file; there are two
_STARTS_IN = 30.0  # seconds
_TRIES, _PAUSE = 20, 0.1  # who only looks whether there is a worker holds the lock for a moment

_log = logging.getLogger("towpath.queue")


def queue_folder() -> Path:
    """Where the queue of this user is."""
    return state_folder().absolute() / "queue"


def rouse(queue: Queue) -> None:
    """Start a worker if there is work and nobody at it. Raises TransferError if that fails."""
    if not queue.has_work or queue.is_worked_on:
        return
    command = [sys.executable, "-P", "-m", "towpath.cli.queue_runner"]
    if os.name == "nt":
        flags = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP  # type: ignore[attr-defined,unused-ignore]
        subprocess.Popen(command, env=without_token(), creationflags=flags)  # noqa: S603 - ourselves
        return
    begun = subprocess.run(  # noqa: S603 - ourselves; it returns when the worker has forked
        command,
        env=without_token(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        timeout=_STARTS_IN,
        check=False,
    )
    if begun.returncode:
        said = begun.stderr.decode(errors="replace").strip().splitlines()
        raise TransferError(
            "The queue is kept, but nobody could be started to work it off.",
            why=said[-1] if said else f"The process ended with {begun.returncode}.",
            todo="`towpath transfers` tries it again.",
        )


def work(queue: Queue, halt: threading.Event) -> None:
    """Work until nothing is left to do; leave at once when somebody else works already."""
    from towpath.cli.exits import exit_code
    from towpath.client.queue_work import Worker

    while not halt.is_set() and queue.has_work:
        # who added a job after the last look may have seen the lock: hence a look without it
        with ExitStack() as held:
            if not _alone(queue, held):
                _log.info("Process %d leaves: another one works.", os.getpid())
                return
            connecting = partial(connect, queue.notebook)
            Worker(queue, connecting, exit_code, locking=locking, known=known).run(halt)


def connect(notebook: Notebook, job: Job, throttle: Throttle, lines: Lines) -> Client:
    """The client for one job."""
    from towpath.cli.options import Caller
    from towpath.cli.output import Output

    caller = Caller(
        url=job.server,
        explicit=True,
        token_file=job.token_file,
        everywhere=False,
        ca=job.ca,
        cert=job.cert,
        cert_key=job.cert_key,
        proxy=job.proxy,
        output=Output(),
        progress="none",
    )
    return caller.client(
        state_dir=notebook,
        parallel=job.parallel,
        connections=job.connections,
        total_connections=lines,
        chunk_size=job.chunk_size or None,
        retries=job.retries,
        verify=job.verify,
        limit=throttle,
    )


def known(client: Client, job: Job) -> str:
    """What the file of a job is called on the server, if that has it; "" if it is to be sent.

    Raises TowpathError if that cannot be seen, and has to be.
    """
    from towpath.cli.output import Output
    from towpath.cli.select import Found
    from towpath.cli.unsent import Unsent
    from towpath.client.attributes import LINK

    if not job.unless_there:
        return ""
    unsent = Unsent(
        client=client,
        output=Output(),
        insists=job.update,
        always=False,
        checksum=job.checksum,
        beside=job.on_conflict in ("", "keep-both"),
        sealed=_is_sealed(job),
        retries=0,
        later=True,
    )
    found = unsent.known(Found(job.path, job.name, job.metadata[LINK] if job.link else None))
    return found.path if found else ""


def _is_sealed(job: Job) -> bool:
    return bool(job.key_files or job.recipients or job.passphrase_file)


def locking(job: Job) -> Sequence[Locks]:
    """Whom a job is encrypted for. Raises SettingsError, Malformed."""
    from towpath.cli.keyfiles import locks
    from towpath.cli.output import Output

    if not _is_sealed(job):
        return ()
    said = {
        "key_file": job.key_files,
        "recipient": job.recipients,
        "passphrase_file": job.passphrase_file,
        "passphrase_env": None,
        "encrypt": True,
    }
    return locks(said, Output())


def main() -> int:
    """Be the worker; on POSIX, in a process that nobody has to wait for."""
    from towpath.client.queue import Queue

    queue = Queue(queue_folder())
    if os.name == "posix":
        if os.fork():
            return 0
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nothing, stream)
    queue.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chdir(queue.folder)  # no other folder is kept busy
    _write_log(queue.folder / "runner.log")
    halt = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: halt.set())
    _log.info("Process %d works.", os.getpid())
    try:
        work(queue, halt)
    except Exception:  # noqa: BLE001 - there is no terminal to say it on
        _log.exception("Process %d ends in an unforeseen way.", os.getpid())
        return 1
    _log.info("Process %d has nothing left to do.", os.getpid())
    return 0


def _alone(queue: Queue, held: ExitStack) -> bool:
    for _ in range(_TRIES):
        try:
            held.enter_context(queue.held())
        except StateConflict:
            time.sleep(_PAUSE)
        else:
            return True
    return False


def _write_log(path: Path) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
    handler = RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=1)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


if __name__ == "__main__":
    sys.exit(main())
