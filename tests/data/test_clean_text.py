"""Titles without HTML, and lists as words; everything else stays."""

import polars as pl
import pytest

from lightrec.data.clean_text import clean_title, clean_words


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("AT&amp;T", "AT&T"),
        ("R&amp;amp;B", "R&B"),
        ("Q&A, R&D and &co", "Q&A, R&D and &co"),
        ("Cats &#38; Dogs &#x27;n&#39; more", "Cats & Dogs 'n' more"),
        ("One<br>Two<br/>Three <b class='x'>four</b>", "One Two Three four"),
        ("<script>alert(1)</script>Title<!-- no -->", "Title"),
        ("&lt;i&gt;Emma&lt;/i&gt;", "Emma"),
        ("I <3 you, a < b > c, <Untitled>", "I <3 you, a < b > c, <Untitled>"),
        ("[REC]", "[REC]"),
        ("[Explicit] Song", "[Explicit] Song"),
        ("[2023]", "[2023]"),
        ("(500) Days of Summer", "(500) Days of Summer"),
        ('["Toys", ["Board"]]', "Toys, Board"),
        ("['Action', \"Children's\"]", "Action, Children's"),
        ('[{"id": 18, "name": "Drama"}, {"id": 35, "name": "Comedy"}]', "Drama, Comedy"),
        ("2.0", "2.0"),
        ("a|b", "a|b"),
        ("tab\tand\x1b[31mred", "tab and [31mred"),
        (" ", None),
        ("None", None),
        ("[" * 5000, "[" * 5000),
    ],
)
def test_titles(raw, expected):
    assert clean_title(pl.Series("t", [raw, None])).to_list() == [expected, None]


@pytest.mark.parametrize(
    ("raw", "expected"), [("Horror|Sci-Fi", "Horror Sci-Fi"), ("1999.0", "1999"), ("2.0", "2.0"), ("nan", None)]
)
def test_further_words(raw, expected):
    assert clean_words(pl.Series("t", [raw])).to_list() == [expected]


def test_lists_of_parquet_are_joined():
    assert clean_words(pl.Series("t", [[["a", "b"], ["c"]], None])).to_list() == ["a b c", None]
    assert clean_words(pl.Series("t", [[{"name": "a", "id": 1}, {"name": "b", "id": 2}]])).to_list() == ["a b"]
