"""Conditions on rows: numbers as numbers, text as text, and sentences that tell which values there are."""

from datetime import date, datetime

import polars as pl
import pytest

from lightrec.data.columns.conditions import parse_condition, rows_that_hold
from lightrec.errors import ConfigError, DataError

KINDS = pl.Series("event", ["view", " cart", None, "purchase", "NA", "view|cart"])
RATINGS = pl.Series("rating", ["4", "10", "3.5", "4.0", "", "nan"])


def rows(values, text):
    condition = parse_condition(text, [values.name, "other"], "e.csv")
    return rows_that_hold(condition, values, "e.csv").arg_true().to_list()


@pytest.mark.parametrize(
    ("values", "text", "expected"),
    [
        (KINDS, "event=view", [0]),
        (KINDS, "event = cart", [1]),
        (KINDS, "event==purchase", [3]),
        (KINDS, "event=view|purchase", [0, 3]),
        (KINDS, "event=view|cart", [5]),  # a value that holds the sign is meant as a whole
        (KINDS, "event!=view", [1, 2, 3, 4, 5]),
        (KINDS, "event!=", [0, 1, 3, 5]),
        (KINDS, "event=", [2, 4]),
        (RATINGS, "rating>=4", [0, 1, 3]),
        (RATINGS, "rating>4", [1]),
        (RATINGS, "rating<1e1", [0, 2, 3]),
        (RATINGS, "rating=4", [0, 3]),
        (RATINGS, "rating!=4", [1, 2, 4, 5]),
        (RATINGS, "rating=3.5|10", [1, 2]),
        (pl.Series("rating", [4.0, None, float("nan"), 5.0]), "rating>=4", [0, 3]),
        (pl.Series("rating", [4.0, None, float("nan"), 5.0]), "rating!=", [0, 3]),
        (pl.Series("code", ["007", "7"]), "code=7", [1]),  # zeros in front make it text
        (pl.Series("code", ["12345678901234567890", "12345678901234567891"]), "code=12345678901234567891", [1]),
        (pl.Series("day", ["2024-01-02", "2023-12-31"]), "day>=2024-01-01", [0]),
        (pl.Series("verified", [True, False, None]), "verified=True", [0]),
        (pl.Series("at", [datetime(2024, 1, 2), None, datetime(2023, 1, 1)]), "at>=2024-01-01", [0]),
        (pl.Series("at", [date(2024, 1, 2), date(2023, 1, 1)]), "at<2024-01-01", [1]),
        (pl.Series("a>b", ["1", "2"]), "a>b=2", [1]),
    ],
)
def test_the_rows_that_hold(values, text, expected):
    assert rows(values, text) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("event=buy", r"No row of e\.csv has event=buy: column 'event' holds view \(2\), cart \(1\)"),
        ("event>4", r"Row 1 of e\.csv has 'view' in column 'event'.*'event>4' compares with a number"),
        ("kind=view", r"no column 'kind', which --where names \(its columns: event, other\)"),
    ],
)
def test_a_condition_that_cannot_hold_names_the_values(text, complaint):
    with pytest.raises(DataError, match=complaint):
        rows(pl.Series("event", ["view", "view", "cart"]), text)


def test_numbers_are_not_compared_with_text():
    with pytest.raises(DataError, match=r"'at' of e\.csv holds numbers, .*'2024-01-01': name a number"):
        rows(pl.Series("at", ["1714521600", "5"]), "at>=2024-01-01")


def test_times_are_compared_with_times():
    with pytest.raises(DataError, match=r"--where 'at>=soon' compares times with 'soon'"):
        rows(pl.Series("at", [datetime(2024, 1, 2)]), "at>=soon")


def test_lists_are_not_compared():
    with pytest.raises(DataError, match="--where cannot compare"):
        rows(pl.Series("event", [["a"]]), "event=a")


@pytest.mark.parametrize("text", ["purchase", "", "event>="])
def test_what_is_no_condition_is_refused_with_an_example(text):
    with pytest.raises(ConfigError, match="--where"):
        rows(KINDS, text)
