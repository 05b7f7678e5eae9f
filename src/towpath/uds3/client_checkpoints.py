"""Checkpoints as objects of a server, beside the documents that they tell of.

Rules: a small object with a name of its own; a new one takes the name from the old one in one step.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from towpath.client import Client
from towpath.client.records import milliseconds
from towpath.errors import NotFound
from towpath.uds3.records import SHELF, id_of, name_of


class ClientCheckpoints:
    """`Checkpoints` over a client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def read(self, operation_id: str) -> bytes | None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "record"
            try:
                self._client.download(name_of(operation_id), path).result()
            except NotFound:
                return None
            return path.read_bytes()

    def write(self, operation_id: str, data: bytes) -> None:
        name = name_of(operation_id)
        self._client.upload(BytesIO(data), name, on_conflict="replace").result()

    def written_at(self, operation_id: str) -> float | None:
        try:
            return milliseconds(self._client.stat(name_of(operation_id)).updated_at) / 1000
        except NotFound:
            return None

    def remove(self, operation_id: str) -> None:
        try:
            self._client.remove(name_of(operation_id))
        except NotFound:  # nothing to forget
            return

    def all(self) -> Iterator[str]:
        yield from (id_of(found.path) for found in self._client.names(SHELF))
