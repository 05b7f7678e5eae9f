"""Answers to what is no request for the application: malformed, too large, too slow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from towpath.protocol.cors import Pairs
from towpath.protocol.message import join_fields
from towpath.protocol.problem import problem
from towpath.web.exchange import App


def refusing(
    status: int, detail: str, shared: Callable[[Mapping[str, str]], Pairs] | None = None
) -> App:
    """An application that answers any request so, and closes. `shared`: see `Registry`."""

    async def refuse(scope: Any, receive: Any, send: Any) -> None:
        headers, body = problem_of(status, detail)
        more = () if shared is None else shared(join_fields(scope["headers"]))
        headers += [(name.encode(), value.encode("latin-1")) for name, value in more]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return refuse


def problem_of(status: int, detail: str) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """The fields and the body of such an answer, as a problem document (RFC 9457)."""
    title, todo, code = _WORDS[status]
    reply = problem(status, title, why=detail, todo=todo, code=code)
    headers = [(name.encode(), value.encode()) for name, value in reply.fields]
    headers += [(b"content-length", b"%d" % len(reply.body)), (b"connection", b"close")]
    return headers, reply.body


_WORDS = {
    400: ("The request cannot be read.", "Send HTTP/1.1 as RFC 9112 has it.", "malformed"),
    408: ("The request did not come in time.", "Ask again on a new connection.", "too-slow"),
    414: ("The request's target is too long.", "Send a shorter one.", "target-too-long"),
    431: ("The request's head is too large.", "Send less metadata.", "head-too-large"),
}
