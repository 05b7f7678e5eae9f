"""Webhooks: tells other servers what happened to uploads; at least once, signed.

Rules:
- What is to be told is a row of the outbox for each address, committed with what it tells of.
- The id of a message is the same for all addresses and all tries; its signature is of each try.
- 2xx is heard. 410 is never asked again; everything else is, redirects too: they are not followed.
- An address that is not among the settings any more is told nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from towpath.core.model import Object, Outbox, Upload
from towpath.core.ports import Clock
from towpath.errors import SettingsError, Unanswered
from towpath.protocol.events import write_webhook
from towpath.protocol.signing import sign
from towpath.web.courier import Courier

KIND = "webhook"
EVENTS = ("created", "completed", "cancelled", "expired", "failed")
MOST_RETRY_AFTER = 3600


class Webhooks:
    """Says what must be told (core.ports.Notes), and tells it (engine.outbox.Work)."""

    def __init__(
        self,
        urls: Sequence[str],
        events: Sequence[str],
        secrets: Sequence[bytes],
        courier: Courier,
        clock: Clock,
    ) -> None:
        self._urls = {_name_of(url): url for url in urls}
        self._events = frozenset(events)
        self._secrets = secrets
        self._courier = courier
        self._clock = clock

    def of(self, kind: str, upload: Upload, made: Object | None, *, now: int) -> Sequence[Outbox]:
        """A row for each address that hears of this kind."""
        if kind not in self._events or not self._urls:
            return ()
        payload = write_webhook(kind, upload, made, now=now)
        return [
            Outbox(
                tenant=upload.tenant,
                owner=upload.owner,
                id=f"{KIND}:{name}:{kind}:{upload.id}",
                kind=KIND,
                subject=f"{name} evt_{kind}_{upload.id}",
                created_at=now,
                due_at=now,
                payload=payload,
            )
            for name in self._urls
        ]

    async def deliver(self, row: Outbox) -> None:
        """Tell it. Raises Unanswered for another try, SettingsError for none."""
        name, _, key = row.subject.partition(" ")
        url = self._urls.get(name)
        if url is None:
            raise SettingsError("Its address is not among the webhooks any more.")
        body = row.payload.encode()
        fields = sign(self._secrets, key, body, at=self._clock.now() // 1000)
        answer = await self._courier.post(url, fields, body)
        if 200 <= answer.status < 300:
            return
        if answer.status == 410:
            raise SettingsError("The address wants to hear no more.", why="It answered 410.")
        after = answer.fields.get("retry-after", "")
        raise Unanswered(
            "The message was not heard.",
            why=f"The answer was {answer.status}.",
            retry_after=min(int(after), MOST_RETRY_AFTER) if after.isdecimal() else 0,
        )


def _name_of(url: str) -> str:
    """What rows call an address: it may hold what is not for the ledger."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]
