"""What the suites for servers share: checks, outcomes, a peer to ask, a report.

Rules: a check is a function of a peer, named as a sentence; its docstring says in our words what
the specification asks, and ends with the clause in parentheses. It fails by AssertionError and is
skipped by Skipped. Checks share nothing: each has its own peer, which removes what it created.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from towpath.testing.peer import Failed, Peer
from towpath.testing.rawhttp import Gone

P = TypeVar("P", bound=Peer)


class Level(StrEnum):
    """How strongly the specification asks."""

    MUST = "MUST"
    SHOULD = "SHOULD"


class Result(StrEnum):
    """How a check ended."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    SKIP = "skip"


class Skipped(Exception):
    """The check has nothing to say of this server; the message says why."""


@dataclass(frozen=True, slots=True)
class Check(Generic[P]):
    """One thing that a specification asks of servers."""

    function: Callable[[P], None]
    level: Level
    extension: str  # or part of the specification, for one that has no extensions
    applies: Callable[[P], str | None]  # why it does not apply; None if it does

    @property
    def name(self) -> str:
        """The name of its function."""
        return self.function.__name__

    @property
    def says(self) -> str:
        """What is asked, and the clause that asks it."""
        return " ".join((self.function.__doc__ or "").split())

    @property
    def clause(self) -> str:
        """The clause alone."""
        return self.says.rpartition("(")[2].rstrip(".) ")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one check."""

    name: str
    level: Level
    extension: str
    clause: str
    result: Result
    seen: str  # what was wrong, or why it was skipped
    seconds: float

    @property
    def breaks(self) -> bool:
        """True if the server does not conform."""
        return self.result is Result.FAIL and self.level is Level.MUST


Applies = Callable[[P], str | None]


class Checks(Generic[P]):
    """Collects the checks of a module: its methods are decorators."""

    def __init__(self, offered: Callable[[str], Applies[P]]) -> None:
        self.all: list[Check[P]] = []
        self._offered = offered  # from an extension to whether it applies

    def must(
        self, extension: str, applies: Applies[P] | None = None
    ) -> Callable[[Callable[[P], None]], Callable[[P], None]]:
        """What the specification demands."""
        return self._adder(Level.MUST, extension, applies)

    def should(
        self, extension: str, applies: Applies[P] | None = None
    ) -> Callable[[Callable[[P], None]], Callable[[P], None]]:
        """What the specification recommends."""
        return self._adder(Level.SHOULD, extension, applies)

    def _adder(
        self, level: Level, extension: str, applies: Applies[P] | None
    ) -> Callable[[Callable[[P], None]], Callable[[P], None]]:
        def add(function: Callable[[P], None]) -> Callable[[P], None]:
            self.all.append(Check(function, level, extension, applies or self._offered(extension)))
            return function

        return add


def run_one(check: Check[P], peer: P) -> Outcome:
    """Run one check; whatever the server does becomes an outcome."""
    begun = time.monotonic()
    result, seen = Result.PASS, ""
    try:
        why_not = check.applies(peer)
        if why_not is None:
            check.function(peer)
        else:
            result, seen = Result.SKIP, why_not
    except Skipped as skipped:
        result, seen = Result.SKIP, str(skipped)
    except TimeoutError:
        result, seen = Result.FAIL, f"{peer.last}: no answer within {peer.timeout:g} s"
    except Gone as gone:
        result, seen = Result.FAIL, f"{peer.last}: {gone}, without an answer"
    except AssertionError as failed:
        result, seen = Result.FAIL, str(failed)
    except (OSError, ValueError, LookupError) as error:
        result, seen = Result.FAIL, f"{peer.last}: {type(error).__name__}: {error}"
    finally:
        peer.clean()
    seconds = time.monotonic() - begun
    return Outcome(check.name, check.level, check.extension, check.clause, result, seen, seconds)


def run_all(
    checks: Iterable[Check[P]], peer: Callable[[], P], tell: Callable[[Outcome], None] | None
) -> list[Outcome]:
    """Run the checks one after the other, each with a peer of its own."""
    outcomes = []
    for check in checks:
        outcome = run_one(check, peer())
        outcomes.append(outcome)
        if tell is not None:
            tell(outcome)
    return outcomes


def chosen(checks: Sequence[Check[P]], only: Iterable[str]) -> list[Check[P]]:
    """The checks with these names or of these extensions; all, when none is named.

    Raises ValueError for a word that fits none.
    """
    words = list(only)
    for word in words:
        if not any(word in (check.name, check.extension) for check in checks):
            raise ValueError(f"no check and no extension is called {word}")
    return [c for c in checks if not words or c.name in words or c.extension in words]


def require(condition: object, seen: str) -> None:
    """Fail with what was seen."""
    if not condition:
        raise Failed(seen)
