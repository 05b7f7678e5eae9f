"""Signatures of what we tell and ask other servers, as the Standard Webhooks specification has it.

    webhook-id: evt_...            the same for every try
    webhook-timestamp: 1800000000  seconds since 1970, of this try
    webhook-signature: v1,<base64 of HMAC-SHA256 over "id.timestamp.body"> v1,<by the next secret>

Rules: a secret is 24 to 64 random bytes, written as whsec_ and base64; with several secrets, each
signs, so that one can be replaced by another without a gap.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

from towpath.errors import Malformed

PREFIX = "whsec_"


def read_secrets(text: str) -> tuple[bytes, ...]:
    """The secrets in a text, one a line, the newest first. Raises Malformed without telling any."""
    secrets = []
    for number, line in enumerate(text.split(), 1):
        try:
            secret = base64.b64decode(line.removeprefix(PREFIX), validate=True)
        except (binascii.Error, ValueError):
            secret = b""
        if not line.startswith(PREFIX) or not 24 <= len(secret) <= 64:
            raise Malformed(
                f"Secret {number} cannot be read.",
                why="It is not whsec_ and the base64 of 24 to 64 bytes.",
                todo='Make one: echo "whsec_$(openssl rand -base64 32)"',
            )
        secrets.append(secret)
    if not secrets:
        raise Malformed(
            "There is no secret.",
            why="The text is empty.",
            todo='Make one: echo "whsec_$(openssl rand -base64 32)"',
        )
    return tuple(secrets)


def sign(
    secrets: Sequence[bytes], key: str, body: bytes, *, at: int
) -> tuple[tuple[str, str], ...]:
    """The fields that prove where `body` comes from. `at`: seconds since 1970."""
    content = f"{key}.{at}.".encode() + body
    made = (hmac.new(secret, content, hashlib.sha256).digest() for secret in secrets)
    signature = " ".join(f"v1,{base64.b64encode(mac).decode()}" for mac in made)
    return (
        ("webhook-id", key),
        ("webhook-timestamp", str(at)),
        ("webhook-signature", signature),
    )
