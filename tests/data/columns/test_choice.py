"""Columns: recognised by usual names, named by flags, and never taken wrongly in silence."""

import pytest

from lightrec.data.columns.choice import ColumnFlags, choose_item, choose_items_id, choose_user, text_columns
from lightrec.data.columns.usual_names import words
from lightrec.errors import DataError


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["x", "userId"], "userId"),
        (["User ID", "x"], "User ID"),
        (["user", "user_id"], "user_id"),
        (["visitorid", "event"], "visitorid"),
        (["CustomerID", "InvoiceNo"], "CustomerID"),
        (["Customer ID", "Invoice"], "Customer ID"),
        (["customer_id"], "customer_id"),
        (["username", "product_id"], "username"),
        (["reviewerName", "reviewerID"], "reviewerID"),
        (["SessionId", "ItemId"], "SessionId"),
        (["user_session", "user_id"], "user_id"),
        (["user_session", "product_id"], "user_session"),
    ],
)
def test_users_are_recognised_most_telling_first(columns, expected):
    assert choose_user(None, columns, "a.csv").column == expected


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["asin", "parent_asin"], "parent_asin"),
        (["movieId", "title"], "movieId"),
        (["StockCode", "Description"], "StockCode"),
        (["article_id"], "article_id"),
        (["session", "aid", "ts"], "aid"),
        (["itemId", "category_id"], "itemId"),
        (["business_id", "review_id"], "business_id"),
        (["userID", "artistID", "weight"], "artistID"),
        (["product_id", "product"], "product_id"),
        (["item_id", "product_id"], "item_id"),
        (["musicbrainz-track-id"], "musicbrainz-track-id"),
        (["session_id", "item_id_list"], "item_id_list"),
        (["user", "items"], "items"),
    ],
)
def test_items_are_recognised_most_telling_first(columns, expected):
    assert choose_item(None, columns, "a.csv").column == expected


def test_the_other_candidates_are_named():
    assert "not from 'session_id'" in choose_user(None, ["session_id", "user_id"], "a.csv").notes[0]
    assert "'product_id'" in choose_item(None, ["item_id", "product_id"], "a.csv").notes[0]
    assert choose_user(None, ["user_id", "x"], "a.csv").notes == ()


@pytest.mark.parametrize(
    "columns", [["track_id", "artist_id"], ["sku", "product_id"], ["itemId", "item_id"], ["item_id", "item_id_list"]]
)
def test_items_of_several_kinds_are_refused(columns):
    with pytest.raises(DataError, match=rf"several columns .*{columns[0]}.*--item-column"):
        choose_item(None, columns, "a.csv")


def test_a_flag_wins_over_recognition():
    assert choose_user("buyer", ["user_id", "buyer"], "a.csv").column == "buyer"
    assert choose_item("artist_id", ["track_id", "artist_id"], "a.csv").column == "artist_id"


def test_a_missing_column_lists_the_columns_and_the_flag():
    with pytest.raises(DataError, match=r"no column recognised as the item \(its columns: a, b\).*--item-column"):
        choose_item(None, ["a", "b"], "a.csv")
    with pytest.raises(DataError, match=r"no column 'c', which --user-column names \(its columns: a, b\)"):
        choose_user("c", ["a", "b"], "a.csv")


@pytest.mark.parametrize(
    ("flags", "columns", "expected"),
    [
        (ColumnFlags(), ["id", "name"], "id"),
        (ColumnFlags(), ["id", "Movie_Id", "name"], "Movie_Id"),
        (ColumnFlags(), ["id", "thing", "name"], "thing"),
        (ColumnFlags(item="sku"), ["sku", "id"], "sku"),
        (ColumnFlags(item="sku"), ["id", "name"], "id"),
        (ColumnFlags(item="sku", items_id="name"), ["sku", "name"], "name"),
    ],
)
def test_the_id_of_an_items_file(flags, columns, expected):
    assert choose_items_id(flags, "thing", columns, "i.csv") == expected


def test_an_items_file_without_ids_is_refused_with_its_flag():
    with pytest.raises(DataError, match="--items-id-column"):
        choose_items_id(ColumnFlags(), "item_id", ["name", "price"], "i.csv")
    with pytest.raises(DataError, match=r"'x', which --items-id-column names"):
        choose_items_id(ColumnFlags(items_id="x"), "item_id", ["item_id"], "i.csv")


def test_the_text_is_the_title_then_what_describes_it():
    columns = ["brand", "genres", "movie_title", "item_id", "release_year", "price"]
    assert text_columns([], columns, "a.csv") == ["movie_title", "release_year", "genres", "brand"]
    assert text_columns(["price", "brand"], columns, "a.csv") == ["price", "brand"]
    assert text_columns([], ["item_id"], "a.csv") == []
    with pytest.raises(DataError, match="--text-column"):
        text_columns(["plot"], columns, "a.csv")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("InvoiceDate", ["invoice", "date"]),
        ("t_dat", ["t", "dat"]),
        ("purchasedAt", ["purchased", "at"]),
        ("unixReviewTime", ["unix", "review", "time"]),
        ("timestamp_ms", ["timestamp", "ms"]),
        ("UTCTime", ["utc", "time"]),
    ],
)
def test_names_are_taken_apart(name, expected):
    assert words(name) == expected
