"""JSON in all its shapes, Python dictionaries, nested events and objects."""

import json

import polars as pl
import pytest

from lightrec.data.reading.readers import ReadOptions, Table
from lightrec.errors import DataError

ROWS = [("007", "1.0", "5"), ("7", "1", "6"), ("Zoë", 'say "hi", twice', "7")]
OBJECTS = [dict(zip(("user", "item", "time"), row, strict=True)) for row in ROWS]


def table(path, content, **options):
    path.write_text(content, encoding="utf-8")
    return Table(path, ReadOptions(**options))


def rows(read, columns=None):
    return read.read(columns or read.columns).rows()


@pytest.mark.parametrize(
    "content",
    [
        "\n".join(map(json.dumps, OBJECTS)),
        "\n\n" + "\r\n\r\n".join(map(json.dumps, OBJECTS)) + "\n \n",
        json.dumps(OBJECTS),
        json.dumps(OBJECTS, indent=2),
        "[\n" + ",\n".join(map(json.dumps, OBJECTS)) + "\n]\n",
        "".join(json.dumps(one, indent=1) + "\n" for one in OBJECTS),
        json.dumps({"data": OBJECTS}),
        "".join(json.dumps(one) + ",\n" for one in OBJECTS),
        json.dumps({"interactions": OBJECTS}, indent=4),
        "".join(f"{one!r}\n" for one in OBJECTS),
        json.dumps({"user": [r[0] for r in ROWS], "item": [r[1] for r in ROWS], "time": [r[2] for r in ROWS]}),
    ],
    ids=[
        "lines",
        "blank",
        "array",
        "pretty",
        "by line",
        "objects",
        "wrapped",
        "commas",
        "wrapped pretty",
        "python",
        "columns",
    ],
)
@pytest.mark.parametrize("name", ["a.json", "b.txt"])
def test_every_way_of_writing_objects_gives_the_same_rows(tmp_path, content, name):
    read = table(tmp_path / name, content)
    assert read.columns == ["user", "item", "time"]
    assert rows(read) == ROWS


def test_keys_that_come_late_are_columns_too(tmp_path):
    content = '{"user": 1}\n' * 3000 + '{"user": 2, "time": 9}\n'
    assert table(tmp_path / "a.json", content).columns == ["user", "time"]


@pytest.mark.parametrize("second", ["[1]", '{"x": 1}', "true", "null"])
@pytest.mark.parametrize("first", ["5", '"x"', "[7]", '{"x": {"y": 2}}'])
def test_a_key_may_hold_values_of_several_kinds(tmp_path, first, second):
    read = table(tmp_path / "a.json", f'{{"user": "a", "x": {first}}}\n{{"user": "b", "x": {second}}}\n')
    assert rows(read, ["user"]) == [("a",), ("b",)]
    assert len(rows(read, ["x"])) == 2


def test_python_dictionaries_are_read_with_all_their_values(tmp_path):
    lines = "{u'user': u'caf\\xe9', 'item': 7, 'x': True, 'y': None, 'l': ['a', \"it's\"]}\n{'user': 'b', 'item': 8}\n"
    read = table(tmp_path / "a.json.gz", lines)
    assert rows(read, ["user", "item", "x", "y"]) == [("café", "7", "true", None), ("b", "8", None, None)]
    assert rows(read, ["l"]) == [(["a", "it's"],), (None,)]
    assert "Python dictionaries" in read.notes[0]


@pytest.mark.parametrize(
    "line",
    [
        "{'user': __import__('os').getcwd()}",
        "{'user': open('/etc/passwd')}",
        "{'user': " + "[" * 5000 + "]" * 5000 + "}",
        "{'user': '" + "x" * (1 << 20) + "'}",
        "{'user': {1, 2}}",
        "{'user': b'x'}",
        "{'user': 1e999}",
    ],
)
def test_literals_that_are_no_plain_data_are_refused_and_never_run(tmp_path, line):
    with pytest.raises(DataError, match=r"a\.json cannot be read as lines of Python dictionaries: line 2"):
        table(tmp_path / "a.json", "{'user': 'a'}\n" + line + "\n")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('{"user": 1}\n{"user":\n', "line 2 is not valid JSON"),
        ('{"user": 1}\n{"user": 1} {"user": 2}\n', "line 2 is not valid JSON"),
        ('{"user": 1, "x": NaN}\n', r"line 1 is not valid JSON \(write null in place of NaN\)"),
        ('{"user": 1}\n[1, 2]\n', "line 2 is not an object"),
        ('[{"user": 1}, {"user": 2}', "the array is not closed"),
        ('[{"user": 1}, {"user": }]', r"element 2 \(line 1\) is not valid"),
        ('[\n{"user": 1}\n{"user": 2}\n]', "element 1"),
        ('[{"user": 1}, [1, 2]]', "element 2 is not an object"),
        ('[["u", "i"], ["u", "j"]]', "element 1 is not an object"),
        ("[1, 2, 3]", "element 1 is not an object"),
        ('[{"user": 1}] {"user": 2}', "something follows the array"),
        ("[]", "is empty"),
        ("{}", "is empty"),
        ('{\n "user": 1,\n "item"', "element 1"),
        ('{"user": {"0": 1, "1": 2}, "item": {"0": 3, "1": 4}}', "one object of objects"),
        ('{"a": [["x", 1], ["y", 2]], "b": []}', "nested lists"),
        ('{"user": [1, 2], "item": [3]}', r"different lengths \(user 2, item 1\)"),
        ("[" * 200_000, "element 1"),
        ('{"a":' * 200_000, "a.json"),
    ],
)
def test_broken_json_is_refused_by_its_place(tmp_path, content, complaint):
    with pytest.raises(DataError, match=complaint) as caught:
        rows(table(tmp_path / "a.json", content))
    assert "a.json" in str(caught.value) and len(str(caught.value)) < 400


