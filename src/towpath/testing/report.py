"""The command line that the suites for servers share: a line for each check, then a summary.

Rules: exit code 0 when every MUST holds, 1 when one does not, 2 when the server cannot be asked.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict

from towpath.testing.conformance import Outcome, Result
from towpath.testing.rawhttp import Gone

Run = Callable[[argparse.Namespace, Callable[[Outcome], None]], list[Outcome]]


def parser(program: str, says: str) -> argparse.ArgumentParser:
    """The options that every suite has."""
    made = argparse.ArgumentParser(prog=program, description=says)
    made.add_argument("url", help="where uploads are created, as in http://127.0.0.1:8000/files/")
    made.add_argument("--json", action="store_true", help="one object a line")
    made.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="this check, or the checks of this extension; may be given again",
    )
    made.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="sent with every request; may be given again",
    )
    made.add_argument(
        "--timeout", type=float, default=10.0, metavar="SECONDS", help="for one answer (10)"
    )
    return made


def read_headers(lines: Iterable[str]) -> dict[str, str]:
    """The fields that --header gave. Raises ValueError."""
    fields = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise ValueError("--header needs a name, a colon and a value")
        fields[name.strip()] = value.strip()
    return fields


def main(words: argparse.Namespace, run: Run) -> int:
    """Run, print, and say how it went as an exit code."""
    tell = _tell_json if words.json else _tell
    try:
        outcomes = run(words, tell)
    except (OSError, Gone, ValueError) as error:
        sys.stderr.write(f"{words.url} cannot be checked: {error}\n")
        return 2
    summary = summarize(outcomes)
    sys.stdout.write(f"{json.dumps({'summary': summary}) if words.json else _sentence(summary)}\n")
    return 1 if any(outcome.breaks for outcome in outcomes) else 0


def summarize(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """How many ended how."""
    counted = Counter(outcome.result for outcome in outcomes)
    broken = sum(outcome.breaks for outcome in outcomes)
    failed = counted[Result.FAIL]
    return {
        "checks": len(outcomes),
        "passed": counted[Result.PASS],
        "failed_must": broken,
        "failed_should": failed - broken,
        "skipped": counted[Result.SKIP],
    }


def _sentence(summary: dict[str, int]) -> str:
    return (
        f"{summary['checks']} checks: {summary['passed']} passed, "
        f"{summary['failed_must']} MUST and {summary['failed_should']} SHOULD failed, "
        f"{summary['skipped']} skipped"
    )


def _tell(outcome: Outcome) -> None:
    line = f"{outcome.result:4} {outcome.level:6} {outcome.extension}: {outcome.name}"
    if outcome.seen:
        line += f": {outcome.seen}"
    if outcome.result is Result.FAIL:
        line += f" ({outcome.clause})"
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _tell_json(outcome: Outcome) -> None:
    sys.stdout.write(json.dumps(asdict(outcome)) + "\n")
    sys.stdout.flush()
