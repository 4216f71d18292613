"""Sequences: one user a row with lists in its cells, and lines of a user and items."""

import datetime

import polars as pl
import pytest

from lightrec.data.dataset import Dataset
from lightrec.data.prepare import prepare
from lightrec.data.reading.readers import ReadOptions, Table
from lightrec.data.shapes.lists import one_event_a_row
from lightrec.errors import ConfigError, DataError

EVENTS = [("u1", "007", "30"), ("u1", "b", "10"), ("u2", "b", "20")]
"""User, item and time."""


def table(path, content, **options):
    path.write_text(content, encoding="utf-8")
    return Table(path, ReadOptions(**options))


def exploded(read, item="item", columns=None):
    return one_event_a_row(read.read(columns or read.columns), item, read).rows()


@pytest.mark.parametrize(
    "content",
    [
        '{"user": "u1", "item": ["007", "b"], "time": [30, 10]}\n{"user": "u2", "item": ["b"], "time": [20]}\n',
        'user;item;time\nu1;["007", "b"];[30, 10]\nu2;["b"];[20]\n',
        "user;item;time\nu1;['007', 'b'];[30 10]\nu2;['b'];[20]\n",
        "user\titem\ttime\nu1\t[007, b]\t[30, 10]\nu2\t[b]\t[20]\n",
    ],
    ids=["JSON", "JSON in CSV", "Python in CSV", "plain in TSV"],
)
def test_lists_in_cells_become_rows(tmp_path, content):
    read = table(tmp_path / "a", content)
    assert exploded(read) == EVENTS
    assert "'item', 'time'" in read.notes[-1]


@pytest.mark.parametrize(
    "content",
    [
        '{"user": "a", "item": "x"}\n{"user": {"id": 5}, "item": "y"}\n',
        '{"user": "a", "item": "x"}\n{"user": "b", "item": [1, 2]}\n',
        '{"user": "a", "item": "x"}\n{"user": "b", "item": {"sku": 1}}\n',
        "user;item\na;x\nb;['y', 'z']\n",
        'user\titem\na\tx\nb\t{"sku": 1}\n',
    ],
)
def test_nested_values_among_single_ones_are_refused(tmp_path, content):
    with pytest.raises(DataError, match=r"Row 2 of a has a list or an object in the column '(user|item)'"):
        exploded(table(tmp_path / "a", content))


def test_lists_of_parquet_become_rows_and_keep_their_types(tmp_path):
    at = datetime.datetime(2020, 1, 1)
    frame = pl.DataFrame({"user": [1, 2], "item": [[7, 8], [9]], "time": [[at, at], [at]]})
    frame.write_parquet(tmp_path / "a.parquet")
    assert exploded(Table(tmp_path / "a.parquet")) == [(1, 7, at), (1, 8, at), (2, 9, at)]
    frame.select("user", pl.Series("item", [[1, 2], [3, 4]], dtype=pl.Array(pl.Int64, 2))).write_parquet(
        tmp_path / "b.parquet"
    )
    assert exploded(Table(tmp_path / "b.parquet")) == [(1, 1), (1, 2), (2, 3), (2, 4)]


def test_lists_of_recbole_have_spaces_between_their_elements(tmp_path):
    content = "user_id:token\titem_id_list:token_seq\ttimestamp_list:float_seq\nu1\t007 b\t30 10\nu2\tb\t20\n"
    assert exploded(table(tmp_path / "a.inter", content), "item_id_list") == EVENTS


def test_single_values_stay_as_they_are(tmp_path):
    read = table(tmp_path / "a.csv", "user,item\na,[x\nb,[y]\nc,some words\n")
    assert exploded(read) == [("a", "[x"), ("b", "[y]"), ("c", "some words")]
    assert read.notes == []


