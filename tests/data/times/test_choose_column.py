"""Which column says when: used if that is clear, named in a refusal if it is not."""

from datetime import date, time

import polars as pl
import pytest

from lightrec.data.columns.choice import ColumnFlags
from lightrec.data.prepare import prepare
from lightrec.errors import DataError

STAMPS = ["1714521600", "1714435200"]
DATES = ["2024-05-01", "2024-04-30"]


@pytest.fixture
def prepared(tmp_path):
    """Prepare a table whose one user has item "new" first and item "old" second, later and earlier in time."""

    def run(parquet=False, flag=None, order_only=False, **columns):
        frame = pl.DataFrame({"user_id": ["u", "u"], "item_id": ["new", "old"], **columns})
        file = tmp_path / ("e.parquet" if parquet else "e.csv")
        frame.write_parquet(file) if parquet else frame.write_csv(file)
        return prepare(file, tmp_path / "d", columns=ColumnFlags(time=flag), k_core=0, order_only=order_only)

    return run


def order(dataset):
    return [dataset.item_ids[item] for item in dataset.items]


@pytest.mark.parametrize(
    "name",
    [
        *("InvoiceDate", "t_dat", "eventdate", "order_date", "purchased_at", "timestamp_ms", "unixReviewTime"),
        *("review_date", "played_at", "checkin_time", "Date", "event_time", "created_at", "ts", "PurchaseDateTime"),
        *("when", "visit time", "rating_timestamp", "checkin-date", "eventTimestamp", "log_dt", "anything", "quand"),
    ],
)
@pytest.mark.parametrize("values", [STAMPS, DATES, ["1714521600000", "1714435200000"]])
def test_a_time_of_any_name_puts_the_events_in_order(prepared, name, values):
    if name in ("anything", "quand") and values != DATES:
        with pytest.raises(DataError, match=f"--time-column '{name}'"):
            prepared(**{name: values})
        assert order(prepared(flag=name, **{name: values})) == ["old", "new"]
        return
    dataset = prepared(**{name: values})
    assert order(dataset) == ["old", "new"] and not dataset.order_only
    assert dataset.timestamps.tolist() == [1_714_435_200, 1_714_521_600]


@pytest.mark.parametrize(
    "columns",
    [
        {"order_date": DATES, "visit_date": DATES},
        {"day": [2, 1], "month": [5, 5], "year": [2024, 2024]},
        {"year": [1999, 1998]},
        {"release_date": DATES},
        {"releasedate": DATES},
        {"checkin": DATES, "checkout": DATES},
        {"DAY": [2, 1], "TRANS_TIME": [1631, 930]},
        {"date_added": DATES, "read_at": DATES, "started_at": DATES},
        {"Datum": ["1 mai", "2 mai"]},
        {"updated_at": DATES},
        {"position": [2, 1]},
        {"order_number": [2, 1]},
        {"daypart_time": ["10:30", "09:00"]},
        {"time": ["10:30", "09:00"]},
        {"big": STAMPS},
        {"x": DATES, "y": DATES},
        {"when": ["yesterday", "today"]},
        {"order_number": [2, 1], "order_hour": [9, 8]},
    ],
)
def test_columns_that_may_be_times_are_named_with_the_flags(prepared, columns):
    with pytest.raises(DataError) as refusal:
        prepared(**columns)
    assert all(name in str(refusal.value) for name in columns)
    assert "--time-column" in str(refusal.value) and "--order-only" in str(refusal.value)
    dataset = prepared(order_only=True, **columns)
    assert order(dataset) == ["new", "old"] and dataset.order_only
    listed = {use["column"]: use["role"] for use in dataset.description["source"]["every_column"]}
    assert all(listed[name] == "not used" for name in columns)


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"rating": [5, 3]},
        {"index": [0, 1]},
        {"event": ["view", "cart"]},
        {"time_spent": [30, 20]},
        {"playtime_forever": [30, 20]},
        {"candidate": ["x", "y"]},
        {"play_duration": [30, 20]},
        {"order_id": [1714521600, 1714435200]},
        {"comment": ["fine", "too late"]},
    ],
)
def test_without_any_time_the_rows_are_in_order(prepared, columns):
    dataset = prepared(**columns)
    assert order(dataset) == ["new", "old"] and dataset.order_only
    assert "order of its rows is the order of events" in " ".join(dataset.description["source"]["reading"])


