"""Cron expressions in time zones."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.cron import FIELDS, CronNotUnderstood, TimezoneUnknown, check_cron, check_timezone, next_time, next_times


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "timezone", "after", "expected"),
    [
        ("0 0 * * *", "UTC", "2026-11-21 08:00", ["2026-11-22 00:00", "2026-11-23 00:00"]),
        ("*/15 * * * *", "UTC", "2026-11-21 08:15", ["2026-11-21 08:30", "2026-11-21 08:45"]),
        ("0 0 * * *", "America/New_York", "2026-11-21 08:00", ["2026-11-22 05:00", "2026-11-23 05:00"]),
        # In Berlin clocks go from 2:00 to 3:00 on 29 March 2026: what is left out comes right after the gap …
        ("30 2 * * *", "Europe/Berlin", "2026-03-28 12:00", ["2026-03-29 01:00", "2026-03-30 00:30"]),
        # … and from 3:00 back to 2:00 on 25 October: what comes twice is done the first time only.
        ("30 2 * * *", "Europe/Berlin", "2026-10-24 12:00", ["2026-10-25 00:30", "2026-10-26 01:30"]),
        ("45 2 * * *", "Europe/Berlin", "2026-10-25 01:30", ["2026-10-26 01:45", "2026-10-27 01:45"]),
        # What has a pace keeps it.
        ("*/30 * * * *", "Europe/Berlin", "2026-10-25 00:15", ["2026-10-25 00:30", "2026-10-25 01:00", "2026-10-25 01:30"]),
        ("*/30 * * * *", "Europe/Berlin", "2026-03-29 00:40", ["2026-03-29 01:00", "2026-03-29 01:30"]),
    ],
)
def test_the_next_times_are_those_of_the_zone(cron, timezone, after, expected):
    assert next_times(cron, timezone, after=utc(after), count=len(expected)) == [utc(moment) for moment in expected]


@given(
    cron=st.sampled_from(["0 0 * * *", "*/15 * * * *", "30 2 * * *", "0 */5 * * *", "59 23 28-31 * *", "0 3 * * SUN"]),
    timezone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    after=st.integers(1_577_836_800, 2_051_222_400).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
)
def test_times_are_in_the_future_and_ascend(cron, timezone, after):
    first, second = next_times(cron, timezone, after=after, count=2)
    assert after < first < second
    assert next_time(cron, timezone, after=first) == second
    assert second - first <= timedelta(days=35)


@pytest.mark.parametrize(
    ("cron", "place"),
    list(zip(["61 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8"], FIELDS, strict=True)),
)
def test_a_wrong_field_is_named_with_what_it_may_be(cron, place):
    with pytest.raises(CronNotUnderstood, match=f"the field {place} is '[0-9]+'; allowed are [01] to "):
        check_cron(cron)


@pytest.mark.parametrize(
    ("cron", "complaint"),
    [
        ("", "needs the five fields minute, hour, .* it has 0 fields"),
        ("0 0 0 * * *", "it has 6 fields"),
        ("@daily", "it has 1 fields"),
        ("0 0 * * * " + " " * 200, "it has 210 characters"),
        ("5-1 * * * *", "the field minute is '5-1'"),
        ("*/0 * * * *", "the field minute is '\\*/0'"),
        ("0 0 31 2 *", "the field day-of-month is '31'"),
    ],
)
def test_what_is_no_expression_is_refused(cron, complaint):
    with pytest.raises(CronNotUnderstood, match=complaint):
        check_cron(cron)


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "Europe", "../etc/passwd", "\x00", "UTC+1"])
def test_what_is_no_zone_is_refused(name):
    assert check_timezone("Europe/Berlin") == "Europe/Berlin"
    with pytest.raises(TimezoneUnknown, match="no time zone; use a name such as"):
        check_timezone(name)
