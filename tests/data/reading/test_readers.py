"""Files of every format give the same ids, and broken ones a sentence that names the place."""

import gzip
import json

import hypothesis.strategies as st
import polars as pl
import pytest
from hypothesis import given, settings

from lightrec.data.reading.readers import Table, as_ids
from lightrec.errors import DataError

ROWS = [("007", "1.0", "5"), ("7", "1", "6"), ("Zoë", 'say "hi", twice', "7")]


def write(path, rows):
    """The rows as a file of the format that the name asks for."""
    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row").write_parquet(path)
        return path
    if name.endswith((".csv", ".tsv")):
        frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
        text = frame.write_csv() if name.endswith(".csv") else frame.write_csv(separator="\t", quote_style="never")
    elif name.endswith(".inter"):
        header = "user_id:token\titem_id:token\ttimestamp:float"
        text = "\n".join([header, *("\t".join(row) for row in rows)]) + "\n"
    else:
        text = "".join(
            json.dumps(dict(zip(["user_id", "item_id", "timestamp"], row, strict=True))) + "\n" for row in rows
        )
    content = text.encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


ENDINGS = ["csv", "csv.gz", "tsv", "jsonl", "jsonl.gz", "ndjson", "json", "inter", "inter.gz", "parquet"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_format_gives_the_same_text(tmp_path, ending):
    table = Table(write(tmp_path / f"a.{ending}", ROWS).rename(tmp_path / f"A.{ending.upper()}"))
    assert table.columns == ["user_id", "item_id", "timestamp"]
    assert table.read(table.columns).rows() == ROWS


def test_a_byte_order_mark_and_spaces_in_the_header_are_no_part_of_the_names(tmp_path):
    (tmp_path / "a.csv").write_bytes("\ufeffuser_id, item_id\r\na,b\r\n".encode())
    table = Table(tmp_path / "a.csv")
    assert table.columns == ["user_id", "item_id"]
    assert table.read(["item_id"]).rows() == [("b",)]


@pytest.mark.parametrize("text", ["u,i\na,b\n\nc,d\n\n", "u,i\r\na,b\r\nc,d\r\n\r\n"])
def test_blank_lines_are_no_rows(tmp_path, text):
    (tmp_path / "a.csv").write_bytes(text.encode())
    assert Table(tmp_path / "a.csv").read(["u", "i"]).rows() == [("a", "b"), ("c", "d")]


def test_quotes_have_a_meaning_in_csv_alone(tmp_path):
    (tmp_path / "a.csv").write_text('u,i\n"a,b","12"" disc\nin two lines"\n')
    assert Table(tmp_path / "a.csv").read(["u", "i"]).rows() == [("a,b", '12" disc\nin two lines')]
    (tmp_path / "a.tsv").write_text('u\ti\n"a\t12" disc\n')
    assert Table(tmp_path / "a.tsv").read(["u", "i"]).rows() == [('"a', '12" disc')]


def test_numbers_in_json_and_parquet_become_decimal_text(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"u": 7}\n{"u": "7"}\n{"u": 12345678901234567890}\n{"u": "007"}\n')
    assert as_ids(Table(tmp_path / "a.jsonl").read(["u"])["u"], "a").to_list() == [
        "7",
        "7",
        "12345678901234567890",
        "007",
    ]
    pl.DataFrame({"u": [7, 2**60]}).write_parquet(tmp_path / "a.parquet")
    assert as_ids(Table(tmp_path / "a.parquet").read(["u"])["u"], "a").to_list() == ["7", str(2**60)]
    pl.DataFrame({"u": ["b", "a"]}, schema={"u": pl.Categorical}).write_parquet(tmp_path / "c.parquet")
    assert as_ids(Table(tmp_path / "c.parquet").read(["u"])["u"], "c").to_list() == ["b", "a"]


@pytest.mark.parametrize("values", [[1.0, 2.5], [True, False], [[1], [2]], [b"a"], [{"a": 1}]])
def test_types_that_hold_no_ids_are_refused(values):
    with pytest.raises(DataError, match=r"Column 'u' of a\.parquet has type"):
        as_ids(pl.Series("u", values), "a.parquet")


def test_missing_ids_are_counted_and_their_rows_named():
    with pytest.raises(DataError, match=r"no id in 7 rows \(row 2, 4, 5, 6, 7, \.\.\.\)"):
        as_ids(pl.Series("u", ["a", None, "b", "", None, None, None, None, ""]), "a.csv")
    with pytest.raises(DataError, match=r"no id in 1 row \(row 1\)"):
        as_ids(pl.Series("u", [""]), "a.csv")


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.csv", b"", "a.csv is empty"),
        ("a.csv", b"user_id,item_id\n", "a.csv is empty: it has no rows"),
        ("a.csv.gz", gzip.compress(b""), "a.csv.gz is empty"),
        ("a.jsonl", b"\n\n", "a.jsonl is empty"),
        ("a.jsonl.gz", gzip.compress(b""), "a.jsonl.gz is empty"),
        ("a.csv", b"u,i\na,b\nc,d,e\n", "row 2 has 3 fields, the header 2"),
        ("a.tsv", b"u\ti\na\tb\tc\n", "row 1 has 3 fields, the header 2"),
        ("a.csv", b'u,i\na,b\na,"b\nc,d\n', "row 2 has a quote that is not closed"),
        ("a.jsonl", b'{"u": 1}\n{"u":\n', "line 2 is not valid JSON"),
        ("a.jsonl", b'{"u": 1, "x": NaN}\n', "line 1 is not valid JSON"),
        ("a.jsonl", b'{"u": 1}\n[1, 2]\n', "line 2 is not an object"),
        ("a.jsonl", b"{'u': 1}\n{'u': open('x')}\n", "line 2 is none of text, numbers, lists"),
        ("a.jsonl.gz", gzip.compress(b'{"u": 1}\n' * 9999)[:60], "breaks off"),
        ("a.csv.gz", gzip.compress(b"u,i\n" + b"a,b\n" * 9999)[:60], "breaks off"),
        ("a.csv.gz", b"\x1f\x8bnonsense that is not gzip", "a.csv.gz breaks off or is damaged"),
        ("a.parquet", b"PAR1 and no more", "a.parquet is damaged"),
        ("a.xlsx", b"PK\x03\x04", "a.xlsx is a ZIP archive or an Excel workbook"),
        ("a", b"u,i\n", "a is empty: it has no rows"),
    ],
)
def test_what_cannot_be_read_gets_one_sentence(tmp_path, name, content, complaint):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=complaint) as caught:
        table = Table(tmp_path / name)
        table.read(table.columns)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        Table(tmp_path / "a.csv")
    with pytest.raises(DataError, match="is a folder without a file"):
        Table(tmp_path)


characters = st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp", "Zs"])
words = st.text(characters, min_size=1, max_size=6)


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.tuples(words, words, words), min_size=1, max_size=8))
def test_any_text_survives_csv_json_lines_and_parquet(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("any")
    for name in ("a.csv", "a.tsv", "a.jsonl", "a.parquet"):
        table = Table(write(folder / name, rows))
        assert table.read(table.columns).rows() == rows, name
