"""Plans: what a wire does to a connection, decided before it begins.

Rules: a plan depends on the connection's number alone; one fault a direction, at a byte.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

QUEUED = 4  # blocks that a direction holds while they are on their way, unless its lane says
_MIB = 1024 * 1024


class Fault(StrEnum):
    """What can happen to a connection at a byte."""

    CUT = "cut"  # FIN to both, as if a middlebox closed the connection
    RESET = "reset"  # RST to both: what the kernels still held is lost
    HALF_CLOSE = "half-close"  # FIN to the receiver; the other direction lives on
    STALL = "stall"  # nothing more passes, and nobody is told, until it is released


@dataclass(frozen=True, slots=True)
class Lane:
    """What one direction of a connection does."""

    latency: float = 0.0  # seconds that each byte is on its way
    rate: float | None = None  # bytes a second
    fault: Fault | None = None
    at: int = 0  # bytes that pass before the fault
    pieces: int = QUEUED  # of at most 256 KiB that are on their way at once


@dataclass(frozen=True, slots=True)
class Plan:
    """Both directions: up is from who connects, down is back to it."""

    up: Lane = Lane()
    down: Lane = Lane()


PlanOf = Callable[[int], Plan]


def seeded(seed: str | int, faults: Sequence[Fault], span: int, *, odds: float = 1.0) -> PlanOf:
    """Plans with one random fault each, at a byte below `span`; a number always has its plan."""

    def plan(number: int) -> Plan:
        dice = random.Random(f"{seed}/{number}")
        if dice.random() >= odds:
            return Plan()
        lane = Lane(fault=dice.choice(list(faults)), at=dice.randrange(span))
        return Plan(up=lane) if dice.random() < 0.5 else Plan(down=lane)

    return plan


def breaking(seed: str | int, lane: Lane, odds: float) -> PlanOf:
    """Plans like `lane` both ways, where each MiB that is sent may reset its connection."""

    def plan(number: int) -> Plan:
        dice = random.Random(f"{seed}/{number}")
        whole = int(math.log(1 - dice.random()) / math.log(1 - odds))
        at = whole * _MIB + dice.randrange(_MIB)
        return Plan(up=replace(lane, fault=Fault.RESET, at=at), down=lane)

    return plan
