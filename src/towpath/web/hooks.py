"""Hooks over HTTP: asks another server whether an upload may begin, go on, and be complete.

Rules: signed as webhooks are; without an answer the upload may not go on, unless a setting says
that it may; a question is asked a second time only if the first one cannot have been heard.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence

from towpath.core.caller import Caller
from towpath.core.command import NewUpload
from towpath.core.model import Upload
from towpath.core.ports import Clock
from towpath.errors import Unanswered
from towpath.protocol import hooks
from towpath.protocol.signing import sign
from towpath.web.courier import Courier

_log = logging.getLogger("towpath.hooks")


class HttpHooks:
    """core.ports.Hooks that another server answers."""

    def __init__(
        self,
        url: str,
        asks: Sequence[str],
        signers: Sequence[bytes],
        courier: Courier,
        clock: Clock,
        *,
        fail_open: bool = False,
    ) -> None:
        """`asks`: which questions; `signers`: secrets; `fail_open`: no answer is yes."""
        self._url = url
        self._asks = frozenset(asks)
        self._signers = signers
        self._courier = courier
        self._clock = clock
        self._fail_open = fail_open
        self.watches = "while_receiving" in self._asks

    async def before_create(self, caller: Caller, new: NewUpload) -> NewUpload:
        if "before_create" not in self._asks:
            return new
        answer = await self._ask(
            "before_create", caller.tenant, caller.subject, hooks.describe_new(new)
        )
        return hooks.changed(new, answer)

    async def while_receiving(self, upload: Upload) -> None:
        if self.watches:
            await self._ask_of("while_receiving", upload)

    async def before_complete(self, upload: Upload) -> None:
        if "before_complete" in self._asks:
            await self._ask_of("before_complete", upload)

    async def _ask_of(self, kind: str, upload: Upload) -> None:
        await self._ask(kind, upload.tenant, upload.owner, hooks.describe(upload))

    async def _ask(
        self, kind: str, tenant: str, subject: str, upload: Mapping[str, object]
    ) -> Mapping[str, object]:
        now = self._clock.now()
        body = hooks.ask(kind, tenant, subject, upload, now=now)
        fields = sign(self._signers, f"ask_{secrets.token_hex(16)}", body, at=now // 1000)
        try:
            try:
                answer = await self._courier.post(self._url, fields, body)
            except Unanswered as error:
                if error.reached:
                    raise
                answer = await self._courier.post(self._url, fields, body)
            return hooks.read_answer(answer.status, answer.body)
        except Unanswered as error:
            _log.warning("a hook gave no answer", extra={"hook": kind, "why": str(error)})
            if self._fail_open:
                return {}
            raise
