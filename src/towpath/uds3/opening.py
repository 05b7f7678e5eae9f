"""Where the operations of a manager happen, and how each one begins.

Rules: nothing is opened before the first operation, but all that it takes is loaded; what is opened
is swept of what is too old.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from towpath.client import surroundings
from towpath.client.coded import chunk_size as coded_chunk_size
from towpath.client.opened import open_source
from towpath.errors import NotFound, SettingsError
from towpath.settings import load
from towpath.uds3.carrier import Carrier, Rules
from towpath.uds3.coding import Codec
from towpath.uds3.crew import Crew, Terms
from towpath.uds3.destinations import address_of, file_of, target_of
from towpath.uds3.operations import OperationType
from towpath.uds3.records import FolderCheckpoints, Record, is_id, source_of

Location = str | os.PathLike[str]
Metadata = Mapping[str, Any]
N = TypeVar("N", int, float)

_LONGEST = 36_500.0  # days that anything is kept


@dataclass(frozen=True, kw_only=True)
class Place:
    """A server, or a data folder of this machine."""

    url: str | None
    token: str | None
    data: Path | None
    state_dir: Path | None


class Opening:
    """Opens the place of a manager, and describes new operations."""

    def __init__(
        self,
        place: Place,
        rules: Rules,
        terms: Terms,
        codec: Codec,
        *,
        algorithm: str | None,
        chunk_size: int,
        retention_days: float,
        in_database: bool,
    ) -> None:
        """`algorithm` of checksums; `in_database`: records are kept beside the documents."""
        self.rules = rules
        self._retention_days = _days("checkpoint_retention_days", retention_days)
        self._place = place
        self._terms = terms
        self._codec = codec
        self._algorithm = algorithm
        self._chunk_size = chunk_size
        self._in_database = in_database
        self._guard = threading.Lock()
        self._open: Crew | None = None
        if self.in_process:  # what the library itself takes is there before any file is
            import_module("towpath.uds3.in_process")

    @property
    def in_process(self) -> bool:
        """True when there is no server."""
        return self._place.url is None

    def crew(self) -> Crew:
        """Who carries; made when first needed. Raises SettingsError, StoreBusy, StoreError."""
        with self._guard:
            if self._open is None:
                carrier = self._carrier()
                local = FolderCheckpoints(carrier.folder)
                kept = carrier.checkpoints if self._in_database else local
                crew = Crew(carrier, kept, self._terms, self.rules.operations)
                try:
                    crew.sweep(self._retention_days, checkpoints=True, records=True)
                except BaseException:
                    crew.close(waits=False)
                    raise
                carrier.before_exit(crew.finish)
                self._open = crew
            return self._open

    def close(self, *, waits: bool) -> None:
        """Let go of everything: pause what is under way, or wait for it."""
        with self._guard:
            crew, self._open = self._open, None
        if crew is not None:
            crew.close(waits=waits)

    def days(self, asked: float | None) -> float:
        """For how long operations are kept, if nobody asks for another time."""
        return self._retention_days if asked is None else _days("retention_days", asked)

    def new_upload(
        self,
        file_path: Location,
        destination: Location | None,
        chunk_size: int | None,
        metadata: Metadata | None,
        operation_id: str = "",
        *,
        encrypt: bool = False,
    ) -> Record:
        """An upload that is to begin. `encrypt`: its chunks are, whatever the others' are.

        `destination`: None for the one that the operation has. Raises FileNotFoundError,
        Malformed, NotFound, SettingsError, TransferError.
        """
        codec = self._codec
        if encrypt:
            codec.insist_on_key("encrypt")
        path = Path(os.path.abspath(file_path))  # noqa: PTH100 - links stay, ".." goes
        stat = path.stat()
        open_source(str(path)).close()  # or what is wrong with it
        if destination is None:
            address = self.crew().find(operation_id).record.address
        else:
            where = os.fspath(destination)
            address = address_of(where, path.name, in_process=self.in_process)
        sealed, size = codec.seals or encrypt, self._size(chunk_size)
        if sealed or codec.level:
            size = coded_chunk_size(stat.st_size, size, codec.level)
        return Record(
            operation_id=operation_id if is_id(operation_id) else uuid4().hex,
            kind=OperationType.UPLOAD,
            path=str(path),
            address=address,
            chunk_size=size,
            total=stat.st_size,
            source=source_of(stat),
            metadata=json.loads(json.dumps(dict(metadata or {}), default=str)),
            algorithm=self._algorithm,
            level=codec.level,
            sealed=sealed,
        )

    def new_download(self, document: str, target: Location, chunk_size: int | None) -> Record:
        """A download that is to begin. Raises Malformed, SettingsError."""
        address, own = document, document
        with contextlib.suppress(NotFound):
            known = self.crew().find(document).record
            address, own = known.document_id or known.address, known.address
        if "://" in address or (self.in_process and Path(address).is_absolute()):
            address = file_of(address, in_process=self.in_process).as_uri()
        else:
            address = address.removeprefix("./").lstrip("/")
        return Record(
            operation_id=uuid4().hex,
            kind=OperationType.DOWNLOAD,
            path=str(target_of(os.fspath(target), own)),
            address=address,
            chunk_size=self._size(chunk_size),
            algorithm=self._algorithm,
        )

    def _size(self, asked: int | None) -> int:
        return at_least(1, "chunk_size", asked or self._chunk_size)

    def _carrier(self) -> Carrier:
        place = self._place
        if place.url is not None:
            from towpath.uds3.remote import ClientCarrier  # noqa: PLC0415 - only one is needed

            token = place.token or surroundings.token()
            verify = self._algorithm is not None
            return ClientCarrier(
                place.url, token, place.state_dir, self.rules, keys=self._codec.keys, verify=verify
            )
        from towpath.uds3 import house  # noqa: PLC0415 - an engine is slow to import
        from towpath.uds3.in_process import EngineCarrier  # noqa: PLC0415 - the same

        settings = load({"data": place.data})
        settings = replace(
            settings,
            data=settings.data.absolute(),  # the working folder may change
            lifetime=max(settings.lifetime, self._retention_days * 86400.0),
        )
        return EngineCarrier(house.enter(settings), self.rules, self._codec.keys)


def at_least(least: N, name: str, value: N) -> N:
    """The value. Raises SettingsError if it is less, or no number."""
    try:
        is_enough = value >= least  # NaN is not
    except TypeError:
        is_enough = False
    if not is_enough:
        raise cannot_be(name, value, f"{least} or more")
    return value


def _days(name: str, value: float) -> float:
    """The days, a hundred years at most. Raises SettingsError if they are fewer than none."""
    return min(at_least(0.0, name, value), _LONGEST)


def cannot_be(name: str, value: object, wanted: str) -> SettingsError:
    """What is said of an argument that is out of bounds."""
    return SettingsError(
        f"{name} cannot be {value!r}.", why=f"It must be {wanted}.", todo="Correct the argument."
    )
