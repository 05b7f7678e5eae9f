"""What the further dialects keep: parts, expected digests, their own notes; objects by SHA-256."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the columns."""
    op.add_column(
        "uploads", sa.Column("partial", sa.Boolean, nullable=False, server_default=sa.false())
    )
    for name in ("parts", "expects", "wants", "memo"):
        op.add_column("uploads", sa.Column(name, TEXT, nullable=False, server_default=""))
    op.add_column("objects", sa.Column("sha256", sa.LargeBinary))
    op.create_index("objects_by_sha256", "objects", ["tenant", "sha256"])
