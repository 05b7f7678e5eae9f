"""Carry a stream that can be read only once: chunk by chunk, each kept until the server has it.

Rules: runs in one worker thread; memory is one chunk; a cut within the run is survived, the end of
the process is not, so nothing is remembered.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from towpath.client import words
from towpath.client.blocks import BLOCK, crc64nvme
from towpath.client.control import Control
from towpath.client.peer import Peer, Reply, expect
from towpath.client.progress import Meter, TransferState
from towpath.client.records import UploadResult
from towpath.client.retry import Patience
from towpath.client.words import Standing
from towpath.errors import BadAnswer, DigestMismatch, TowpathError

CHUNK = 8 * 1024 * 1024  # bytes kept until they are acknowledged


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTask:
    """What is to be uploaded, and under which name."""

    id: str
    source: BinaryIO
    name: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    on_conflict: str = ""
    chunk_size: int | None = None  # bytes


class StreamUpload:
    """One stream on its way. It runs once."""

    def __init__(self, task: StreamTask, peer: Peer, control: Control, meter: Meter) -> None:
        self._task = task
        self._peer = peer
        self._control = control
        self._meter = meter
        self._url = ""
        self._window = memoryview(bytearray(task.chunk_size or CHUNK))

    def run(self, patience: Patience) -> UploadResult:
        """Carry it through. Raises Stopped when asked to, TowpathError when it cannot be done."""
        began = time.monotonic()
        self._persist(patience, self._create)
        self._meter.begin(0)
        offset, crc = 0, 0
        while filled := self._fill():
            crc = crc64nvme(self._window[:filled], crc)
            self._deliver(offset, filled, patience)
            offset += filled
        end = offset
        standing = self._persist(patience, lambda: self._close(end))
        if standing.crc is not None and standing.crc != crc:
            raise DigestMismatch(
                f"What the server has of {self._task.name} are not the bytes that were sent.",
                why=f"Its CRC64NVME is {standing.crc:016x} there and {crc:016x} here.",
                todo="Remove it and send it again.",
            )
        self._meter.total = offset
        self._meter.state(TransferState.COMPLETE)
        return UploadResult(
            transfer_id=self._task.id,
            name=standing.name or self._task.name,
            path="-",
            url=self._url,
            length=offset,
            crc64nvme=f"{crc:016x}",
            verified=standing.crc is not None,
            resumed_from=0,
            sent_bytes=self._meter.sent,
            seconds=time.monotonic() - began,
        )

    def discard(self) -> None:
        """Remove from the server what is there."""
        if self._url:
            self._peer.ask("DELETE", self._url, words.TUS, again=True)

    def _fill(self) -> int:
        """Read the next chunk; fewer bytes than it holds only at the end."""
        filled = 0
        while filled < len(self._window):
            self._control.check()
            taken = self._read_into(self._window[filled : filled + BLOCK])
            if not taken:
                break
            filled += taken
        return filled

    def _read_into(self, view: memoryview) -> int:
        if hasattr(self._task.source, "readinto"):
            return int(self._task.source.readinto(view) or 0)
        data = self._task.source.read(len(view))
        view[: len(data)] = data
        return len(data)

    def _deliver(self, start: int, count: int, patience: Patience) -> None:
        """Send a chunk until the server has all of it."""
        offset, sure = start, True
        while offset < start + count:
            try:
                if not sure:
                    offset = words.standing(expect(self._ask("HEAD")).fields).offset
                    self._meter.at(offset)
                    self._meter.state(TransferState.RUNNING)
                    sure = True
                if not start <= offset <= start + count:
                    raise BadAnswer(
                        "The server lost bytes that cannot be sent again.",
                        why=f"It is at {offset}; a stream is read only once.",
                    )
                if offset < start + count:
                    offset = self._send(offset, self._window[offset - start : count])
                    patience.progress()
            except TowpathError as error:
                self._control_wait(patience.after(error))
                sure = False

    def _send(self, offset: int, view: memoryview) -> int:
        with self._peer.open(
            "PATCH", self._url, words.chunk(offset), length=len(view), check=self._control.check
        ) as exchange:
            for at in range(0, len(view), BLOCK):
                block = view[at : at + BLOCK]
                if not exchange.send(block):
                    break
                self._meter.moved(len(block))
            return words.standing(expect(exchange.reply()).fields).offset

    def _create(self) -> Standing:
        task = self._task
        metadata = {**task.metadata, "name": task.name, "filename": task.name.rpartition("/")[2]}
        if task.on_conflict:
            metadata["on-conflict"] = task.on_conflict
        files = self._peer.address("files/")
        reply = expect(self._peer.ask("POST", files, words.creation(None, metadata)))
        if not reply.fields.get("location"):
            raise BadAnswer("The server did not say where the upload is.")
        self._url = self._peer.address(reply.fields["location"], files)
        return Standing(0)

    def _close(self, length: int) -> Standing:
        """Tell the length: the upload is complete."""
        standing = words.standing(expect(self._ask("HEAD")).fields)
        if standing.length is None:
            fields = words.chunk(length, length=length)
            told = words.standing(expect(self._ask("PATCH", fields)).fields)
            standing = told if told.crc is not None else standing
        if standing.crc is None:
            standing = words.standing(expect(self._ask("HEAD")).fields)
        return standing

    def _persist(self, patience: Patience, act: Callable[[], Standing]) -> Standing:
        while True:
            try:
                return act()
            except TowpathError as error:
                self._control_wait(patience.after(error))

    def _control_wait(self, seconds: float) -> None:
        self._meter.retry()
        self._control.sleep(seconds)

    def _ask(self, method: str, fields: Mapping[str, str] = words.TUS) -> Reply:
        return self._peer.ask(method, self._url, fields, check=self._control.check)
