"""Several files as one log: named one by one, or the parts in a folder."""

import gzip
import os
import threading

import polars as pl
import pytest
from typer.testing import CliRunner

from lightrec.cli.app import app
from lightrec.data.dataset import Dataset
from lightrec.data.reading.readers import Table
from lightrec.errors import DataError

HEADER = "user,item\n"


def rows(read):
    return read.read(["user", "item"]).rows()


def test_the_parts_of_a_folder_are_one_log_in_the_order_of_their_names(tmp_path):
    for number in (10, 2, 1):
        (tmp_path / f"part-{number}.csv").write_text(f"{HEADER}u{number},x\n")
    (tmp_path / "_SUCCESS").write_text("")
    (tmp_path / ".part-1.csv.crc").write_bytes(b"\0crc")
    (tmp_path / "part-3.csv").write_text("")
    (tmp_path / "part-4.csv").write_text(HEADER)
    read = Table(tmp_path)
    assert rows(read) == [("u1", "x"), ("u2", "x"), ("u10", "x")]
    assert read.file == tmp_path.name
    assert "4 parts, in the order of their names" in read.notes[0]
    assert "ignored 3" in read.notes[1] and "_SUCCESS" in read.notes[1] and "part-3.csv" in read.notes[1]


def test_files_are_read_in_the_order_given(tmp_path):
    (tmp_path / "b.csv").write_text(f"{HEADER}1,x\n")
    (tmp_path / "a.json").write_text('{"item": "y", "user": "2"}\n')
    (tmp_path / "c.gz").write_bytes(gzip.compress(b"item;user\nz;3\n"))
    read = Table([tmp_path / "b.csv", tmp_path / "a.json", tmp_path / "c.gz"])
    assert rows(read) == [("1", "x"), ("2", "y"), ("3", "z")]
    assert read.file == "b.csv and 2 more"


def test_whole_numbers_of_several_widths_and_text_go_together(tmp_path):
    pl.DataFrame({"user": [1], "item": [2]}, schema={"user": pl.Int32, "item": pl.Int64}).write_parquet(tmp_path / "a")
    pl.DataFrame({"user": [3], "item": ["x"]}).write_parquet(tmp_path / "b")
    assert rows(Table(tmp_path)) == [(1, "2"), (3, "x")]
    pl.DataFrame({"user": [3], "item": [[1]]}).write_parquet(tmp_path / "c")
    with pytest.raises(DataError, match="different types in the column 'item'"):
        rows(Table(tmp_path))


def test_parts_with_other_columns_are_refused_by_the_difference(tmp_path):
    (tmp_path / "a.csv").write_text(f"{HEADER}1,x\n")
    (tmp_path / "b.csv").write_text("user,item,when\n1,x,5\n")
    with pytest.raises(DataError, match=r"b\.csv has other columns than a\.csv \(it has when besides\)"):
        Table(tmp_path)
    (tmp_path / "b.csv").write_text("user,product\n1,x\n")
    with pytest.raises(DataError, match=r"it lacks item and has product besides"):
        Table(tmp_path)


def test_parts_that_were_cut_from_one_file_have_the_header_of_the_first(tmp_path):
    (tmp_path / "xaa").write_text("user,item,time\nann,x,5\n")
    (tmp_path / "xab").write_text("bob,y,7\nann,z,8\n")
    (tmp_path / "xac").write_text("bob,y,9\n")
    read = Table(tmp_path)
    assert rows(read) == [("ann", "x"), ("bob", "y"), ("ann", "z"), ("bob", "y")]
    assert "xab and 1 more has no header: it was read with the columns of the part before it." in read.notes


def test_a_part_that_is_broken_is_named(tmp_path):
    (tmp_path / "a.csv").write_text(f"{HEADER}1,x\n")
    (tmp_path / "b.csv").write_text(f"{HEADER}1,x,y\n")
    with pytest.raises(DataError, match=r"^b\.csv"):
        Table(tmp_path)


def test_what_is_no_set_of_files_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text(f"{HEADER}1,x\n")
    with pytest.raises(DataError, match="given twice"):
        Table([tmp_path / "a.csv", tmp_path / "." / "a.csv"])
    (tmp_path / "inner").mkdir()
    with pytest.raises(DataError, match=r"has a folder in it \(inner\)"):
        Table(tmp_path)
    with pytest.raises(DataError, match="without a file of data"):
        Table(tmp_path / "inner")
    with pytest.raises(DataError, match=r"missing\.csv does not exist"):
        Table([tmp_path / "a.csv", tmp_path / "missing.csv"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes, which the system lacks")
def test_a_pipe_is_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(gzip.compress(b"user,item\n1,x\n"),))
    writer.start()
    assert rows(Table(tmp_path / "pipe")) == [("1", "x")]
    writer.join()


def test_the_command_takes_several_files_and_the_options_of_reading(tmp_path):
    (tmp_path / "a.dat").write_bytes(b"1::7::5::100\n1::8::5::50\n")
    (tmp_path / "b.dat").write_bytes(b"2::7::5::100\n")
    (tmp_path / "m.dat").write_bytes("7::Amélie::Comedy\n8::Heat, The::Drama\n".encode("latin-1"))
    result = CliRunner().invoke(
        app,
        [
            *("data", "prepare", str(tmp_path / "a.dat"), str(tmp_path / "b.dat"), "--out", str(tmp_path / "d")),
            *("--columns", "user,item,rating,time", "--separator", "::", "--encoding", "utf-8", "--k-core", "0"),
            *("--items", str(tmp_path / "m.dat"), "--items-columns", "item,title,genres"),
        ],
    )
    assert result.exit_code == 0, result.output
    assert "m.dat is not UTF-8 and was read as Windows-1252" in " ".join(result.output.split())
    dataset = Dataset.open(tmp_path / "d")
    assert [[dataset.item_titles[item] for item in dataset.sequence(user)] for user in (0, 1)] == [
        ["Heat, The", "Amélie"],
        ["Amélie"],
    ]