@pytest.mark.parametrize(
    ("columns", "column"),
    [
        ({"timestamp": STAMPS, "date": DATES[::-1]}, "timestamp"),
        ({"unixReviewTime": STAMPS, "reviewTime": ["05 1, 2024", "04 30, 2024"]}, "unixReviewTime"),
        ({"order_date": DATES, "ship_date": DATES[::-1]}, "order_date"),
        ({"timestamp": [2, 1], "release_date": DATES[::-1]}, "timestamp"),
        ({"played_at": DATES, "releasedate": DATES[::-1]}, "played_at"),
        ({"utcTimestamp": ["Wed May 01 18:00:09 +0000 2024", "Wed May 01 17:00:09 +0000 2024"]}, "utcTimestamp"),
        ({"time": ["2024-05-01 02", "2024-05-01 01"]}, "time"),
        ({"time_stamp": [1110, 511], "action_type": [0, 2]}, "time_stamp"),
        ({"played_at": DATES, "birth_year": [1990, 1991]}, "played_at"),
        ({"date": [DATES[0]] * 2, "created_at": ["2024-05-01 10:00", "2024-05-01 09:00"]}, "created_at"),
    ],
)
def test_the_more_telling_column_is_taken_and_the_others_listed(prepared, columns, column):
    dataset = prepared(**columns)
    assert order(dataset) == ["old", "new"]
    listed = {use["column"]: use["role"] for use in dataset.description["source"]["every_column"]}
    assert {name for name in columns if listed[name] == "time"} == {column}


@pytest.mark.parametrize(
    ("columns", "seconds"),
    [
        ({"date": [DATES[0]] * 2, "time": ["13:00:01.5", "09:30"]}, [34_200, 46_801]),
        ({"Date": ["5/1/24"] * 2, "Time": ["1:00 PM", "9:30 AM"]}, None),
        ({"eventdate": [DATES[0]] * 2, "timeframe": [5000, 1999]}, [1, 5]),
        ({"order_date": [DATES[0]] * 2, "hour": [13, 9]}, [32_400, 46_800]),
    ],
)
def test_a_date_and_a_time_of_day_are_one_time(prepared, columns, seconds):
    if seconds is None:
        with pytest.raises(DataError, match="--time-format"):
            prepared(**columns)
        return
    dataset = prepared(**columns)
    assert order(dataset) == ["old", "new"]
    assert (dataset.timestamps - 1_714_521_600).tolist() == seconds
    assert dataset.description["source"]["columns"]["clock"] == list(columns)[1]


@pytest.mark.parametrize("numbers", [[123000, 113000], [30, 90]])
def test_dates_beside_numbers_that_may_be_times_of_day_are_refused(prepared, numbers):
    with pytest.raises(DataError, match=r"'date' of e\.csv holds dates alone and 'time' may.*--time-column 'date'"):
        prepared(date=DATES, time=numbers)
    assert order(prepared(flag="date", date=DATES, time=numbers)) == ["old", "new"]


def test_typed_dates_and_times_of_day_are_one_time(prepared):
    dataset = prepared(parquet=True, day=[date(2024, 5, 1)] * 2, clock=[time(13, 0, 1), time(9)], flag=None)
    assert order(dataset) == ["old", "new"] and dataset.timestamps.tolist()[1] == 1_714_521_600 + 46_801


def test_a_time_of_day_that_cannot_be_read_names_its_row(prepared):
    with pytest.raises(DataError, match=r"Row 2 of e\.csv.*'25:00'.*'time'"):
        prepared(date=[DATES[0]] * 2, time=["13:00", "25:00"])


