"""The page of events names every event and every field that there is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from towpath.core.model import Object
from towpath.core.news import KINDS, News, Pressure
from towpath.core.ranges import Extent
from towpath.protocol import events, rooms
from towpath.protocol.session import Session
from towpath.testing.rows import upload
from towpath.web.webhooks import EVENTS

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "events.md").read_text("utf-8")
SESSION = Session(chunk=5, client="c", filename="f", title="t", build_index=True)
DOCUMENT = upload(dialect="documents", memo=SESSION.as_text())


def news(kind: str) -> News:
    return News(kind=kind, upload=DOCUMENT, extent=Extent(5), received=7)


def names(value: object) -> set[str]:
    """Every member's name, also of inner objects."""
    if not isinstance(value, dict):
        return set()
    inner = (names(each) for key, each in value.items() if key != "digests")
    return set(value).union(*inner)


def data_of(text: str) -> object:
    return json.loads(text.partition("data: ")[2])


def test_every_event_and_field_stands_on_the_page() -> None:
    said = {*KINDS, *(f"upload.{each}" for each in EVENTS), "listening", "memory_warning"}
    said |= names(data_of(events.write_news(news("progress"))))
    said |= names(data_of(events.write_listening(1, more=False)))
    said |= names(data_of(events.write_pressure(Pressure(1, 2))))
    made = Object(tenant="t", owner="o", id="u", length=1, crc=2, created_at=3)
    said |= names(json.loads(events.write_webhook("completed", DOCUMENT, made, now=1)))
    texts, _ = rooms.write_news(news("progress"), rooms.Said(), now=5.0)
    assert len(texts) == 3
    for text in [*texts, rooms.write_pressure(Pressure(1, 2)), rooms.write_connected("c")]:
        message = json.loads(text)
        said |= names(message) | {message["type"]}
    known = set(re.findall(r"`([a-z._]+)`", PAGE))
    assert said - known == set()


@pytest.mark.parametrize("missing", ["durable", "upload_speed_bps"])
def test_a_field_that_is_missing_would_be_seen(missing: str) -> None:
    assert missing in set(re.findall(r"`([a-z._]+)`", PAGE))
    assert missing not in set(re.findall(r"`([a-z._]+)`", PAGE.replace(f"`{missing}`", "")))
