"""Runs the slow tests in portions: each in its own pytest call, and none twice for the same code.

    python tests/slow.py [--fresh] [--only TEXT] [--limit SECONDS] [--stop-after SECONDS]

What has passed is kept in build/slow.json together with a fingerprint of the code. A run that was
stopped, or that stopped itself after --stop-after, goes on with what is left; when the code
changes, or with --fresh, all of it runs again. Exit codes: 0 all passed, 1 some failed,
3 stopped with some left.
"""

import argparse
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
STATE = ROOT / "build" / "slow.json"
LEFT_OVER = 3


@dataclass
class Progress:
    """Which tests have passed, for which code."""

    path: Path
    code: str
    passed: list[str] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path, code: str) -> "Progress":
        """Go on where a run of the same code stopped; else start at nothing."""
        if path.exists():
            kept = json.loads(path.read_text())
            if kept["code"] == code:
                return cls(path, code, kept["passed"])
        return cls(path, code)

    def add(self, test: str) -> None:
        """Remember a test that has passed, whatever happens next."""
        self.passed.append(test)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps({"code": self.code, "passed": self.passed}, indent=1))
        fresh.replace(self.path)


def fingerprint(root: Path) -> str:
    """Name the code as it stands: the commit, and what has been changed since."""
    seen = hashlib.sha256()
    for command in (
        ["git", "rev-parse", "HEAD"],
        ["git", "diff", "HEAD"],
        ["git", "status", "--short"],
    ):
        seen.update(subprocess.run(command, cwd=root, capture_output=True, check=True).stdout)
    return seen.hexdigest()


def collect(root: Path) -> list[str]:
    """List the ids of the slow tests."""
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "slow", "tests"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    nothing_collected = 5
    if found.returncode not in (0, nothing_collected):
        sys.exit(found.stdout + found.stderr)
    return [line for line in found.stdout.splitlines() if "::" in line]


def run_one(root: Path, test: str, limit: float) -> bool:
    """Run one test by itself; end it and all that it started when its time is over."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "slow", test]
    child = subprocess.Popen(command, cwd=root, start_new_session=True)
    try:
        return child.wait(limit) == 0
    except subprocess.TimeoutExpired:
        print(f"==> {test}: not done after {limit:.0f} s", flush=True)
        return False
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def run(tests: list[str], progress: Progress, limit: float, stop_after: float) -> int:
    """Run what is left of the tests; say at the end how it stands."""
    started = time.monotonic()
    failed: list[str] = []
    left = [test for test in tests if test not in progress.passed]
    for done, test in enumerate(left):
        if time.monotonic() - started > stop_after:
            print(f"==> stopped after {stop_after:.0f} s; {len(left) - done} left, run again")
            break
        print(f"==> {len(tests) - len(left) + done + 1}/{len(tests)} {test}", flush=True)
        if run_one(ROOT, test, limit):
            progress.add(test)
        else:
            failed.append(test)
    for test in failed:
        print(f"FAILED {test}")
    passed = sum(test in progress.passed for test in tests)
    print(f"{passed} passed, {len(failed)} failed")
    if failed:
        return 1
    return 0 if passed == len(tests) else LEFT_OVER


def main() -> int:
    """Read the flags and run."""
    parser = argparse.ArgumentParser(description="Run the slow tests in portions.")
    parser.add_argument("--fresh", action="store_true", help="forget what has passed")
    parser.add_argument("--only", default="", metavar="TEXT", help="only ids that contain this")
    parser.add_argument("--limit", type=float, default=1800, help="seconds for one test")
    parser.add_argument("--stop-after", type=float, default=float("inf"), help="seconds in all")
    chosen = parser.parse_args()
    if chosen.fresh:
        STATE.unlink(missing_ok=True)
    tests = [test for test in collect(ROOT) if chosen.only in test]
    progress = Progress.load(STATE, fingerprint(ROOT))
    return run(tests, progress, chosen.limit, chosen.stop_after)


if __name__ == "__main__":
    sys.exit(main())
