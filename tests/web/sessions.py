"""Document sessions by hand: what tests of them send, and what a refusal must say."""

from __future__ import annotations

import json
import random
from typing import Any

from tests.web.forming import Forms, Part
from tests.web.talk import Answer, require_problem

BASE = "/api/documents/streaming"
KIB = 1024
CHUNK = 64 * KIB
CONTENT = b"%PDF-1.7\n" + random.Random(7).randbytes(5 * CHUNK)  # six chunks
TOTAL = 6


def begin(client: Forms, **more: Any) -> dict[str, Any]:
    said = {"filename": "paper.pdf", "file_size": len(CONTENT), "chunk_size": CHUNK, **more}
    answer = client.json("POST", "/initiate", said)
    assert answer.status == 200, answer.body
    return answer.document


def piece(index: int) -> bytes:
    return CONTENT[index * CHUNK : (index + 1) * CHUNK]


def parts(index: int, data: bytes | None = None, field: str = "file") -> list[Part]:
    return [
        ("chunk_id", str(index)),
        ("chunk_offset", str(index * CHUNK)),
        ("is_final", "true" if index == TOTAL - 1 else "false"),
        (field, piece(index) if data is None else data),
    ]


def send(client: Forms, key: str, index: int, data: bytes | None = None) -> Answer:
    return client.form(f"/chunk/{key}", parts(index, data))


def send_all(client: Forms, key: str) -> None:
    for index in range(TOTAL):
        assert send(client, key, index).status == 200


def resume(client: Forms, key: str, **more: Any) -> dict[str, Any]:
    answer = client.json("POST", "/resume", {"session_id": key, **more})
    assert answer.status == 200, answer.body
    return answer.document


def listed(client: Forms) -> list[dict[str, Any]]:
    answer = client.ask("GET", "/resumable")
    assert answer.status == 200, answer.body
    found: list[dict[str, Any]] = json.loads(answer.body)
    return found


def require_refusal(answer: Answer, status: int, code: str) -> dict[str, Any]:
    document = require_problem(answer, status, code)
    assert document["success"] is False
    assert document["title"] in document["message"]
    assert document["todo"] in document["message"]
    return document
