"""How fast bytes may move, by the clock on the wall: `08:00,512k 19:00,10M 23:00,off`.

Rules: pure; each line of the timetable holds until the next one, over midnight and over the end of
the week. The wall clock alone decides: a time that is skipped in spring has begun after the skip,
and one that comes twice in autumn begins twice.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import NamedTuple, Self

from towpath.core.amount import read_bytes

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = 24 * 60  # minutes
_PER_SECOND = re.compile(r"/s\s*\Z", re.IGNORECASE)
_ENTRY = re.compile(r"(?:([a-z]+)-)?(\d{1,2}):(\d\d),(\S+)", re.IGNORECASE)
_ENTRIES = 1000  # more than anybody writes
_EXAMPLE = "write one such as 20M, off, or 08:00,512k 19:00,10M 23:00,off"


def parse_rate(text: str) -> int | None:
    """Bytes a second: `20M` is 20 MiB, `20MB` is 20,000,000, `off` is None. Raises ValueError."""
    if text.strip().lower() == "off":
        return None
    try:
        rate = read_bytes(_PER_SECOND.sub("", text))
    except ValueError:
        raise ValueError(f"{text!r} is no rate; {_EXAMPLE}") from None
    if rate < 1:
        raise ValueError(f"{text!r} lets nothing through; for no limit write off")
    return rate


class Timetable(NamedTuple):
    """When which rate begins: (minute of the week from Monday 0:00, bytes a second or None).

    The changes are in order, and there is at least one.
    """

    changes: tuple[tuple[int, int | None], ...]

    @classmethod
    def always(cls, rate: int | None) -> Self:
        """One rate at all times; None for no limit. Raises ValueError."""
        if rate is not None and rate < 1:
            raise ValueError(f"{rate} lets nothing through; for no limit write off")
        return cls(((0, rate),))

    @classmethod
    def parse(cls, text: str) -> Self:
        """A rate, or `HH:MM,RATE` and `DAY-HH:MM,RATE` with spaces between. Raises ValueError.

        Without a day a line holds for every day. DAY is such as Mon or monday.
        """
        words = text.replace(";", " ").split()
        if "," not in text:
            return cls.always(parse_rate(text))
        if len(words) > _ENTRIES:
            raise ValueError(f"a timetable has at most {_ENTRIES} entries")
        words.sort(key=lambda word: "-" in word)  # what is said of a day counts more
        changes = dict(change for word in words for change in _changes(word))
        return cls(tuple(sorted(changes.items())))

    def at(self, moment: datetime) -> int | None:
        """Bytes a second at a local time."""
        minute = moment.weekday() * _DAY + moment.hour * 60 + moment.minute
        rate = self.changes[-1][1]  # what held when the week began
        for begins, other in self.changes:
            if begins > minute:
                break
            rate = other
        return rate

    @property
    def is_constant(self) -> bool:
        """True when it needs no clock."""
        return len({rate for _, rate in self.changes}) == 1


def _changes(word: str) -> list[tuple[int, int | None]]:
    """What one entry says for each day that it is for."""
    match = _ENTRY.fullmatch(word)
    if match is None:
        raise ValueError(f"{word!r} is no entry of a timetable; {_EXAMPLE}")
    named, hour, minute, rate = match.groups()
    if int(hour) > 23 or int(minute) > 59:
        raise ValueError(f"{word!r} has no time of the day; {_EXAMPLE}")
    days = range(7) if named is None else [_day(named, word)]
    found = parse_rate(rate)
    return [(day * _DAY + int(hour) * 60 + int(minute), found) for day in days]


def _day(named: str, word: str) -> int:
    short = named[:3].lower()
    full = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    if short not in DAYS or not full[DAYS.index(short)].startswith(named.lower()):
        raise ValueError(f"{word!r} names no day; write Mon, Tue, Wed, Thu, Fri, Sat or Sun")
    return DAYS.index(short)
