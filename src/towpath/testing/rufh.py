"""The conformance suite for Resumable Uploads for HTTP, in the version that --interop names.

    python -m towpath.testing.rufh URL [--interop 3..8|rfc] [--json] [--only NAME]
                                       [--header 'Authorization: Bearer x']

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
    def test_my_server(check):
        outcome, = run(url, "8", only=[check.name])
        assert not outcome.breaks, outcome.seen

Rules: standard library only; each check has uploads of its own, and cancels them. The specification
is draft-ietf-httpbis-resumable-upload; what its versions ask differently is in `rufh_versions`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence

from towpath.testing import report, rufh_append, rufh_concurrency, rufh_creation, rufh_limits
from towpath.testing.conformance import Check, Outcome, chosen, run_all
from towpath.testing.rufh_peer import NOTICED, RufhPeer
from towpath.testing.rufh_versions import VERSIONS

__all__ = ["CHECKS", "NEWEST", "main", "run"]

NEWEST = "8"
CHECKS: tuple[Check[RufhPeer], ...] = (
    *rufh_creation.checks.all,
    *rufh_append.checks.all,
    *rufh_limits.checks.all,
    *rufh_concurrency.checks.all,
)


def run(
    url: str,
    interop: str = NEWEST,
    *,
    headers: Mapping[str, str] | None = None,
    only: Iterable[str] = (),
    timeout: float = 10.0,
    noticed: float = NOTICED,
    tell: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Run the checks against a URL that takes uploads by POST.

    `interop` is a version, "3" to "8" or "rfc"; `only` names checks or parts of the specification;
    `noticed`: seconds that the server has to read what was sent, before a cut and after it; `tell`
    hears of each outcome as it comes. Raises OSError or Gone when nobody answers there, and
    ValueError for a bad URL, version or name.
    """
    if interop not in VERSIONS:
        raise ValueError(f"there is no version {interop}: {', '.join(VERSIONS)}")
    checks = chosen(CHECKS, only)
    peer = RufhPeer(url, VERSIONS[interop], headers=headers, timeout=timeout, noticed=noticed)
    peer.ask("OPTIONS", url)
    return run_all(checks, peer.fresh, tell)


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line."""
    words = report.parser(
        "python -m towpath.testing.rufh", "Checks a server of Resumable Uploads for HTTP."
    )
    words.add_argument(
        "--interop",
        choices=VERSIONS,
        default=NEWEST,
        help=f"the version: a draft's interop version, or rfc ({NEWEST})",
    )
    return report.main(words.parse_args(arguments), _run)


def _run(words: argparse.Namespace, tell: Callable[[Outcome], None]) -> list[Outcome]:
    headers = report.read_headers(words.header)
    return run(
        words.url,
        words.interop,
        headers=headers,
        only=words.only,
        timeout=words.timeout,
        tell=tell,
    )


if __name__ == "__main__":
    sys.exit(main())
