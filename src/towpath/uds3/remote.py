"""Operations against a server, carried by towpath.client.

Rules: the client finds out what the server has and sends the rest; how often and when it tries
again is ours to say, so the client itself tries once; the server's checksum of all bytes must be
the one of what was read here, else the upload is removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import quote

from towpath.client import BlockingTransfer, Client, Direction, Note, Progress
from towpath.client.coded_object import CodedObject
from towpath.client.peer import Peer
from towpath.client.surroundings import speed_limit, state_folder
from towpath.client.throttle import Pace, Throttle
from towpath.core.crc import crc
from towpath.errors import (
    DigestMismatch,
    Forbidden,
    NotFound,
    Refused,
    StateConflict,
    TowpathError,
    Unreadable,
    WrongKey,
)
from towpath.uds3.carrier import Job, Rules, checksum_of
from towpath.uds3.client_checkpoints import ClientCheckpoints
from towpath.uds3.coding import Key, insist_on_keys, wrong_key
from towpath.uds3.destinations import insist_on_place
from towpath.uds3.errors import named
from towpath.uds3.records import Checkpoints, Record

R = TypeVar("R")

# what the client says itself
_OURS = ("name", "filename", "mtime", "fingerprint", "attempt", "on-conflict")


class ClientCarrier:
    """A `Carrier` over HTTP. Clients are made when needed, for each chunk size and parallelism."""

    def __init__(
        self,
        url: str,
        token: str | None,
        state_dir: Path | None,
        rules: Rules,
        *,
        keys: tuple[Key, ...] = (),
        verify: bool,
    ) -> None:
        self._url = url if url.endswith("/") else f"{url}/"
        self._token = token
        self._rules = rules
        self._keys = keys
        self._verify = verify
        self._guard = Lock()
        self._clients: dict[tuple[int, int], Client] = {}
        self._state = state_folder() if state_dir is None else state_dir
        server = hashlib.sha256(self._url.encode()).hexdigest()[:12]
        self.folder = self._state / "operations" / server

    @property
    def checkpoints(self) -> Checkpoints:
        """Records as objects of the server."""
        return ClientCheckpoints(self._client(0, 1))

    def upload(self, job: Job) -> None:
        record = job.record
        insist_on_keys(record.path, sealed=record.sealed, keys=self._keys)
        record.insist_on_source(Path(record.path).stat())
        if job.restart:
            record.document_id = ""
        if not record.document_id:  # else only its checksum was not known yet
            self._send(job)
        if record.algorithm is not None:
            record.checksum = checksum_of(record.path, record.algorithm, job.control.check)

    def _send(self, job: Job) -> None:
        record = job.record
        client = self._client(record.chunk_size, job.parallel)
        result = self._carry(
            job,
            lambda restart: client.upload(
                record.path,
                record.address,
                metadata=_texts(record.metadata),
                on_conflict="replace",
                restart=restart,
                compress=str(record.level) if record.level else "no",
                encrypt=self._keys if record.sealed else (),
            ),
        )
        record.transferred, record.address = record.total, result.name
        record.key = record.document_id = result.url.rstrip("/").rpartition("/")[2]
        record.crc = result.crc64nvme

    def download(self, job: Job) -> None:
        record = job.record
        client = self._client(record.chunk_size, job.parallel)
        insist_on_place(Path(record.path), "destination_path")  # a client would write into a folder
        Path(record.path).parent.mkdir(parents=True, exist_ok=True)
        result = self._carry(
            job,
            lambda restart: client.download(
                self._found(client, record.address),
                record.path,
                overwrite=True,
                restart=restart,
                keys=self._keys,
            ),
        )
        record.transferred = record.total = result.length
        record.document_id = result.url.rstrip("/").rpartition("/")[2]
        record.crc = result.crc64nvme

    def undo(self, record: Record, *, tell: bool) -> None:
        """Whom the server tells of a cancelled upload is set up there."""
        if record.kind == "upload" and record.document_id:
            raise StateConflict("The upload is complete: its document stands.")
        client = self._client(record.chunk_size, 1)
        with contextlib.suppress(Refused):  # it is there, and may keep to itself how it is
            client.server()  # else nothing is forgotten here: it can go on later
        for note in client.unfinished():
            if _is_of(note, record):
                client.forget(note)

    def verify(self, record: Record) -> bool:
        try:
            found = self._client(record.chunk_size, 1).stat(record.address)
        except NotFound:
            return False
        if found.damaged or found.id != record.document_id:
            return False
        if record.coded:
            return self._reads_back(record)
        same = record.crc is None or found.digests.get("crc64nvme") == record.crc
        return same and found.length == record.total

    def before_exit(self, call: Callable[[], None]) -> None:
        """A client goes on while threads are waited for."""

    def close(self) -> None:
        with self._guard:
            clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            client.close()

    # --- inside ------------------------------------------------------------------------------

    def _client(self, chunk_size: int, connections: int) -> Client:
        """The client that sends chunks of that size, 0: all at once; over so many connections."""
        with self._guard:
            client = self._clients.get((chunk_size, connections))
            if client is None:
                client = self._clients[chunk_size, connections] = Client(
                    self._url,
                    self._token,
                    state_dir=self._state,
                    timeout=self._rules.timeout,
                    retries=0,
                    parallel=self._rules.operations,
                    connections=connections,
                    chunk_size=chunk_size or None,
                    verify=self._verify,
                )
            return client

    def _reads_back(self, record: Record) -> bool:
        """Read a coded file again, and tell whether it is the one that was sent."""
        peer = Peer(self._url, self._token, timeout=self._rules.timeout)
        peer = peer.paced(Pace(Throttle(speed_limit())))
        url = peer.address(f"files/{quote(record.document_id)}")
        try:
            found, value = CodedObject(peer, url, self._keys, _nobody), 0
            for block in found.blocks(0, found.length, _nobody):
                value = crc(block, value)
        except WrongKey as error:
            raise wrong_key(error) from error
        except (NotFound, DigestMismatch, Unreadable):
            return False
        except TowpathError as error:
            raise named(error) from error
        finally:
            peer.done_with()
        return found.length == record.total and record.crc == f"{value:016x}"

    def _carry(self, job: Job, start: Callable[[bool], BlockingTransfer[R]]) -> R:
        """Carry a transfer through; `start` is called for each try, and told whether anew."""
        record, restart, failures, best = job.record, job.restart, 0, -1
        while True:
            job.control.check()
            try:
                transfer = start(restart)
                restart = False
                return _carried(job, transfer)
            except Exception as error:  # noqa: BLE001 - `wait` raises what is not to be tried again
                job.control.check()
                failures = 1 if record.transferred > best else failures + 1
                best = max(best, record.transferred)
                delay = self._rules.wait(error, failures)
            record.retries += 1
            job.moved()
            job.control.sleep(delay)

    def _found(self, client: Client, address: str) -> str:
        """The name, or the URL of the object with that id. Raises NotFound."""
        try:
            client.stat(address)
        except Forbidden:  # who may only read cannot look: try it
            return address
        except NotFound:
            if "/" in address:
                raise
            return f"{self._url}files/{quote(address)}"
        return address


def _nobody() -> None:
    """No wish to stop."""


def _carried(job: Job, transfer: BlockingTransfer[R]) -> R:
    """Wait for the transfer, saying how far it is."""
    with job.control.telling(lambda: transfer.cancel(cleanup=False)):
        for progress in transfer:
            _follow(job, progress)
        return transfer.result()


def _follow(job: Job, progress: Progress) -> None:
    record = job.record
    if progress.total_bytes is not None:
        record.total = progress.total_bytes
    record.transferred, record.resumed_from = progress.transferred_bytes, progress.resumed_from
    job.moved()


def _texts(metadata: dict[str, Any]) -> dict[str, str]:
    """Metadata as a client sends it: texts, under keys without spaces and commas."""
    return {
        "_".join(key.replace(",", " ").split()): (
            value if isinstance(value, str) else json.dumps(value, default=str)
        )
        for key, value in metadata.items()
        if key not in _OURS
    }


def _is_of(note: Note, record: Record) -> bool:
    uploads = record.kind == "upload"
    if (note.direction is Direction.UPLOAD) is not uploads or note.path != record.path:
        return False
    return note.name == record.address or not uploads
