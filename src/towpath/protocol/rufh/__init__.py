"""Resumable uploads for HTTP: draft-ietf-httpbis-resumable-upload, every version still in use.

Section names are those of the draft; where versions differ, `versions` has a row for each.

Rules: offset and length do not make an upload complete, a request that says so does, once all of
its content has come; completed means processed, so it is said only when the object exists.
"""

from towpath.protocol.rufh.answers import (
    informational,
    invalidates,
    is_gone,
    limits,
    location,
    refuse,
    remember,
    render,
    replay,
    state,
)
from towpath.protocol.rufh.client import Told, compose, read
from towpath.protocol.rufh.requests import parse, read_behind, speaks
from towpath.protocol.rufh.versions import ACCEPT_PATCH, NAME

__all__ = [
    "ACCEPT_PATCH",
    "NAME",
    "Told",
    "compose",
    "informational",
    "invalidates",
    "is_gone",
    "limits",
    "location",
    "parse",
    "read",
    "read_behind",
    "refuse",
    "remember",
    "render",
    "replay",
    "speaks",
    "state",
]
