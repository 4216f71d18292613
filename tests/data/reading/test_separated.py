"""Separated text: the separator, the quotes, the header and the rows, recognised by the content."""

import csv
import io

import pytest

from lightrec.data.prepare import prepare
from lightrec.data.reading.readers import ReadOptions, Table
from lightrec.errors import ConfigError, DataError

NAMES = ["user_id", "item_id", "timestamp"]
ROWS = [("007", "1.0", "978300760"), ("7", "1", "978302109"), ("Zoë", "x-9", "978301968")]


def table(path, content, options=ReadOptions()):
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return Table(path, options)


def rows(read, columns=None):
    return read.read(columns or read.columns).rows()


def text(separator, end="\n", header=True):
    lines = [NAMES] * header + [list(row) for row in ROWS]
    return "".join(separator.join(line) + end for line in lines)


@pytest.mark.parametrize("separator", [",", ";", "|", "\t", "\x01", "::", " ", "   ", ", ", " ; ", " | ", "\t "])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", " \n", "\n\n"])
@pytest.mark.parametrize("name", ["a.csv", "b.dat", "c"])
def test_every_separator_is_recognised(tmp_path, separator, end, name):
    read = table(tmp_path / name, text(separator, end))
    assert read.columns == NAMES
    assert rows(read) == ROWS
    assert rows(read, ["item_id"]) == [(row[1],) for row in ROWS]


@pytest.mark.parametrize("flag", [",", "comma"])
def test_a_separator_can_be_named(tmp_path, flag):
    read = table(tmp_path / "a.csv", "user,item;x\na,b;1\nc,d;2\n", ReadOptions(separator=flag))
    assert (read.columns, rows(read)) == (["user", "item;x"], [("a", "b;1"), ("c", "d;2")])


@pytest.mark.parametrize(("flag", "between"), [("tab", "\t"), ("\\t", "\t"), ("space", "  "), ("||", "||"), ("^", "^")])
def test_separators_that_are_hard_to_type_or_rare_can_be_named(tmp_path, flag, between):
    assert rows(table(tmp_path / "a", text(between), ReadOptions(separator=flag))) == ROWS


@pytest.mark.parametrize("flag", ["", '"', "\n"])
def test_what_cannot_separate_is_refused(tmp_path, flag):
    with pytest.raises(ConfigError, match="--separator is"):
        table(tmp_path / "a", text(","), ReadOptions(separator=flag))


def test_the_number_of_named_columns_decides_between_separators(tmp_path):
    read = table(tmp_path / "a", "a,b x 5\na,c y 6\n", ReadOptions(columns=("user", "item", "time")))
    assert rows(read) == [("a,b", "x", "5"), ("a,c", "y", "6")]


def test_a_separator_other_than_the_usual_is_said(tmp_path):
    assert table(tmp_path / "a.csv", text(";")).notes == ["a.csv has ';' between its values."]
    assert table(tmp_path / "b.csv", text(",")).notes == []


@pytest.mark.parametrize(
    ("content", "columns", "first"),
    [
        ("movieId::title::genres\n1::Usual Suspects, The (1995)::Crime\n2::Heat, a; b::Action, Drama\n", 3, "1"),
        ("movieId,title,genres\n1,Toy Story,Adventure|Animation\n2,Jumanji,Adventure|Fantasy\n", 3, "1"),
        ("user;item;price\n1;2;3,5\n4;5;6,5\n", 3, "1"),
        ("user_id,item_id,date\na,b,2020-01-01 10:00:00\nc,d,2020-01-01 11:00:00\n", 3, "a"),
        ("user_id\titem_id\ttitle\na\tb\tOne, two\nc\td\tThree, four\n", 3, "a"),
        ("user_id,item_id\na,x::y\nb,z::w\n", 2, "a"),
        ("user_id item_id timestamp\n  a  b   1\n c d 2  \n", 3, "a"),
    ],
)
def test_the_other_separators_do_not_mislead(tmp_path, content, columns, first):
    read = table(tmp_path / "a", content)
    assert len(read.columns) == columns
    assert rows(read)[0][0] == first


@pytest.mark.parametrize("separator", [",", ";", "|", "\t"])
def test_quotes_enclose_separators_and_line_breaks(tmp_path, separator):
    stream = io.StringIO()
    values = [("a", f"x{separator}y", 'say "hi"'), ("b", "two\nlines", "z"), ("c", "w", "")]
    csv.writer(stream, delimiter=separator, quoting=csv.QUOTE_ALL).writerows([("user", "item", "title"), *values])
    read = table(tmp_path / "a.csv", stream.getvalue())
    assert read.columns == ["user", "item", "title"]
    assert rows(read) == [("a", f"x{separator}y", 'say "hi"'), ("b", "two\nlines", "z"), ("c", "w", None)]


