"""Timestamps of every usual kind, and the row that cannot be read."""

from datetime import UTC, datetime, timedelta, timezone

import hypothesis.strategies as st
import polars as pl
import pytest
from hypothesis import given, settings

from lightrec.data.times import parse_times
from lightrec.errors import DataError

DAY = 1_714_521_600  # 2024-05-01T00:00:00Z


@pytest.mark.parametrize(
    ("values", "seconds", "unit"),
    [
        (["1714521600", "5"], [DAY, 5], "seconds"),
        ([" 1714521600 "], [DAY], "seconds"),
        (["1714521600.9", "1714521600.1"], [DAY, DAY], "seconds"),
        (["1.7145216e9"], [DAY], "seconds"),
        (["1714521600999", "1714521600000"], [DAY, DAY], "milliseconds"),
        (["1714521600000000"], [DAY], "microseconds"),
        (["1714521600000000001"], [DAY], "nanoseconds"),
        (["-1.5", "0"], [-2, 0], "seconds"),
        (["2024-05-01"], [DAY], "ISO 8601"),
        (["2024-05-01T12:30:00Z"], [DAY + 45_000], "ISO 8601"),
        (["2024-05-01 12:30", "2024-05-01"], [DAY + 45_000, DAY], "ISO 8601"),
        (["2024-05-01T12:30:00.75+02:00"], [DAY + 45_000 - 7200], "ISO 8601"),
        (["2024-05-01T00:00:00-0330"], [DAY + 12_600], "ISO 8601"),
        (["1969-12-31T23:59:59.5"], [-1], "ISO 8601"),
    ],
)
def test_text_is_read_by_its_kind(values, seconds, unit):
    times = parse_times(pl.Series("t", values), "a.csv")
    assert times.seconds.tolist() == seconds
    assert times.unit == unit


def test_the_sort_key_keeps_what_the_seconds_lose():
    for values in (["10.9", "10.1"], ["1714521600999", "1714521600001"], ["2024-05-01T00:00:00.9", "2024-05-01"]):
        times = parse_times(pl.Series("t", values), "a.csv")
        assert times.seconds[0] == times.seconds[1]
        assert times.key[0] > times.key[1]


def test_typed_columns_of_parquet_are_taken_as_they_are():
    moment = datetime(2024, 5, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert parse_times(pl.Series("t", [moment]), "a").seconds.tolist() == [DAY]
    assert parse_times(pl.Series("t", [moment.astimezone(UTC).replace(tzinfo=None)]), "a").seconds.tolist() == [DAY]
    for zone in ("Europe/Paris", "UTC"):
        zoned = pl.Series("t", [moment]).dt.convert_time_zone(zone)
        assert parse_times(zoned, "a").seconds.tolist() == [DAY]
    assert parse_times(pl.Series("t", [moment.date()]), "a").seconds.tolist() == [DAY]
    assert parse_times(pl.Series("t", [DAY, 3]), "a").seconds.tolist() == [DAY, 3]
    assert parse_times(pl.Series("t", [1.5, 3.0]), "a").seconds.tolist() == [1, 3]


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (["5", "6", "yesterday"], r"Row 3 of a\.csv has the time 'yesterday'.*'t', 1 such rows"),
        (["2024-05-01", "2024-13-01", "2024-02-30"], r"Row 2 of a\.csv has the time '2024-13-01'.*2 such rows"),
        (["soon", "later"], "Row 1"),
        (["5", None], r"Row 2 of a\.csv has no time"),
        ([None, "5", "6"], r"Row 1 of a\.csv has no time .*1 such rows"),
        ([None, None], "Row 1"),
        (["1", "nan"], "Row 2"),
        (["1", "inf"], "Row 2"),
        (["1", "1e300"], "Row 2"),
        ([1.0, float("nan")], "Row 2"),
        ([1, None], "Row 2"),
    ],
)
def test_an_unreadable_time_names_row_and_value(values, complaint):
    with pytest.raises(DataError, match=complaint):
        parse_times(pl.Series("t", values), "a.csv")


@pytest.mark.parametrize("values", [[[1]], [True], [b"5"], [timedelta(1)]])
def test_types_that_hold_no_times_are_refused(values):
    with pytest.raises(DataError, match=r"Column 't' of a\.parquet has type .*, which holds no times"):
        parse_times(pl.Series("t", values), "a.parquet")


@settings(max_examples=60, deadline=None)
@given(
    moments=st.lists(
        st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)), min_size=1, max_size=5
    ),
    hours=st.integers(-12, 14),
)
def test_iso_times_of_any_zone_agree_with_the_standard_library(moments, hours):
    zone = timezone(timedelta(hours=hours))
    times = parse_times(pl.Series("t", [moment.astimezone(zone).isoformat() for moment in moments]), "a.csv")
    whole = [(moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1) for moment in moments]
    assert times.seconds.tolist() == whole
