"""Brings a database to the tables of this version, and refuses what is from a newer one.

Rules:
- `migrations/` holds the revisions, one file each, written by hand, never changed once released.
- HEAD is the newest; a database that is stamped with it is opened without Alembic: its import
  takes longer than all the rest.
- An upgrade is one transaction: a database is never between two versions.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, column, inspect, select, table

from towpath.errors import LedgerError
from towpath.ledger import migrations

HEAD = "0004"
_STAMP = table("alembic_version", column("version_num"))


def is_current(connection: Connection) -> bool:
    """Tell whether the database has the tables of this version."""
    return _stamp(connection) == HEAD


def upgrade(connection: Connection) -> None:
    """Bring the tables to this version, within the caller's transaction.

    Raises LedgerError when the database is from a newer version.
    """
    from alembic.operations import Operations  # noqa: PLC0415  only the few who upgrade wait for it
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    (folder,) = migrations.__path__
    script = ScriptDirectory(folder, version_locations=[folder])
    stamp = _stamp(connection)
    if stamp is not None and stamp not in {one.revision for one in script.walk_revisions()}:
        raise LedgerError(
            "The ledger was written by a newer version of Towpath.",
            why=f"Its tables are of revision {stamp}; this version knows them up to {HEAD}.",
            todo="Start the newer version, or restore the copy made before the upgrade.",
        )

    def steps(revision: Any, _context: Any) -> Any:  # noqa: ANN401  Alembic's types are private
        return script._upgrade_revs("head", revision)  # noqa: SLF001  as its `upgrade` command does

    context = MigrationContext.configure(
        connection, opts={"fn": steps, "transactional_ddl": True, "script": script}
    )
    with Operations.context(context):
        context.run_migrations()


def _stamp(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_STAMP.name):
        return None
    return connection.execute(select(_STAMP.c.version_num)).scalar()
