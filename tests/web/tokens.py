"""Tokens of two tenants, as a file that a server reads."""

from __future__ import annotations

import hashlib
from pathlib import Path

SECRETS = {
    "alice": "S3cret-of-alice-4711",
    "carol": "S3cret-of-carol-4712",
    "bob": "S3cret-of-bob-4713",
    "admin": "S3cret-of-admin-4714",
    "reader": "S3cret-of-reader-4715",
    "writer": "S3cret-of-writer-4716",
    "team": "S3cret_of_team_4717",
}
"""Secrets by token id: a token is `tow_<id>_<secret>`."""

ENTRIES = {
    "alice": 'tenant = "red"\nsubject = "alice"',
    "carol": 'tenant = "red"\nsubject = "carol"',
    "bob": 'tenant = "blue"\nsubject = "alice"',  # the same subject, of another tenant
    "admin": 'tenant = "red"\nsubject = "admin"\n'
    'scopes = ["write", "read", "list", "remove", "admin"]',
    "reader": 'tenant = "red"\nsubject = "alice"\nscopes = ["read", "list"]',
    "writer": 'tenant = "red"\nsubject = "alice"\nscopes = ["write"]',
    "team": 'tenant = "red"\nsubject = "team"\nprefix = "team/"',
}


def token(name: str) -> str:
    """What the holder shows."""
    return f"tow_{name}_{SECRETS[name]}"


def write_tokens(file: Path) -> Path:
    """Write the file; it has no secret in it."""
    blocks = (
        f'[[token]]\nid = "{name}"\n'
        f'sha256 = "{hashlib.sha256(SECRETS[name].encode()).hexdigest()}"\n{entry}\n'
        for name, entry in ENTRIES.items()
    )
    file.write_text("\n".join(blocks))
    return file