@pytest.mark.parametrize(
    ("content", "second"),
    [
        ('user,item\na,12" disc\nb,7" single\n', '12" disc'),
        ('user,item\na, "x, y"\nb, "z"\n', "x, y"),
        ('user, item\na, "x"\nb, z\n', "x"),
        ('"user" "item"\n"a" "x y"\n"b"   "c"\n', "x y"),
        ('"user";"item"\n"a";"say \\"hi\\""\n"b";"c"\n', 'say "hi"'),
        ('user\titem\na\tThe "Who"\nb\t"Heroes" live\n', 'The "Who"'),
        ('user|item\na|12"\nb|c\n', '12"'),
        ('user::item\na::"x"\nb::"y\n', '"x"'),
    ],
)
def test_quotes_of_other_kinds_are_read_as_they_are_meant(tmp_path, content, second):
    assert rows(table(tmp_path / "a", content), ["item"])[0] == (second,)


def test_a_long_field_is_read(tmp_path):
    review = "word, " * 40_000
    read = table(tmp_path / "a.csv", f'user,item,review\na,b,"{review}"\n')
    assert rows(read) == [("a", "b", review.strip())]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("user,item\na,b\nc\n", "row 2 has 1 fields, the header 2"),
        ("user,item\na,b\n\nc,d,e\n", "row 2 has 3 fields, the header 2"),
        ("user::item\na::b\nc::d::e\n", "row 2 has 3 fields, the header 2"),
        ("user item\na b\nc d\ne f g\n", "row 3 has 3 fields, the header 2"),
        ('user,item\n"a",b\n"c",d,e\n', "row 2 has 3 fields, the header 2"),
        ('user;item\n"a";b\n"c;d\n', "row 2 has a quote that is not closed"),
        ("user,item,user\na,b,c\n", "two columns named 'user'"),
        ("user, user\na,b\n", "two columns named 'user'"),
        (" \n\t\n", "is empty"),
        ("user,item\n", "is empty: it has no rows"),
    ],
)
def test_broken_tables_are_refused(tmp_path, content, complaint):
    with pytest.raises(DataError, match=complaint) as caught:
        rows(table(tmp_path / "a.csv", content))
    assert "a.csv" in str(caught.value)


def test_rows_far_down_are_looked_at_too(tmp_path):
    content = "user,item\n" + "a,b\n" * 30_000 + "c\n" + "a,b\n" * 10
    with pytest.raises(DataError, match=r"row 30,001 has 1 fields, the header 2"):
        table(tmp_path / "a.csv", content)
    with pytest.raises(DataError, match=r"row 30,001 has 1 fields, the header 2"):
        table(tmp_path / "a.csv", content.replace("a,b", '"a",b'))


@pytest.mark.parametrize("start", ["\n\n", "   \n", " \r\n\t\n"])
def test_blank_lines_before_the_header_are_passed_over(tmp_path, start):
    assert rows(table(tmp_path / "a", start + text(","))) == ROWS


@pytest.mark.parametrize(
    ("start", "between"),
    [("sep=;\r\n", ";"), ("sep=|\n", "|"), ("# made by x\n#\n\n", ","), ("% bip weighted posweighted\n% 3 2\n", "\t")],
)
@pytest.mark.parametrize("quote", ["", '"'])
def test_lines_before_the_table_are_passed_over_and_said(tmp_path, start, between, quote):
    content = start + text(between).replace(
        "007" + between, f"{quote}007{quote}{between}" if between in ",;" else f"007{between}"
    )
    read = table(tmp_path / "a.csv", content)
    assert (read.columns, rows(read)) == (NAMES, ROWS)
    lines = start.count("\n")
    assert f"starts with {'a line' if lines == 1 else f'{lines} lines'} that" in read.notes[0]


def test_ids_that_start_with_a_hash_are_rows(tmp_path):
    read = table(tmp_path / "a.csv", "#1,x,5\n#2,y,6\n% 3,z,7\n", ReadOptions(columns=("user", "item", "time")))
    assert [row[0] for row in rows(read)] == ["#1", "#2", "% 3"]


@pytest.mark.parametrize("quote", ["", '"'])
def test_a_header_that_comes_again_is_refused(tmp_path, quote):
    content = f"user,item\n{quote}a{quote},b\n\nc,d\n"
    for again in (content, "\ufeff" + content):
        with pytest.raises(DataError, match=r"a\.csv has its header again in row 3"):
            table(tmp_path / "a.csv", content + again)


