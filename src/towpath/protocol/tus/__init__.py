"""tus 1.0 with the extensions that EXTENSIONS names: the tus resumable upload protocol 1.0.0.

Section names are the specification's. An upload completes by itself when its last byte is durable.
HEAD is a claim: it ends whoever writes and tells the true offset.
"""

from towpath.protocol.tus.checksum import CHECKSUMS, read_behind
from towpath.protocol.tus.method import read_method
from towpath.protocol.tus.words import (
    ALWAYS,
    BODY,
    EXTENSIONS,
    NAME,
    VERSION,
    location,
    parse,
    read_metadata,
    refuse,
    render,
    speaks,
)

__all__ = [
    "ALWAYS",
    "BODY",
    "CHECKSUMS",
    "EXTENSIONS",
    "NAME",
    "VERSION",
    "location",
    "parse",
    "read_behind",
    "read_metadata",
    "read_method",
    "refuse",
    "render",
    "speaks",
]
