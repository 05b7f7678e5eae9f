"""What is told as it happens, by Server-Sent Events. OpenAPI has no words for WebSockets."""

from __future__ import annotations

from towpath.web.openapi.words import TEXT, Values, answer, call, in_head, in_path

_STREAM: Values = {"text/event-stream": {"schema": TEXT}}
_LAST = in_head("Last-Event-ID", TEXT, "Of the last event that came, as an EventSource sends it.")
_ROOMS = "The same news come by WebSocket to the rooms of document sessions, at `/ws/{client_id}`."

PATHS: Values = {
    "/api/v1/events": {
        "get": call(
            "events",
            "Hear of your uploads as they happen",
            f"How each unfinished one stands comes first; then news, without an end. {_ROOMS}",
            answers={200: answer("A stream of events that goes on until it is closed.", _STREAM)},
        )
    },
    "/api/v1/uploads/{id}/events": {
        "get": call(
            "events",
            "Hear of one upload until it ends",
            parameters=[in_path("id", "Of the upload."), _LAST],
            answers={
                200: answer("A stream of events that ends with the upload.", _STREAM),
                204: answer("The upload has ended, and its last event was told."),
            },
            refusals=(404, 410),
        )
    },
}