def test_typed_headers_lose_their_types(tmp_path):
    read = table(tmp_path / "a.inter", "user_id:token\titem_id:token\trating:float\n1\t2\t3\n")
    assert (read.columns, rows(read)) == (["user_id", "item_id", "rating"], [("1", "2", "3")])


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("user,item\n1,a,b\n2,c,d\n", ["column_0", "user", "item"]),
        ('"user" "item"\n"0" "a" "b"\n"1" "c" "d"\n', ["column_0", "user", "item"]),
        ("user::item\na::b::\nc::d::\n", ["user", "item", "column_3"]),
    ],
)
def test_row_numbers_and_last_separators_need_no_name(tmp_path, content, names):
    read = table(tmp_path / "a", content)
    assert read.columns == names
    assert rows(read, ["user", "item"]) == [("a", "b"), ("c", "d")]


@pytest.mark.parametrize("content", ["user~item\na~b\n", "user:item\na:b\n", "user\na\nb\n", "user=a&item=b\n"])
def test_one_value_a_row_asks_for_the_separator(tmp_path, content):
    with pytest.raises(DataError, match=r"a\.txt has one value in a row \(the first: user.*--separator"):
        table(tmp_path / "a.txt", content)


def test_uneven_rows_propose_sequences(tmp_path):
    with pytest.raises(DataError, match=r"row 1 has 2 fields, the header 3.*--format sequences"):
        table(tmp_path / "a.txt", "ann,heat,ran\nbob,ran\neve,ran,jaws,heat\n")


