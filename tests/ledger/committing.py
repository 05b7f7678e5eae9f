"""A program that commits from four threads until it is killed, and says what was acknowledged.

Each commit adds an island and counts it in its thread's upload. Usage: committing.py URL
"""

import os
import sys
import threading
from dataclasses import replace

from towpath.core.model import Upload
from towpath.ledger.base import Add, Expect, Update
from towpath.ledger.sql import SqlLedger
from towpath.testing.rows import island, upload

THREADS = 4


def run(ledger: SqlLedger, who: str) -> None:
    """Go on from where the last life of this program was killed."""
    if ledger.get(Upload, who) is None:
        ledger.commit([Add(upload(who, length=None))])
    while True:
        row = ledger.get(Upload, who)
        assert row is not None
        ledger.commit(
            [
                Update(replace(row, offset=row.offset + 1)),
                Add(island(row.offset, who)),
                Expect(Upload, [("u0",)]),
            ]
        )
        os.write(1, f"{who} {row.offset}\n".encode())


def main() -> None:
    """Commit until killed."""
    ledger = SqlLedger(sys.argv[1])
    if ledger.get(Upload, "u0") is None:
        ledger.commit([Add(upload("u0", length=None))])
    for number in range(THREADS):
        threading.Thread(target=run, args=(ledger, f"u{number}")).start()


if __name__ == "__main__":
    main()
