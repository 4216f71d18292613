import re
from html.parser import HTMLParser

import pytest

from lightrec.benchmarks.recommendation import summary
from lightrec.benchmarks.report import quality_summary, write_report
from lightrec.errors import DataError

VOID = {"meta", "rect", "line", "br"}


class Tree(HTMLParser):
    """Checks that tags are closed in order, and gathers the text and the attributes."""

    def __init__(self, page):
        super().__init__()
        self.open, self.text, self.attributes = [], "", []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def rows(speed_row):
    absent = {"kind": "absent", "variant": "OpenVINO fp16", "reason": "not installed: pip install 'lightrec[openvino]'"}
    return [
        speed_row("torch fp32", 1.0),
        speed_row("ONNX Runtime int8", 0.125, drop=0.004),
        speed_row("OpenVINO int4", 0.1, drop=0.2),
        absent,
    ]


def test_the_page_holds_every_row_and_needs_no_network(rows, quality_row, tmp_path):
    quality = [quality_row("popularity", 0.03), quality_row("<b>mine</b> & yours", 0.1)]
    write_report(tmp_path / "new" / "report.html", quality, rows, "A & B")
    page = (tmp_path / "new" / "report.html").read_text(encoding="utf-8")
    tree = Tree(page)
    for words in [row["variant"] for row in rows] + [row["label"] for row in quality]:
        assert words in tree.text
    for words in ("A & B", "0.0300", "0.0900–0.1100", "0.125", "8.0×", "0.77", "-20.00%", "Processor 9000", "AVX2"):
        assert words in tree.text
    assert "lightrec bench student --data tiny" in tree.text
    assert "pip install 'lightrec[openvino]'" in tree.text
    assert not re.search(r"https?:|//|url\(|@import|\bsrc=|\bhref=|<script|<link", page)
    assert not re.search(r"\$[a-z{]", page)
    assert "prefers-color-scheme: dark" in page and "@media print" in page


def test_rows_of_several_commands_name_them_all(speed_row, tmp_path):
    other = speed_row("ONNX Runtime fp32", 0.5, bundle="larger", command="lightrec bench larger")
    write_report(tmp_path / "report.html", bench_rows=[speed_row("torch fp32", 1.0), other])
    text = Tree((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "lightrec bench student --data tiny\nlightrec bench larger" in text
    assert "student: miniature, 30 items; larger: miniature, 30 items" in text


def test_bars_stay_within_their_width(rows, quality_row, tmp_path):
    write_report(tmp_path / "report.html", [quality_row("one", 0.001), quality_row("two", 0.3)], rows)
    tree = Tree((tmp_path / "report.html").read_text(encoding="utf-8"))
    places = [value for name, value in tree.attributes if name in ("width", "x1", "x2")]
    widths = [float(value[:-1]) for value in places if value.endswith("%")]
    assert len(widths) > 20
    assert max(widths) == pytest.approx(100)
    drawn = [value for name, value in tree.attributes if name == "aria-label"]
    assert "median 0.125 ms, 99th percentile 0.249 ms" in drawn
    assert "0.3000, 95% interval 0.2900 to 0.3100" in drawn


def test_the_summary_takes_the_fastest_that_keeps_its_quality(rows):
    assert summary(rows[:3]) == (
        "On this machine take ONNX Runtime int8: 0.125 ms from ids to titles (8.0× as fast as torch fp32), "
        "99.6% of its NDCG@10, 0.77 MB."
    )
    assert summary(rows[:1]) == "On this machine take torch fp32: 1.00 ms from ids to titles, 0.77 MB."


def test_without_quality_the_summary_says_nothing_of_it(speed_row):
    rows = [speed_row("ONNX Runtime int8", 1.0, quality=None), speed_row("OpenVINO int8", 0.5, quality=None)]
    assert "NDCG" not in summary(rows)
    assert "OpenVINO int8: 0.500 ms" in summary(rows)


def test_quality_alone_makes_a_page(quality_row, tmp_path):
    rows = [quality_row("teacher", 0.2), quality_row("student", 0.19)]
    write_report(tmp_path / "report.html", rows)
    text = Tree((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "Of 2 models teacher ranks best: NDCG@10 0.2000 (0.1900–0.2100)." in text
    assert "Latency" not in text
    assert quality_summary(rows) in text


def test_no_rows_are_refused(tmp_path):
    with pytest.raises(DataError, match="no row to report"):
        write_report(tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()
