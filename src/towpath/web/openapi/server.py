"""What tells of the server itself: its health, its pages, this description."""

from __future__ import annotations

from towpath.web.openapi.words import TEXT, Values, answer, call, in_query, json_of

_PLAIN: Values = {"text/plain": {"schema": TEXT}}
_HTML: Values = {"text/html": {"schema": TEXT}}


def _get(summary: str, content: Values, description: str = "") -> Values:
    return call("server", summary, description, answers={200: answer("It.", content)}, security=[])


PATHS: Values = {
    "/": {"get": _get("See a page for people", _HTML)},
    "/api/docs": {"get": _get("Read this description as a page", _HTML)},
    "/api/v1/openapi.json": {"get": _get("Read this description", json_of({"type": "object"}))},
    "/livez": {"get": _get("See whether the process lives", _PLAIN)},
    "/readyz": {
        "get": call(
            "server",
            "See whether uploads can be taken",
            parameters=[in_query("verbose", TEXT, "Every part is listed.")],
            answers={
                200: answer("They can.", _PLAIN),
                503: answer("They cannot; what is wrong is listed.", _PLAIN),
            },
            security=[],
        )
    },
}
