"""Texts that hold no table: each is called what it is, and no --columns are proposed that make no sense."""

import subprocess

import pytest

from lightrec.data.prepare import prepare
from lightrec.data.reading.readers import ReadOptions, Table
from lightrec.errors import DataError

WEB = '10.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET /item/2 HTTP/1.0" 200 2326\n'


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("INSERT INTO events VALUES (1,2,'2015-03-01');\nINSERT INTO events VALUES (2,3,'2015-03-01');\n", "SQL dump"),
        ("-- MySQL dump 10.13\n\nDROP TABLE IF EXISTS `e`;\nCREATE TABLE `e` (`u` int);\n", "SQL dump"),
        ("--\n-- PostgreSQL\n--\nCOPY public.events (u, i) FROM stdin;\n1\t2\n\\.\n", "SQL dump"),
        (" user | item \n------+------\n    1 |    2\n(1 row)\n", "database prints"),
        ("+------+------+\n| user | item |\n+------+------+\n|    1 |    2 |\n+------+------+\n", "database prints"),
        ("| user | item |\n|---|---|\n| 1 | 2 |\n", "Markdown"),
        ("- user: 1\n  item: 2\n- user: 3\n  item: 4\n", "YAML"),
        ("---\nevents:\n  - user: 1\n", "YAML"),
        ("[[event]]\nuser = 1\nitem = 2\n", "TOML"),
        (WEB, "web server"),
        (WEB.replace("\n", ' "-" "Mozilla/5.0"\n') * 2, "web server"),
        ("Mar  7 10:00:00 host app[1]: user=0 item=2\n", "system log"),
        ("ts=2015-03-07T15:00:00Z level=info user=0 item=2\n", "user=7"),
        ("@relation e\n@attribute user numeric\n@data\n1,2\n", "ARFF"),
        ("1 3:1 5:1\n0 2:1 9:1\n", "LIBSVM"),
        ("{\\rtf1\\ansi user,item\\par 1,2\\par}", "word processor"),
        ("<table>\n<tr><td>1</td></tr>\n</table>\n", "HTML"),
        ("1:\n1488844,3,2005-09-06\n2:\n1488844,4,2005-10-19\n", "Netflix"),
    ],
)
def test_a_text_that_holds_no_table_is_called_what_it_is(tmp_path, text, what):
    (tmp_path / "log.txt").write_text(text)
    with pytest.raises(DataError, match=rf"^log\.txt .*{what}"):
        Table(tmp_path / "log.txt")


def test_the_command_for_the_netflix_prize_works(tmp_path):
    (tmp_path / "log.txt").write_text("1:\n7,3,2005-09-06\n8,5,2005-05-13\n22:\n7,4,2005-09-05\n")
    with pytest.raises(DataError) as refusal:
        Table(tmp_path / "log.txt")
    program = str(refusal.value).split("awk ", 1)[1].split("  ")[0].strip("'")
    lines = subprocess.run(["awk", program, tmp_path / "log.txt"], capture_output=True, text=True, check=True).stdout
    (tmp_path / "log.csv").write_text(lines)
    columns = str(refusal.value).removesuffix(".").rpartition("--columns ")[2].split(",")
    dataset = prepare(tmp_path / "log.csv", tmp_path / "d", reading=ReadOptions(columns=tuple(columns)), k_core=0)
    assert [dataset.item_ids[item] for item in dataset.sequence(dataset.user_ids.index("7"))] == ["22", "1"]


@pytest.mark.parametrize(
    "text", ["user_id,item_id\n--,a\n<x>,b\n", "a:1 b:2\na:1 b:3\nc:1 b:2\n", "user|item\n---|x\n"]
)
def test_ids_that_look_odd_are_still_ids(tmp_path, text):
    (tmp_path / "log.txt").write_text(text)
    assert len(Table(tmp_path / "log.txt").columns) == 2
