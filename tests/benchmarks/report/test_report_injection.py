"""What strangers can write into rows: no report runs it, takes it for a formula, or breaks on it."""

import csv
import io
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from lightrec.benchmarks.report.page import write_pareto, write_report, write_rows_report
from lightrec.benchmarks.report.tables.render_csv import csv_text
from lightrec.terminal import visible

TAG = "<img src=x onerror=alert(1)>\"'&`|*[x](javascript:y)\x1b[2J\u202e\n=1+1"


def poisoned(fact, keep=("kind", "backend", "time")):
    """``fact`` with every text of it replaced, except where the text decides what is shown."""
    if isinstance(fact, dict):
        return {name: own if name in keep else poisoned(own) for name, own in fact.items()}
    if isinstance(fact, list):
        return [poisoned(own) for own in fact]
    return f"{fact}{TAG}" if isinstance(fact, str) else fact


@pytest.fixture
def rows(speed_row):
    made = [
        poisoned(speed_row(f"ONNX Runtime {name}", p50, command=f"```\n{name}"))
        for name, p50 in (("a", 1.0), ("b", 2.0))
    ]
    return [*made, poisoned({"kind": "absent", "variant": "torch", "reason": "not here", "requested": True})]


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def test_a_page_shows_it_as_text(rows, quality_row, tmp_path):
    page = tmp_path / "page.html"
    write_report(page, [poisoned(quality_row("one", 0.1))], rows, title=TAG)
    text = page.read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(text)
    assert len(tags.found) > 50
    assert not [tag for tag in tags.found if tag[0] == "img" or "onerror" in tag[1]]
    assert "&lt;img src=x" in text and "<img" not in text
    assert not set(text) & {"\x1b", "\u202e"}


def test_a_picture_stays_well_formed(rows, tmp_path):
    write_pareto(tmp_path / "p.svg", rows)
    tree = ElementTree.fromstring((tmp_path / "p.svg").read_text(encoding="utf-8"))
    assert not [node for node in tree.iter() if node.tag.endswith("img")]


def test_markdown_keeps_its_table_and_its_fence(rows, tmp_path):
    write_rows_report(tmp_path / "r.md", rows)
    lines = (tmp_path / "r.md").read_text(encoding="utf-8").splitlines()
    table = [line for line in lines if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {4}
    assert not any(re.search(r"<(?!-)[a-z]|(?<!\\)\]\(", line) for line in lines[: lines.index("````")])
    assert lines.count("````") == 2


@pytest.mark.parametrize("cell", ["=1+1", "+1+1", "-1+1", "@SUM(A1)", " =1", "＝1", "|cmd", "%x"])
def test_no_cell_is_a_formula(cell):
    (names, values) = csv.reader(io.StringIO(csv_text([{"kind": cell, cell: "x"}]), newline=""))
    assert names == ["kind", f"'{cell}"] and values == [f"'{cell}", "x"]


@pytest.mark.parametrize("cell", ["\t=1+1", "\r=1+1", "\n=1+1"])
def test_no_cell_begins_with_white_space_that_a_spreadsheet_skips(cell):
    (_, values) = csv.reader(io.StringIO(csv_text([{"a": cell, "b": "x"}]), newline=""))
    assert values == [visible(cell), "x"]


@pytest.mark.parametrize("number", [-1, -1.5, 1e-9, 0, True, None, "-1", "+2.5", "-1e-05"])
def test_numbers_stay_numbers(number):
    (_, values) = csv.reader(io.StringIO(csv_text([{"a": number, "b": 1}])))
    assert values == ["" if number is None else str(number), "1"]


def test_a_csv_report_is_read_back_as_one_line_a_row(rows, tmp_path):
    write_rows_report(tmp_path / "r.csv", rows)
    with (tmp_path / "r.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert len(found) == len(rows)
    assert not [cell for row in found for cell in row.values() if cell and re.match(r"[=@\t\r]|[+-](?!\d)", cell)]
