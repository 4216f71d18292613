"""Columns: recognised by usual names, named by flags, and listed where neither helps."""

import pytest

from lightrec.data.columns import find_column, require_column, text_columns
from lightrec.errors import DataError


@pytest.mark.parametrize(
    ("role", "columns", "expected"),
    [
        ("user", ["x", "userId"], "userId"),
        ("user", ["User ID", "x"], "User ID"),
        ("user", ["user", "user_id"], "user_id"),
        ("item", ["asin", "parent_asin"], "parent_asin"),
        ("item", ["movieId"], "movieId"),
        ("time", ["reviewTime", "unixReviewTime"], "unixReviewTime"),
        ("time", ["rating"], None),
    ],
)
def test_usual_names_are_recognised_most_telling_first(role, columns, expected):
    assert find_column(role, None, columns, "a.csv") == expected


def test_a_flag_wins_over_recognition():
    assert find_column("user", "buyer", ["user_id", "buyer"], "a.csv") == "buyer"


def test_a_missing_column_lists_the_columns_and_the_flag():
    with pytest.raises(DataError, match=r"no column recognised as the item \(its columns: a, b\).*--item-column"):
        require_column("item", None, ["a", "b"], "a.csv")
    with pytest.raises(DataError, match=r"no column 'c', which --time-column names \(its columns: a, b\)"):
        find_column("time", "c", ["a", "b"], "a.csv")


def test_the_text_is_the_title_then_what_describes_it():
    columns = ["brand", "genres", "movie_title", "item_id", "release_year", "price"]
    assert text_columns([], columns, "a.csv") == ["movie_title", "release_year", "genres", "brand"]
    assert text_columns(["price", "brand"], columns, "a.csv") == ["price", "brand"]
    assert text_columns([], ["item_id"], "a.csv") == []
    with pytest.raises(DataError, match="--text-column"):
        text_columns(["plot"], columns, "a.csv")