def test_empty_lists_are_counted(tmp_path):
    content = '{"user": "a", "item": ["x"]}\n{"user": "b", "item": []}\n{"user": "c", "item": null}\n'
    read = table(tmp_path / "a.json", content)
    assert exploded(read) == [("a", "x")]
    assert "2 empty lists" in read.notes[-1]
    with pytest.raises(DataError, match=r"b\.csv has no events"):
        exploded(table(tmp_path / "b.csv", "user,item\na,[]\nb,[ ]\n"))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (
            '{"user": 1, "item": [1], "time": [1]}\n{"user": 2, "item": [1, 2], "time": [5]}\n',
            "Row 2 .* 2 elements in 'item'",
        ),
        ('{"user": 1, "item": []}\n{"user": 2, "item": [[1], [2]]}\n', "Row 2 .* lists or objects within .*'item'"),
        ('{"user": 1, "item": [{"a": 1}], "sku": "x"}\n', "Row 1 .* lists or objects within .*'item'"),
        ("user\titem\n1\t['a']\n2\t[open('x')]\n", "Row 2 .* no readable list in the column 'item'"),
        ("user\titem\n1\t['a']\n2\t[['b']]\n", "Row 2 .* lists or objects within"),
    ],
)
def test_lists_that_do_not_fit_are_refused_by_their_row(tmp_path, content, complaint):
    with pytest.raises(DataError, match=complaint):
        exploded(table(tmp_path / "a", content))


@pytest.mark.parametrize(
    "content",
    [
        "u1 x y\nu2 z\n",
        "u1\tx\ty\nu2\tz\n",
        "u1,x,y\r\nu2,z\r\n",
        "u1  x,y\n\nu2  z \n",
        "u1;x;y\nu2;z",
        "u1|x|y\nu2|z\n",
    ],
)
def test_lines_of_a_user_and_items(tmp_path, content):
    read = table(tmp_path / "a", content, format="sequences")
    assert read.columns == ["user", "item"]
    assert read.read(["user", "item"]).rows() == [("u1", "x"), ("u1", "y"), ("u2", "z")]
    assert read.read(["item"]).rows() == [("x",), ("y",), ("z",)]
    assert "2 sequences" in read.notes[0]


def test_lines_of_items_are_sessions_by_their_number(tmp_path):
    read = table(tmp_path / "a", "x y\n\nz\n", format="sessions")
    assert read.read(["user", "item"]).rows() == [("1", "x"), ("1", "y"), ("3", "z")]


def test_users_without_items_are_counted(tmp_path):
    read = table(tmp_path / "a", "u1 x\nu2\n", format="sequences")
    assert read.read(["user", "item"]).rows() == [("u1", "x")]
    assert "1 lines of a user without items" in read.notes[1]
    with pytest.raises(DataError, match="no line of a user and items"):
        table(tmp_path / "b", "u1\nu2\n", format="sequences")


def test_items_of_a_line_may_hold_spaces_if_the_separator_is_named(tmp_path):
    read = table(tmp_path / "a", "u1, The Matrix , Heat\n", format="sequences", separator=",")
    assert read.read(["user", "item"]).rows() == [("u1", "The Matrix"), ("u1", "Heat")]


def test_sequences_have_no_columns_to_name(tmp_path):
    with pytest.raises(ConfigError, match="--columns does not go with --format sequences"):
        table(tmp_path / "a", "u1 x\n", format="sequences", columns=("user", "item"))


def test_lines_of_many_lengths_propose_the_format(tmp_path):
    with pytest.raises(DataError, match="--format sequences"):
        table(tmp_path / "a", "1 5 6 7\n2 6\n3 7 8\n4 5 9 1 2 3\n")


def test_lists_reach_the_data_set(tmp_path):
    (tmp_path / "a.json").write_text(
        '{"user": "u", "item": ["b", "a"], "time": [2, 1]}\n{"user": "v", "item": ["c"], "time": [3]}\n'
    )
    prepare(tmp_path / "a.json", tmp_path / "d", k_core=0)
    dataset = Dataset.open(tmp_path / "d")
    assert [dataset.item_ids[item] for item in dataset.sequence(0)] == ["a", "b"]
    assert any("lists in 'item', 'time'" in note for note in dataset.description["source"]["reading"])
