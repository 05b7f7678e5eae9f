"""Commits a second and time a commit of the SQLite ledger, by durability and number of producers.

A commit is what a settled chunk costs: an upload is updated while its lease is expected. Then what
a request asks first, by one thread: a row by its key, and the rows that belong to an upload.
"""

import argparse
import platform
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from towpath.core.model import Lease, Upload
from towpath.core.state import UploadState
from towpath.ledger.base import Add, Expect, Query, Update
from towpath.ledger.sql import SqlLedger


def first_rows(id_: str) -> list[Add]:
    """Return what there is before the first chunk."""
    who: dict[str, Any] = {"tenant": "t", "owner": "o"}
    upload = Upload(
        **who,
        id=id_,
        state=UploadState.OPEN,
        length=None,
        handle=id_,
        created_at=1,
        updated_at=1,
        expires_at=None,
    )
    lease = Lease(**who, upload=id_, fence=1, start=0, end=None, holder="p", granted_at=1)
    return [Add(upload), Add(lease)]


def produce(ledger: SqlLedger, id_: str, until: float, took: list[float]) -> None:
    """Commit one after the other; write down the seconds that each took."""
    row = ledger.get(Upload, id_)
    assert row is not None
    while (begun := time.perf_counter()) < until:
        row = replace(row, offset=row.offset + 1)
        ledger.commit([Update(row), Expect(Lease, [(id_, 1)])])
        took.append(time.perf_counter() - begun)
        row = replace(row, version=row.version + 1)


def measure(
    folder: Path, durability: Literal["strict", "relaxed"], producers: int, seconds: float
) -> str:
    """Return a line of numbers."""
    ledger = SqlLedger(f"sqlite:///{folder / f'{durability}{producers}.db'}", durability)
    ids = [f"u{number}" for number in range(producers)]
    for id_ in ids:
        ledger.commit(first_rows(id_))
    took: list[float] = []
    until = time.perf_counter() + seconds
    threads = [threading.Thread(target=produce, args=(ledger, id_, until, took)) for id_ in ids]
    cpu = time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cpu = time.process_time() - cpu
    ledger.close()
    took.sort()
    p50, p99 = took[len(took) // 2], took[len(took) * 99 // 100]
    return (
        f"{durability:8} {producers:9} {len(took) / seconds:10,.0f} {p50 * 1e3:8.2f} ms"
        f" {p99 * 1e3:8.2f} ms {cpu / len(took) * 1e6:6.0f} us"
    )


def reads(folder: Path, seconds: float) -> Iterator[str]:
    """Return a line of numbers for each way to read."""
    ledger = SqlLedger(f"sqlite:///{folder / 'reads.db'}", "relaxed")
    ledger.commit(first_rows("u"))
    of_upload = Query(where={"upload": "u"})
    ways: dict[str, Callable[[], object]] = {
        "one row by its key": lambda: ledger.get(Upload, "u"),
        "rows of an upload": lambda: ledger.list(Lease, of_upload),
    }
    for what, read in ways.items():
        count, until, cpu = 0, time.perf_counter() + seconds, time.process_time()
        while time.perf_counter() < until:
            read()
            count += 1
        cpu = time.process_time() - cpu
        yield f"{what:20} {count / seconds:8,.0f} a second {cpu / count * 1e6:20.0f} us"
    ledger.close()


def main(arguments: list[str]) -> int:
    """Measure in a folder, by default a temporary one: say where the disk is that matters."""
    parser = argparse.ArgumentParser("python -m bench ledger")
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--seconds", type=float, default=3.0)
    given = parser.parse_args(arguments)
    print(f"python -m bench ledger --seconds {given.seconds}")
    print(platform.platform(), platform.python_version(), datetime.now(UTC).date())
    print(f"{'':8} producers  commits/s         p50         p99  CPU each")
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        for durability in ("relaxed", "strict"):
            for producers in (1, 8, 32):
                print(measure(Path(folder), durability, producers, given.seconds))
        for line in reads(Path(folder), given.seconds):
            print(line)
    return 0
