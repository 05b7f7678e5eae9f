"""Uploads and downloads beside the bare loop and @tus/server: `python -m bench [--quick]`.

Prints a table, writes JSON and a picture to bench/out/. Everything stays on the loopback interface
and in one temporary directory, which is removed at the end.
"""

from __future__ import annotations

import argparse
import itertools
import shlex
import sys
import tempfile
from pathlib import Path

from bench import report
from bench.contestants import HERE, MODULES, contestants
from bench.rounds import MIB, Case, Field, run, verify
from towpath.testing.server import TOWPATH


def words(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="3 rounds of 64 MiB, plain only")
    parser.add_argument("--sizes", default="64,1024", help="MiB in all, with commas")
    parser.add_argument("--streams", default="1,8")
    parser.add_argument("--no-tls", action="store_true")
    parser.add_argument("--settle", type=int, default=8 * MIB, help="of the synced loop, bytes")
    parser.add_argument("--only", default="", help="names of contestants, with commas")
    parser.add_argument("--program", default="", help="instead of towpath's own command")
    parser.add_argument("--modules", type=Path, default=MODULES, help="a node_modules folder")
    parser.add_argument("--data", type=Path, help="where the servers keep their bytes")
    parser.add_argument("--out", type=Path, default=HERE / "out")
    return parser.parse_args(arguments)


def numbers(text: str) -> list[int]:
    """Numbers with commas between them."""
    return [int(word) for word in text.split(",")]


def main(arguments: list[str]) -> int:
    """Run the rounds and report."""
    asked = words(arguments)
    sizes = [64] if asked.quick else numbers(asked.sizes)
    rounds = 3 if asked.quick else asked.rounds
    tls = not (asked.quick or asked.no_tls)
    schemes = [False, True] if tls else [False]
    cases = [
        Case(scheme, streams, size * MIB)
        for scheme, streams, size in itertools.product(schemes, numbers(asked.streams), sizes)
    ]
    program = shlex.split(asked.program) or TOWPATH
    field_of = contestants(asked.settle, program, asked.modules.resolve())
    wanted = [each for each in field_of if not asked.only or each.name in asked.only.split(",")]
    with tempfile.TemporaryDirectory(prefix="towpath-bench-", dir=asked.data) as directory:
        field = Field(Path(directory), wanted, tls=tls)
        with field.started():
            for name, why in field.missing.items():
                print(f"NOT RUN: {name}: {why.strip()}", file=sys.stderr)
            verify(field)
            samples = run(field, cases, rounds, lambda line: print(line, file=sys.stderr))
    table = report.lines(samples)
    print(report.text(table, field.missing))
    facts = {
        "command": ["python", "-m", "bench", *arguments],
        "rounds": rounds,
        "missing": field.missing,
    }
    for path in report.write(asked.out, samples, table, facts):
        print(f"wrote {path}")
    return 0
