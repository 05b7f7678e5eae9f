"""Rates by the wall clock: how they are written, and what holds when."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.core.timetable import Timetable, parse_rate

DAILY = Timetable.parse("08:00,512k 19:00,10M 23:00,off")
KIB, MIB = 1 << 10, 1 << 20
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("20M", 20 * MIB),
        ("20MB", 20_000_000),
        ("20MiB/s", 20 * MIB),
        ("512k", 512 * KIB),
        ("1.5 g", 3 << 29),
        ("100000", 100_000),
        ("7B", 7),
        ("off", None),
        (" OFF ", None),
    ],
)
def test_a_rate_is_read_as_sizes_are(text: str, rate: int | None) -> None:
    assert parse_rate(text) == rate
    assert Timetable.parse(text).at(datetime(2026, 5, 4, tzinfo=UTC)) == rate


@pytest.mark.parametrize(
    "text",
    [
        "",
        "fast",
        "-1M",
        "0",
        "0.0001",
        "20X",
        "20M/h",
        "24:00,1M",
        "08:60,1M",
        "8,1M",
        "08:00,",
        "08:00,fast",
        "Xyz-08:00,1M",
        "Mondays-08:00,1M",
        "08:00 1M",
        "08:00,1M 2M",
        "08:00,1M " * 1001,
    ],
)
def test_what_says_nothing_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+ \w+"):
        Timetable.parse(text)


@pytest.mark.parametrize(
    ("time", "rate"),
    [
        ("07:59", None),
        ("08:00", 512 * KIB),
        ("18:59", 512 * KIB),
        ("19:00", 10 * MIB),
        ("22:59", 10 * MIB),
        ("23:00", None),
        ("00:00", None),
    ],
)
def test_each_entry_holds_until_the_next_also_over_midnight(time: str, rate: int | None) -> None:
    for day in range(4, 18):
        assert DAILY.at(datetime.fromisoformat(f"2026-05-{day:02} {time}")) == rate


def test_a_day_has_its_own_entries_and_they_count_more() -> None:
    table = Timetable.parse("Sat-08:00,off Mon-08:00,2M 08:00,1M;monday-12:00,3M")
    monday = datetime(2026, 5, 4, tzinfo=UTC)
    rates = {
        (0, 7): MIB,  # what began on Sunday at 8
        (0, 8): 2 * MIB,
        (0, 12): 3 * MIB,
        (1, 7): 3 * MIB,
        (1, 8): MIB,
        (5, 8): None,
        (6, 7): None,
        (6, 8): MIB,
    }
    for (day, hour), rate in rates.items():
        assert table.at(monday + timedelta(days=day, hours=hour)) == rate, (day, hour)


def test_one_entry_of_the_week_holds_all_week() -> None:
    table = Timetable.parse("Wed-10:00,1M")
    monday = datetime(2026, 5, 4, tzinfo=UTC)
    assert {table.at(monday + timedelta(hours=hour)) for hour in range(7 * 24)} == {MIB}
    assert table.is_constant


def test_an_hour_that_is_skipped_has_begun_after_the_skip() -> None:
    table = Timetable.parse("02:30,1M 12:00,off")
    before = datetime(2026, 3, 29, 0, 59, tzinfo=UTC)
    assert table.at(before.astimezone(BERLIN)) is None  # 1:59
    assert table.at((before + timedelta(minutes=1)).astimezone(BERLIN)) == MIB  # 3:00


def test_an_hour_that_comes_twice_begins_twice() -> None:
    table = Timetable.parse("02:30,1M 12:00,off")
    first = datetime(2026, 10, 25, 0, 15, tzinfo=UTC)
    seen = [
        table.at((first + timedelta(minutes=15 * step)).astimezone(BERLIN)) for step in range(8)
    ]
    assert seen == [None, MIB, MIB, None, None, MIB, MIB, MIB]


@given(st.datetimes(), st.integers(0, 23), st.integers(0, 59))
def test_a_daily_entry_holds_from_its_minute_on(moment: datetime, hour: int, minute: int) -> None:
    table = Timetable.parse(f"{hour:02}:{minute:02},1M {hour:02}:{minute:02},2M")
    assert table.at(moment) == 2 * MIB


def test_a_rate_of_nothing_is_refused_as_a_number_too() -> None:
    with pytest.raises(ValueError, match="write off"):
        Timetable.always(0)
