"""Ids: exact, and missing where a file says so."""

from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from lightrec.data.columns.ids import NO_ID, note_missing, number, read_ids
from lightrec.errors import DataError


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["007", "7", "1.0", "1e5"], ["007", "7", "1.0", "1e5"]),
        ([" a", "b ", "\tc\u00a0"], ["a", "b", "c"]),
        ([17850, None], ["17850", None]),
        ([17850.0, None, float("nan")], ["17850", None, None]),
        ([-0.0, 3e9], ["0", "3000000000"]),
        (["", "  ", "NA", "Nan", "NaNa"], [None, None, None, "Nan", "NaNa"]),
        ([Decimal("12")], ["12"]),
        ([b"x1", "é".encode()], ["x1", "é"]),
    ],
)
def test_ids_are_exact_text(values, expected):
    assert read_ids(pl.Series("u", values, strict=False), "a").values.to_list() == expected


@pytest.mark.parametrize("text", NO_ID)
def test_every_text_for_none_is_no_id_unless_kept(text):
    column = pl.Series("u", [text, "a", ""])
    assert read_ids(column, "a").values.to_list() == [None, "a", None]
    assert read_ids(column, "a", keep=True).values.to_list() == [text, "a", None]


def test_what_was_decided_is_said():
    assert "stored as floats" in read_ids(pl.Series("u", [5.0, None]), "a").notes[0]
    assert "1 ids in column 'u'" in read_ids(pl.Series("u", [" a", "b"]), "a").notes[0]
    assert "ends in .0" in read_ids(pl.Series("u", ["5.0", "", "6.0"]), "a").notes[0]
    assert read_ids(pl.Series("u", ["5.0", "6"]), "a").notes == ()
    told = note_missing(pl.Series("u", ["NA", None, "NA", " "]), "e.csv", "user")
    assert "e.csv has no user in column 'u' of 4 rows (" in told and "NA 2" in told and "empty 2" in told


@pytest.mark.parametrize("text", ["1.23457E+12", "1,23457E+12", "1E+15", "1.2e+10"])
def test_ids_that_a_spreadsheet_has_rounded_are_refused(text):
    column = pl.Series("customer", ["7", text, text])
    with pytest.raises(DataError, match=r"'customer' of a\.csv holds .*2 such rows.*as text.*--keep-na-ids"):
        read_ids(column, "a.csv")
    assert read_ids(column, "a.csv", keep=True).values.to_list() == ["7", text, text]


def test_ids_whose_last_digits_a_spreadsheet_has_made_zeros_are_noted():
    rounded = [f"{number}0" for number in (123456789012345, 123456789012346, 123456789012347)]
    assert "15th digit" in read_ids(pl.Series("u", rounded), "a").notes[0]
    assert read_ids(pl.Series("u", [*rounded, "1234567890123451"]), "a").notes == ()


@pytest.mark.parametrize("values", [[1.5], [2.0**53], [True], [[1]], [{"a": 1}], [b"\xff"], [Decimal("1.5")]])
def test_types_and_numbers_that_are_no_ids_are_refused(values):
    with pytest.raises(DataError, match=r"Column 'u' of a has type"):
        read_ids(pl.Series("u", values), "a")


def test_ids_are_numbered_by_first_appearance():
    places, distinct = number(pl.Series("u", ["b", "a", "b", "c"]))
    assert places.dtype == np.int64 and places.tolist() == [0, 1, 0, 2]
    assert distinct.to_list() == ["b", "a", "c"]