def test_lists_by_user_are_rows(tmp_path):
    for content in ('{"u1": ["a", "b"], "u2": ["c"]}', '{\n"u1": ["a", "b"],\n"u2": ["c"]\n}'):
        read = table(tmp_path / "a.json", content)
        assert rows(read) == [("u1", ["a", "b"]), ("u2", ["c"])]
        assert "maps each user to a list" in read.notes[0]


def test_a_long_first_line_is_read_whole(tmp_path):
    items = [f"i{n}" for n in range(60_000)]
    assert rows(table(tmp_path / "a.json", json.dumps({"u1": items}))) == [("u1", items)]
    lines = "".join(json.dumps({"user": user, "item": items}) + "\n" for user in "ab")
    assert rows(table(tmp_path / "b.json", lines)) == [("a", items), ("b", items)]
    assert rows(table(tmp_path / "c.json", "{'user': 'a', 'item': 'x' }\n")) == [("a", "x")]


def test_events_by_user_are_rows(tmp_path):
    read = table(
        tmp_path / "a.json", '{"u1": [{"item": "a", "at": 1}, {"item": "b", "at": 2}], "u2": [{"item": "c", "at": 3}]}'
    )
    assert rows(read) == [("u1", "a", "1"), ("u1", "b", "2"), ("u2", "c", "3")]


def test_ids_as_keys_are_refused(tmp_path):
    content = "".join(f'{{"u{n}": ["a"]}}\n' for n in range(2500))
    with pytest.raises(DataError, match=r"2,500 different keys \(such as u0, u1, u2\)"):
        table(tmp_path / "a.json", content)


OTTO = [
    {"session": 1, "events": [{"aid": 5, "ts": 30, "type": "clicks"}, {"aid": 6, "ts": 10, "type": "carts"}]},
    {"session": 2, "events": []},
    {"session": 3, "events": [{"aid": 7, "ts": 20, "type": "orders"}]},
]


def test_nested_events_become_rows(tmp_path):
    read = table(tmp_path / "a.jsonl", "".join(json.dumps(one) + "\n" for one in OTTO))
    assert read.columns == ["session", "aid", "ts", "type"]
    assert rows(read) == [("1", "5", "30", "clicks"), ("1", "6", "10", "carts"), ("3", "7", "20", "orders")]
    assert "'events'" in read.notes[0] and "1 empty lists" in read.notes[0]


def test_nested_events_of_parquet_become_rows(tmp_path):
    pl.DataFrame(OTTO).write_parquet(tmp_path / "a.parquet")
    assert rows(Table(tmp_path / "a.parquet")) == [(1, 5, 30, "clicks"), (1, 6, 10, "carts"), (3, 7, 20, "orders")]


def test_lists_of_objects_beside_an_item_stay(tmp_path):
    read = table(tmp_path / "a.jsonl", '{"user": "a", "asin": "x", "images": [{"url": "1"}, {"url": "2"}]}\n')
    assert read.columns == ["user", "asin", "images"]
    assert rows(read, ["user", "asin"]) == [("a", "x")]


def test_fields_of_objects_are_columns_too(tmp_path):
    content = '{"user": {"id": 5, "at": {"city": "Bonn"}}, "item": 1}\n{"user": null, "item": 2}\n'
    read = table(tmp_path / "a.jsonl", content)
    assert read.columns == ["user", "item", "user.id", "user.at.city"]
    assert rows(read, ["user.id", "user.at.city", "item"]) == [("5", "Bonn", "1"), (None, None, "2")]
    pl.DataFrame({"user": [{"id": 5}], "item": [1]}).write_parquet(tmp_path / "a.parquet")
    assert rows(Table(tmp_path / "a.parquet"), ["user.id", "item"]) == [(5, 1)]


PAIRS = [("u", "b"), ("u", "a"), ("v", "a")]
EVENTS = [{"user": user, "item": item} for user, item in PAIRS]


@pytest.mark.parametrize(
    "whole",
    [
        {"result": {"rows": EVENTS}},
        {"took": 1, "hits": {"total": {"value": 3}, "hits": EVENTS}},
        {"columns": ["user", "item"], "index": [0, 1, 2], "data": [list(pair) for pair in PAIRS]},
        {f"-K{place}": row for place, row in enumerate(EVENTS)},
        {
            "info": {"v": 1},
            "lists": [
                {"user": "u", "tracks": [{"pos": 0, "item": "b"}, {"pos": 1, "item": "a"}]},
                {"user": "v", "tracks": [{"pos": 0, "item": "a"}]},
            ],
        },
    ],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_rows_are_found_where_programs_put_them(tmp_path, whole, indent):
    (tmp_path / "a.json").write_text(json.dumps(whole, indent=indent))
    read = Table(tmp_path / "a.json")
    assert read.read(["user", "item"]).rows() == PAIRS
    assert read.notes


def test_lists_of_other_objects_within_events_make_no_further_rows(tmp_path):
    order = {"user": "u", "lines": [{"what": "a", "discounts": [{"by": 1}, {"by": 2}]}, {"what": "b", "discounts": []}]}
    (tmp_path / "a.jsonl").write_text(json.dumps(order) + "\n")
    assert Table(tmp_path / "a.jsonl").read(["user", "what"]).rows() == [("u", "a"), ("u", "b")]