def test_one_column_is_not_two_things(prepared):
    with pytest.raises(DataError, match="cannot be two things"):
        prepared(flag="item_id")


NOON_AND_ONE = ["2024-05-01 13:00:00", "2024-05-01 12:00:00"]
SAME_DAY = ["2024-05-01", "2024-05-01"]


@pytest.mark.parametrize("finer", ["time_ms", "server_time", "unix", "visit"])
@pytest.mark.parametrize("day", ["date", "event_date", "order_date"])
def test_a_finer_time_of_the_same_days_is_taken(prepared, day, finer):
    values = NOON_AND_ONE if finer in ("server_time", "visit") else [1_714_568_400_000, 1_714_564_800_000]
    dataset = prepared(**{day: SAME_DAY, finer: values})
    assert order(dataset) == ["old", "new"] and dataset.timestamps.tolist() == [1_714_564_800, 1_714_568_400]
    notes = " ".join(dataset.description["source"]["reading"])
    assert repr(finer) in notes and repr(day) in notes and "--time-column" in notes


def test_days_as_digits_and_times_of_day_as_digits(prepared):
    columns = {"date": ["20240501"] * 2, "hourmin": [1300, 1200]}
    with pytest.raises(DataError, match=r"hourmin.*--time-column"):
        prepared(**columns)
    dataset = prepared(**columns, time_ms=[1_714_568_400_000, 1_714_564_800_000])
    assert order(dataset) == ["old", "new"]


@pytest.mark.parametrize(
    "other",
    [
        {"received_at": ["2024-05-09 13:00:00", "2024-05-08 12:00:00"]},
        {"received_at": ["2024-05-01 13:00:00", ""]},
        {"updated_at": NOON_AND_ONE},
    ],
)
def test_a_finer_time_of_other_days_or_with_gaps_is_not_taken(prepared, other):
    dataset = prepared(date=SAME_DAY, **other)
    assert dataset.timestamps.tolist() == [1_714_521_600] * 2
    assert repr(next(iter(other))) in " ".join(dataset.description["source"]["reading"])


@pytest.mark.parametrize(("taken", "other"), [("order_date", "delivery_date"), ("created_at", "updated_at")])
def test_another_time_is_named_with_the_one_that_is_taken(prepared, taken, other):
    dataset = prepared(**{other: DATES[::-1], taken: DATES})
    assert order(dataset) == ["old", "new"]
    assert any(repr(taken) in note and repr(other) in note for note in dataset.description["source"]["reading"])


def test_parts_of_dates_are_named_together(prepared):
    with pytest.raises(DataError, match=r"year, month, day, hour.*into one"):
        prepared(year=[2024, 2024], month=[5, 5], day=[1, 1], hour=[13, 12])


def test_ids_that_look_like_times_beside_times_that_do_not_are_noted(tmp_path):
    rows = "".join(f"{1_425_740_400 + row * 3600},{row % 2},{row % 3}\n" for row in range(4))
    (tmp_path / "e.csv").write_text("user_id,item_id,timestamp\n" + rows)
    notes = prepare(tmp_path / "e.csv", tmp_path / "d", k_core=0).description["source"]["reading"]
    assert any("'user_id' look like times" in note for note in notes) and "'item_id' look" not in " ".join(notes)


@pytest.mark.parametrize(
    ("value", "mend"),
    [("1,425,740,400", "thousands"), ("1425740400,5", "decimals"), ("1.425.740.400", "thousands"), ("#####", "narrow")],
)
def test_numbers_as_spreadsheets_write_them_are_refused_with_the_mend(tmp_path, value, mend):
    (tmp_path / "e.csv").write_text(f"user_id;item_id;timestamp\nu;a;{value}\nu;b;{value}\n")
    with pytest.raises(DataError, match=mend):
        prepare(tmp_path / "e.csv", tmp_path / "d", k_core=0)
