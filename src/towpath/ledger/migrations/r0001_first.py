"""The first tables: uploads, islands, leases, objects, segments, names, the outbox."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
WORD = sa.Text()
NUMBER = sa.BigInteger()


def _needed(name: str, type_: Any) -> sa.Column[Any]:  # noqa: ANN401
    return sa.Column(name, type_, nullable=False)


def _common() -> list[sa.Column[Any]]:
    return [_needed("tenant", TEXT), _needed("owner", TEXT), _needed("version", NUMBER)]


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "uploads",
        *_common(),
        _needed("id", TEXT),
        _needed("state", WORD),
        sa.Column("length", NUMBER),
        _needed("offset", NUMBER),
        _needed("crc", NUMBER),
        sa.Column("hasher", sa.LargeBinary),
        _needed("handle", TEXT),
        _needed("fence", NUMBER),
        sa.Column("name", TEXT),
        _needed("on_conflict", WORD),
        sa.Column("media_type", TEXT),
        _needed("metadata", TEXT),
        _needed("dialect", TEXT),
        _needed("completes", sa.Boolean),
        _needed("created_at", NUMBER),
        _needed("updated_at", NUMBER),
        sa.Column("expires_at", NUMBER),
        _needed("reason", TEXT),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("uploads_of_tenant", "uploads", ["tenant", "id"])
    op.create_index("uploads_of_tenant_by_state", "uploads", ["tenant", "state"])
    op.create_index("uploads_by_state_and_expiry", "uploads", ["state", "expires_at"])
    op.create_index("uploads_by_handle", "uploads", ["handle"])
    op.create_table(
        "islands",
        *_common(),
        _needed("upload", TEXT),
        _needed("start", NUMBER),
        _needed("end", NUMBER),
        _needed("crc", NUMBER),
        sa.PrimaryKeyConstraint("upload", "start"),
    )
    op.create_table(
        "leases",
        *_common(),
        _needed("upload", TEXT),
        _needed("fence", NUMBER),
        _needed("start", NUMBER),
        sa.Column("end", NUMBER),
        _needed("holder", TEXT),
        _needed("granted_at", NUMBER),
        sa.PrimaryKeyConstraint("upload", "fence"),
    )
    _objects_and_names()
    op.create_table(
        "outbox",
        *_common(),
        _needed("id", TEXT),
        _needed("kind", TEXT),
        _needed("subject", TEXT),
        _needed("created_at", NUMBER),
        _needed("due_at", NUMBER),
        _needed("tries", NUMBER),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("outbox_by_due", "outbox", ["due_at"])


def _objects_and_names() -> None:
    op.create_table(
        "objects",
        *_common(),
        _needed("id", TEXT),
        _needed("length", NUMBER),
        _needed("crc", NUMBER),
        _needed("digests", TEXT),
        sa.Column("media_type", TEXT),
        _needed("metadata", TEXT),
        _needed("created_at", NUMBER),
        sa.Column("scrubbed_at", NUMBER),
        _needed("damaged", sa.Boolean),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "segments",
        *_common(),
        _needed("object", TEXT),
        _needed("position", NUMBER),
        _needed("address", TEXT),
        _needed("start", NUMBER),
        _needed("end", NUMBER),
        sa.PrimaryKeyConstraint("object", "position"),
    )
    op.create_index("segments_by_address", "segments", ["address"])
    op.create_table(
        "names",
        *_common(),
        _needed("path", TEXT),
        _needed("object", TEXT),
        _needed("updated_at", NUMBER),
        sa.PrimaryKeyConstraint("tenant", "path"),
    )
    op.create_index("names_of_object", "names", ["object"])
