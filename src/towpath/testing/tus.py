"""The conformance suite for tus 1.0 servers: one check for each thing the protocol asks.

    python -m towpath.testing.tus URL [--json] [--only NAME] [--header 'Authorization: Bearer x']

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
    def test_my_server(check):
        outcome, = run(url, only=[check.name])
        assert not outcome.breaks, outcome.seen

Rules: standard library only; each check has uploads of its own, and terminates them where it can.
The specification is protocol.md, version 1.0.0, of the tus resumable upload protocol.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence

from towpath.testing import report, tus_concat, tus_core, tus_creation, tus_extensions
from towpath.testing.conformance import Check, Outcome, chosen, run_all
from towpath.testing.tus_peer import TusPeer

__all__ = ["CHECKS", "main", "run"]

CHECKS: tuple[Check[TusPeer], ...] = (
    *tus_core.checks.all,
    *tus_creation.checks.all,
    *tus_extensions.checks.all,
    *tus_concat.checks.all,
)


def run(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    only: Iterable[str] = (),
    timeout: float = 10.0,
    tell: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Run the checks against a URL at which uploads are created.

    `only` names checks or extensions; `tell` hears of each outcome as it comes. Raises OSError or
    Gone when nobody answers there, and ValueError for a bad URL or name.
    """
    checks = chosen(CHECKS, only)
    peer = TusPeer(url, headers=headers, timeout=timeout)
    return run_all(checks, peer.fresh, tell)


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line."""
    words = report.parser("python -m towpath.testing.tus", "Checks a tus 1.0 server.")
    return report.main(words.parse_args(arguments), _run)


def _run(words: argparse.Namespace, tell: Callable[[Outcome], None]) -> list[Outcome]:
    headers = report.read_headers(words.header)
    return run(words.url, headers=headers, only=words.only, timeout=words.timeout, tell=tell)


if __name__ == "__main__":
    sys.exit(main())
