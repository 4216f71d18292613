"""Timestamps of every usual kind, and the row that cannot be read."""

import base64
import re
from datetime import UTC, datetime, timedelta, timezone

import hypothesis.strategies as st
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings

from lightrec.data.reading.readers import Table
from lightrec.data.times.convert import parse_times
from lightrec.errors import DataError, LightrecError

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
        (["-1714521600.5"], [-DAY - 1], "seconds"),
        (["1.7145216e12"], [DAY], "milliseconds"),
        (["2024-05-01"], [DAY], "ISO 8601"),
        (["2024-05-01T12:30:00Z"], [DAY + 45_000], "ISO 8601"),
        (["2024-05-01 12:30", "2024-05-01"], [DAY + 45_000, DAY], "ISO 8601"),
        (["2024-05-01T12:30:00.75+02:00"], [DAY + 45_000 - 7200], "ISO 8601"),
        (["2024-05-01T00:00:00-0330"], [DAY + 12_600], "ISO 8601"),
        (["1969-12-31T23:59:59.5"], [-1], "ISO 8601"),
        (["2024-05-01T12:30:00+02"], [DAY + 45_000 - 7200], "ISO 8601"),
        (["2024-05-01 12:30:00 UTC", "2024-05-01 12:30:00 GMT"], [DAY + 45_000] * 2, "ISO 8601"),
        (["20240501T123000Z"], [DAY + 45_000], "ISO 8601"),
        (["2024-05-01T12:30:00,25"], [DAY + 45_000], "ISO 8601"),
        (["2024-05-01T12:30:00+02:00[Europe/Berlin]"], [DAY + 45_000 - 7200], "ISO 8601"),
        (["2024-05-01 12:30:00 +0000 UTC"], [DAY + 45_000], "ISO 8601"),
        (["2024-W18-3", "2024-122", "2024-05"], [DAY] * 3, "ISO 8601"),
        (["2024/05/01 12:30", "2024/5/1 9:05"], [DAY + 45_000, DAY + 32_700], "ISO 8601"),
        (["2024-04-30T24:00"], [DAY], "ISO 8601"),
        (["Wed, 01 May 2024 12:30:00 GMT"], [DAY + 45_000], "ISO 8601"),
        (["Wed May 01 12:30:00 +0000 2024"], [DAY + 45_000], "ISO 8601"),
        (["Wed May 1 2024 14:30:00 GMT+0200 (Central European Summer Time)"], [DAY + 45_000], "ISO 8601"),
        (["May 1, 2024", "1 May 2024", "01-May-2024", "Posted May 1, 2024."], [DAY] * 4, "ISO 8601"),
        (["05 1, 2024"], [DAY], "ISO 8601"),
        (["2024-05-01 12:30 PM", "2024-05-01 12:30 am"], [DAY + 45_000, DAY + 1800], "ISO 8601"),
        (["20240501", "20240502"], [DAY, DAY + 86_400], "YYYYMMDD"),
        (["20240501123000"], [DAY + 45_000], "YYYYMMDDHHMMSS"),
        (["202405011230"], [DAY + 45_000], "YYYYMMDDHHMM"),
        (["202405", "202404"], [DAY, DAY - 30 * 86_400], "YYYYMM"),
        (["1970", "1971"], [0, 365 * 86_400], "YYYY"),
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
        (["2024-05-01", "NaT"], r"Row 2 of a\.csv has no time.*--where 't!='"),
        (["2024-05-01", "\\N"], "Row 2 of a.csv has no time"),
        (["1714521600", "N/A"], "Row 2 of a.csv has no time"),
        (["N/A", "NaT"], "Row 1 of a.csv has no time"),
        (["2024-05-01", "2024-05-01 10:00 Europe/Berlin"], "Row 2 .*zone is a name.*offset"),
        (["2024-05-01 25:00"], "Row 1"),
        (["2024-05-01 13:00 PM"], "Row 1"),
        ([20240501, 20240502, 20240532], r"Row 3 .*'20240532'.*YYYYMMDD"),
    ],
)
def test_an_unreadable_time_names_row_and_value(values, complaint):
    with pytest.raises(DataError, match=complaint):
        parse_times(pl.Series("t", values), "a.csv")


@pytest.mark.parametrize(
    ("zone", "stand_in"), [("+02:00", "Poland"), ("-03:30", "Poland"), ("+00", "PRC"), ("Z2", "GB")]
)
def test_any_zone_of_a_parquet_file_is_read(tmp_path, zone, stand_in):
    """polars panics on most of these and does not write them; the instants are in UTC whatever the zone."""
    pl.Series("t", [DAY * 1000]).cast(pl.Datetime("ms", stand_in)).to_frame().write_parquet(tmp_path / "t.parquet")
    content = (tmp_path / "t.parquet").read_bytes()
    schema = re.search(rb"[A-Za-z0-9+/=]{100,}", content)[0]
    other = base64.b64encode(base64.b64decode(schema).replace(stand_in.encode(), zone.encode()))
    (tmp_path / "t.parquet").write_bytes(content.replace(schema, other))
    column = Table(tmp_path / "t.parquet").read(["t"])["t"]
    assert column.dtype.time_zone != stand_in
    assert parse_times(column, "t.parquet").seconds.tolist() == [DAY]