@pytest.mark.parametrize("name", ["i\x1e\x0b{}", "col\x1e\x0b"])
def test_messages_hold_no_control_characters_and_no_thousand_names(tmp_path, name):
    first = ",".join(name.format(n) + "x" * (n % 7) + "y" * (n // 7) for n in range(300))
    (tmp_path / "a.csv").write_text(first + "\n" + first.replace("c", "d") + "x\n")
    with pytest.raises(DataError, match=r"\\x1e\\x0b.*300") as caught:
        prepare(tmp_path / "a.csv", tmp_path / "d")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 1500


def test_a_column_without_a_name_is_called_by_its_place(tmp_path):
    assert table(tmp_path / "a.csv", ",user,item\n0,a,b\n").columns == ["column_1", "user", "item"]


HEADERLESS = [
    ("1::1193::5::978300760\n1::661::3::978302109\n2::914::3::978301968\n", "user,item,rating,time"),
    ("196\t242\t3\t881250949\n186\t302\t3\t891717742\n", "user,item,rating,time"),
    ("A39H,0205616461,5.0,1369699200\nA3JM,0558925278,3.0,1355443200\n", "user,item,rating,time"),
    ("1,2014-04-07T10:51:09.277Z,214536502,0\n1,2014-04-07T10:54:09.868Z,214536500,0\n", "user,time,item,rating"),
    ("0\t2010-10-19T23:55:27Z\t30.2\t-97.7\t22847\n", "user,time,column_3,column_4,item"),
    ("1,2268318,2520377,pv,1511544070\n1,2333346,2520771,pv,1511561733\n", "user,item,column_3,column_4,time"),
    ("u1 i1\nu2 i2\nu1 i3\n", "user,item"),
    ("5,8\n6,8\n5,9\n", "user,item"),
]


@pytest.mark.parametrize(("content", "names"), HEADERLESS)
def test_a_missing_header_is_recognised_and_names_are_proposed(tmp_path, content, names):
    with pytest.raises(DataError, match=r"a\.dat has no header") as caught:
        table(tmp_path / "a.dat", content)
    assert f"--columns {names}." in str(caught.value)
    assert "its first row: " in str(caught.value)


@pytest.mark.parametrize("content", [content for content, _ in HEADERLESS])
def test_named_columns_lose_no_row(tmp_path, content):
    lines = content.strip().split("\n")
    width = len(rows(table(tmp_path / "x", "\n".join(["h" * 3, *lines]), ReadOptions(separator="#", columns=("a",)))))
    assert width == len(lines) + 1
    fields = max(len(lines[0].split(separator)) for separator in ("::", "\t", ",", " "))
    read = table(tmp_path / "a", content, ReadOptions(columns=tuple(f"c{place}" for place in range(fields))))
    assert len(rows(read)) == len(lines)
    assert read.columns == [f"c{place}" for place in range(fields)]


def test_columns_may_be_left_without_a_name(tmp_path):
    read = table(tmp_path / "a", HEADERLESS[0][0], ReadOptions(columns=("user", "item", "-", "time")))
    assert read.columns == ["user", "item", "column_3", "time"]


def test_a_header_that_is_there_is_replaced_and_said(tmp_path):
    read = table(tmp_path / "a.csv", text(","), ReadOptions(columns=("user", "item", "time")))
    assert (read.columns, rows(read)) == (["user", "item", "time"], ROWS)
    assert any("header of its own (user_id, item_id, timestamp)" in note for note in read.notes)


@pytest.mark.parametrize(
    ("first", "kept"), [("u,i,r", False), ("7,8,NA", True), ("NA,8,\\N", True), ("6,7,9", True), ("-,NA,null", True)]
)
def test_only_what_is_clearly_a_header_is_replaced(tmp_path, first, kept):
    read = table(tmp_path / "a.csv", f"{first}\n7,8,5\n5,9,4\n", ReadOptions(columns=("user", "item", "r")))
    assert len(rows(read)) == 2 + kept


def test_named_columns_must_fit(tmp_path):
    with pytest.raises(ConfigError, match=r"--columns names 3 columns, but a has 4"):
        table(tmp_path / "a", HEADERLESS[0][0], ReadOptions(columns=("user", "item", "time")))
    with pytest.raises(DataError, match="two columns named 'user'"):
        table(tmp_path / "a", HEADERLESS[0][0], ReadOptions(columns=("user", "user", "r", "time")))


def test_the_flags_of_the_items_file_are_named_for_it(tmp_path):
    options = ReadOptions(flags="--items-")
    with pytest.raises(DataError, match=r"--items-columns item,title,genres"):
        table(tmp_path / "m", "1::Heat, The (1995)::Drama\n2::Ran (1985)::Drama|War\n", options)
    with pytest.raises(DataError, match="add a first line"):
        table(tmp_path / "m", "1::Heat\n2::Ran\n", ReadOptions(flags=""))


def test_pairs_grouped_by_user_are_read_in_the_order_of_their_rows(tmp_path):
    read = table(tmp_path / "Beauty.txt", "1 3\n1 1\n2 3\n2 2\n3 1\n")
    assert read.columns == ["user", "item"]
    assert rows(read) == [("1", "3"), ("1", "1"), ("2", "3"), ("2", "2"), ("3", "1")]
    assert "read as user and item, in the order of the rows" in " ".join(read.notes)


@pytest.mark.parametrize(
    ("content", "header"),
    [
        ("who,what\nann,heat\nbob,ran\n", True),
        ("who,what\nann,heat\nann,ran\n", True),
        ("ann,heat\nbob,ran\nann,ran\n", False),
        ("customer,film,n\nann,heat,1\n", True),
        ("u1,i1\nu2,i2\n", False),
        ("1,2\n", False),
        ("item,item,5\nuser,item,6\n", False),
        ("[user],{n},<x>\na,5,b\n", True),
    ],
)
def test_headers_are_told_from_rows(tmp_path, content, header):
    if header:
        assert table(tmp_path / "a", content).columns == content.split("\n")[0].split(",")
    else:
        with pytest.raises(DataError, match="has no header"):
            table(tmp_path / "a", content)


def test_names_with_wildcards_are_plain_names(tmp_path):
    for name in ("a[1].csv", "b*.csv", "c?.csv"):
        assert rows(table(tmp_path / name, text(","))) == ROWS
        assert rows(table(tmp_path / name, text("::"))) == ROWS
        assert rows(table(tmp_path / name, '{"user": 1}\n')) == [("1",)]


@pytest.mark.parametrize("quote", ["", '"'])
def test_the_mark_of_a_joined_file_is_no_part_of_an_id(tmp_path, quote):
    line = f"{quote}7{quote},{quote}a{quote},978300760\n"
    joined = "\ufeff" + line + line + "\ufeff" + line
    read = table(tmp_path / "a.csv", joined, ReadOptions(columns=("user", "item", "time")))
    assert rows(read) == [("7", "a", "978300760")] * 3


@pytest.mark.parametrize(
    "above",
    [
        "Report of the shop,,\n",
        "Report\n\n",
        '"Report, weekly",,\nGenerated 2015-03-07,,\n,,\n',
        "Orders\nfrom;2015-03-07\n",
    ],
)
def test_titles_above_the_header_are_no_rows(tmp_path, above):
    read = table(tmp_path / "a.csv", above + text(","))
    assert read.columns == NAMES and rows(read) == ROWS
    assert "starts with" in read.notes[0]


def test_rows_above_a_header_are_never_left_out(tmp_path):
    lines = "1,a,978300760\n2,b,978302109\n"
    with pytest.raises(DataError, match=r"a\.csv has no header"):
        table(tmp_path / "a.csv", lines + text(","))


def test_numbers_of_rows_are_not_proposed_as_users(tmp_path):
    lines = "".join(f"{row}\tU{row % 2}\t2019-11-11 10:00:0{row}\tN{row}\n" for row in range(1, 9))
    with pytest.raises(DataError, match="--columns column_1,user,time,item"):
        table(tmp_path / "a.tsv", lines)
