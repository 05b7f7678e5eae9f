"""Codecs of chunks that client and server share: where content is cut, compression, encryption.

Rules: bytes in, bytes out, no I/O; every length that a stranger wrote is bounded before anything
is done with it; cryptography and zstd are loaded when they are first used. docs/reference/format.md
is exact about every byte.
"""

SEALED = "application/vnd.towpath.coded"
"""The media type of an encrypted file as it is stored."""

PACKED = "application/vnd.towpath.coded+zstd"
"""The media type of a file that is only compressed: a run of zstd frames."""

MEDIA_TYPES = (SEALED, PACKED)