def test_whole_numbers_of_every_type_may_be_dates_as_digits():
    for values in ([20240501, 20240502], [20240501.0, 20240502.0]):
        times = parse_times(pl.Series("t", values), "a.parquet")
        assert (times.seconds.tolist(), times.unit) == ([DAY, DAY + 86_400], "YYYYMMDD")


@pytest.mark.parametrize("values", [[3, 1, 2], ["3", "1", "2"], [19844.0, 19843.0, 19843.5]])
def test_small_numbers_are_positions_and_it_is_said(values):
    times = parse_times(pl.Series("t", values), "a.csv")
    assert times.order_only and np.argsort(times.key).tolist() == [1, 2, 0]
    assert "order-only" in times.notes[0] and "--time-format" in times.notes[0]


@pytest.mark.parametrize(
    ("values", "form", "seconds"),
    [
        ([19844.5], "days", [DAY + 43_200]),
        (["5", "7"], "seconds", [5, 7]),
        ([1_714_521_600, 5_000_000_000], "milliseconds", [1_714_521, 5_000_000]),
        (["1/5/2024 12:30", "31/12/2023 0:00"], "%d/%m/%Y %H:%M", [DAY + 45_000, DAY - 122 * 86_400]),
        (["5/1/2024"], "%m/%d/%Y", [DAY]),
        (["05/01/24 12:30:00.5 PM"], "%m/%d/%y %I:%M:%S%.f %p", [DAY + 45_000]),
        (["1.5.2024 14:30 +0200"], "%d.%m.%Y %H:%M %z", [DAY + 45_000]),
        ([20240501], "%Y%m%d", [DAY]),
    ],
)
def test_a_unit_or_form_can_be_named(values, form, seconds):
    assert parse_times(pl.Series("t", values), "a.csv", form).seconds.tolist() == seconds


@pytest.mark.parametrize(
    ("values", "formats"),
    [
        (["12/12/2023 13:23"], ['"%d/%m/%Y %H:%M" or --time-format "%m/%d/%Y %H:%M"']),
        (["12/01/2010 8:26", "13/01/2010 8:26"], ['with --time-format "%d/%m/%Y %H:%M".']),
        (["1.2.23"], ['"%d.%m.%y" or --time-format "%m.%d.%y"']),
        (["1/2/2023 1:05:09 PM"], ['"%d/%m/%Y %I:%M:%S %p"']),
    ],
)
def test_days_and_months_in_figures_are_refused_with_the_formats_that_fit(values, formats):
    with pytest.raises(DataError) as refusal:
        parse_times(pl.Series("t", values), "a.csv")
    assert all(form in str(refusal.value) for form in formats)
    form = re.findall(r'--time-format "(.+?)"', str(refusal.value))[0]
    assert len(parse_times(pl.Series("t", values), "a.csv", form).seconds) == len(values)


def test_times_with_and_without_a_zone_are_said():
    mixed = ["2024-05-01T00:00:00", "2024-05-01T00:00:00+05:00", "2024-05-01 00:00:00 UTC", "2024-05-01"]
    assert "2 times in column 't' have no zone and are read as UTC" in parse_times(pl.Series("t", mixed), "a").notes[0]
    for same in (mixed[1:3], [mixed[0], mixed[3]]):
        assert parse_times(pl.Series("t", same), "a").notes == ()


def test_two_units_in_one_column_are_refused():
    with pytest.raises(DataError, match=r"Row 3 of a\.csv has the time 1714521600000 in milliseconds.*row 1 .*seconds"):
        parse_times(pl.Series("t", [DAY, DAY + 1, DAY * 1000]), "a.csv")
    assert parse_times(pl.Series("t", [DAY, DAY * 1000]), "a.csv", "seconds").seconds.tolist() == [DAY, DAY * 1000]


def test_dates_that_are_hardly_of_a_log_are_counted():
    times = parse_times(pl.Series("t", [DAY, 0, 4_000_000_000]), "a.csv", rows=np.array([5, 8, 9]))
    assert "2 of 3 times" in times.notes[0] and "row 9 is read as 1970-01-01T00:00:00Z" in times.notes[0]
    assert parse_times(pl.Series("t", ["1990-01-01", "2024-05-01"]), "a.csv").notes == ()
    assert "1 of 1 times" in parse_times(pl.Series("t", [datetime(9999, 1, 1)]), "a.csv").notes[0]


@pytest.mark.parametrize("form", ["%d.%m.%Y %Hh", "weeks", "%Q"])
def test_a_format_that_is_none_is_refused_with_the_flag(form):
    with pytest.raises(LightrecError, match="--time-format"):
        parse_times(pl.Series("t", ["1.2.2023 10h"]), "a.csv", form)


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
