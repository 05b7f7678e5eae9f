"""Logs: one line an event, with the ids of the request and the upload it belongs to.

Rules: no secret, no body, no query string is ever logged; text for people, JSON for programs.
"""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The request that this code runs for."""
upload_id: ContextVar[str] = ContextVar("upload_id", default="")
"""The upload that this request is about, once it is known."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def extras(record: logging.LogRecord) -> dict[str, Any]:
    """What was added to the record by name, with the ids of the request and the upload."""
    found = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    if request := request_id.get():
        found.setdefault("request", request)
    if upload := upload_id.get():
        found.setdefault("upload", upload)
    return found


def _word(value: object) -> object:
    """A value in a line of text: one word without control characters, or quoted."""
    if not isinstance(value, str) or (value.isprintable() and value.isascii() and " " not in value):
        return value
    return ascii(value)


class TextFormatter(logging.Formatter):
    """time level logger: message name=value ..."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        line = f"{moment:%Y-%m-%d %H:%M:%S} {record.levelname.lower():7} {record.getMessage()}"
        for name, value in extras(record).items():
            line += f" {name}={_word(value)}"
        line = line.replace("\r", "\\r").replace("\n", "\\n")
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        document = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **extras(record),
        }
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        return json.dumps(document, default=str)


def configure(level: str, form: str) -> None:
    """Send the logs of this process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for chatty in ("alembic", "uvicorn", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
