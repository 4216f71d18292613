import itertools
import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest
from web.test_page import contrast

from lightrec.benchmarks.report.charts.axes import linear_axis
from lightrec.benchmarks.report.charts.line_chart import COLOURS, STYLE, Line, line_chart
from lightrec.benchmarks.report.page import quality_summary, write_report, write_rows_report
from lightrec.benchmarks.report.recommendation import summary
from lightrec.benchmarks.report.tables.formats import megabytes, milliseconds, per_second, times
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
    assert summary(rows[:1]) == (
        "On this machine take torch fp32: 1.00 ms from ids to titles, NDCG@10 0.1000, 0.77 MB."
    )


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


SECTIONS = [
    "Quality against latency", "Latency", "Throughput and load", "Scaling", "Without rest", "Size and memory",
    "All figures", "Not measured here", "How it was measured",
]  # fmt: skip


def headings(page):
    return re.findall("<h2>(.*?)</h2>", page)


def page_of(rows, folder):
    write_rows_report(folder / "report.html", rows)
    page = (folder / "report.html").read_text(encoding="utf-8")
    Tree(page)
    return page


def test_every_section_is_there_with_its_figures(full_rows, tmp_path):
    page = page_of(full_rows, tmp_path)
    assert headings(page) == SECTIONS
    drawn = ("Throughput by batch", "Latency under load", "Parallel streams", "Latency by catalogue size", "by threads")
    text = Tree(page).text
    for words in (*drawn, "99% of torch fp32", "bound: 10 ms", "edge, 1 core, 512.0 MB of memory", "cores affinity"):
        assert words in text
    assert not re.search(r"https?:|//|url\(|@import|\bsrc=|\bhref=|<script|<link", page)


def test_each_variant_s_own_rates_stand_below_their_latencies(full_rows, tmp_path):
    curve = [{"rate": 1234.0 + n, "p99": 7.77 + n, "p50": 1.0, "dropped": 0} for n in range(5)]
    full_rows[1] |= {"server": full_rows[1]["server"] | {"curve": curve}}
    page = page_of(full_rows, tmp_path)
    table = page[page.index("<caption>Latency under load") :].partition("</table>")[0]
    lines = [Tree(line).text for line in re.findall("<tr>.*?</tr>", table)]
    assert lines[0] == "p99, ms at requests a secondtorch fp32ONNX Runtime int8"
    assert lines[1] == "12.00at 1007.77at 1,234"
    assert lines[4:] == ["4–10.8at 1,237", "5–11.8at 1,238"]


@pytest.mark.parametrize(
    ("points", "place"),
    [
        ([(0, 1), (10, 1)], "left above"),  # far below the limit
        ([(0, 6), (1, 6.5), (10, 1)], "right above"),
        ([(0, 6), (1, 6.5), (9, 6.5), (10, 6)], "left below"),
    ],
)
def test_the_limit_s_label_avoids_the_curves(points, place):
    x, y = linear_axis([0, 10], "x"), linear_axis([0, 10], "y", zero=True)
    drawing = line_chart("t", "w", [Line("one", 0, points)], x, y, (5.0, "bound: 10 ms"))
    label = re.search('<text class="limit-label" x="[^"]*" y="([^"]*)" text-anchor="(start|end)"', drawing)
    line = float(re.search('<line class="limit"[^>]* y1="([^"]*)"', drawing)[1])
    side = "left" if label[2] == "start" else "right"
    assert f"{side} {'above' if float(label[1]) < line else 'below'}" == place


def test_sections_without_data_do_not_appear(speed_row, tmp_path):
    plain = speed_row("ONNX Runtime int8", 1.0, quality=None, per_second={"1": 1000.0})
    assert headings(page_of([plain], tmp_path)) == ["Latency", "Size and memory", "All figures", "How it was measured"]


def test_what_was_not_measured_is_a_dash(full_rows, tmp_path):
    nothing = (
        "quality",
        "memory_bytes",
        "cold_start",
        "session_ms",
        "server",
        "streams",
        "threads_scaling",
        "soak",
        "per_second",
    )
    peer = full_rows[1] | dict.fromkeys((*nothing, "size_bytes", "load_ms", "agreement", "energy_mj_per_call"))
    peer["latency_ms"] = {"recommend": peer["latency_ms"]["recommend"], "graph": None}
    page = page_of([full_rows[0], peer | {"variant": "RePlay fp32"}], tmp_path)
    assert re.search('<th scope="row">peak memory, MB</th><td.*?>61.2</td><td.*?>–</td>', page)
    assert "take torch fp32" in page  # a peer is never recommended


def numbers_of(value):
    """Every number in a row, as any report might write it."""
    if isinstance(value, dict):
        return set().union(*map(numbers_of, value.values()))
    if isinstance(value, list):
        return set().union(*map(numbers_of, value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return set()
    written = {milliseconds(value), megabytes(value), per_second(value), times(value), f"{value:.4f}"}
    return written | {f"{value:.1%}", f"{value:+.1%}", f"{-100 * value:+.2f}%", "0.00%"}


def test_every_number_of_the_table_stems_from_a_row(full_rows, tmp_path):
    page = page_of(full_rows, tmp_path)
    table = page[page.index('<table class="all">') :].partition("</table>")[0]
    cells = re.findall(r"<td[^>]*>(.*?)</td>", table)
    shown = [re.sub("<small>|</?strong[^>]*>|</small>", " ", cell).split() for cell in cells]
    known = numbers_of(full_rows)
    assert len(shown) == 2 * 28
    assert {number for cell in shown for number in cell} - {"–"} <= known
    for line, values in [
        ("one request, p99.9", ["3.00", "0.375"]),
        ("session step, p99", ["0.099", "0.099"]),
        ("served, p99 at most 10 ms", ["876", "876"]),
        ("energy a call, mJ", ["2.34", "2.34"]),
        ("top 10 shared with the reference", ["–", "99.1%"]),
        ("speed-up of one request", ["–", "8.0×"]),
        ("NDCG@10", ["0.1000", "0.0996 -0.40%"]),
    ]:
        found = re.search(f'<th scope="row">{re.escape(line)}</th>(.*)</tr>', table)[1]
        texts = [re.sub("<[^>]*>", " ", cell).split() for cell in found.split("</td>")[:-1]]
        assert [" ".join(text) for text in texts] == values


def test_a_speed_up_that_is_none_is_said_to_be_none(full_rows, tmp_path):
    speedup = full_rows[1]["latency_ms"]["recommend"]["speedup"]
    speedup |= {"value": 1.01, "low": 0.98, "high": 1.04, "interval": [0.97, 1.05], "differs": False}
    page = page_of(full_rows, tmp_path)
    assert "1.0–1.0, no difference" in page and "does not lie beyond 1 ± 3%" in page
    write_rows_report(tmp_path / "report.md", full_rows)
    line = "| speed-up of one request | – | 1.0× (no difference) |"
    assert line in (tmp_path / "report.md").read_text(encoding="utf-8").splitlines()
    speedup["differs"] = True
    assert "no difference<" not in page_of(full_rows, tmp_path)


def test_scenarios_that_failed_versions_of_others_and_the_time_taken_are_told(full_rows, tmp_path):
    full_rows[0] |= {"failed": {"server": "torch fp32 failed: MemoryError"}, "elapsed_seconds": 412.6}
    full_rows[1] |= {
        "failed": {},
        "elapsed_seconds": 412.6,
        "versions": {"chromium": "140.0", "onnxruntime-web": "1.23"},
    }
    page = page_of(full_rows, tmp_path)
    assert "<dt>torch fp32, server</dt><dd>torch fp32 failed: MemoryError</dd>" in page
    assert "<dd>ONNX Runtime int8: chromium 140.0, onnxruntime-web 1.23</dd>" in page
    assert "<dt>Time taken</dt><dd>6 min 53 s</dd>" in page


def schemes():
    """The colours of the page and of its drawings by name: on white, on black and on paper."""
    template = files("lightrec.benchmarks.report").joinpath("template.html").read_text(encoding="utf-8")
    light, dark, paper = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", block))
        for block in re.findall(":root {(.*?)}", template, re.S)
    )
    drawn = [dict(re.findall(r"--(c\d): (#[0-9a-f]{6});", block)) for block in re.findall(":root {(.*?)}", STYLE, re.S)]
    return [light | drawn[0], dark | drawn[1], light | drawn[0] | paper]


@pytest.mark.parametrize("scheme", schemes(), ids=["light", "dark", "print"])
def test_text_and_drawings_stand_out(scheme):
    found = {name: f"#{colour[1] * 2}{colour[2] * 2}{colour[3] * 2}" if len(colour) == 4 else colour
             for name, colour in scheme.items()}  # fmt: skip
    for text, ground in itertools.product(("ink", "soft", "strong"), ("paper", "card")):
        assert contrast(found[text], found[ground]) >= 4.5, (text, ground)
    assert contrast(found["ink"], found["warn"]) >= 4.5
    drawn = [f"c{number}" for number in range(COLOURS)]
    for line in (*drawn, "whisker"):
        assert contrast(found[line], found["paper"]) >= 3, line
    assert len({found[name] for name in drawn}) == COLOURS


def test_those_who_do_not_see_the_page_can_read_it(full_rows, tmp_path):
    noisy = [full_rows[0] | {"noise": {"warning": "The machine was not quiet."}}, *full_rows[1:]]
    page = page_of(noisy, tmp_path)
    depth, drawings = 0, []
    for tag in re.findall("</?svg[^>]*>", page):
        drawings += [tag] if depth == 0 else []  # one within another is a part of it
        depth += -1 if tag == "</svg>" else 1
    assert len(drawings) > 10
    for drawing in drawings:
        named = 'role="img"' in drawing and re.search('aria-label="[^"]+"', drawing)
        assert named or 'aria-hidden="true"' in drawing, drawing
    tables = re.findall("<table.*?</table>", page, re.S)
    assert len(tables) > 5
    for table in tables:
        assert re.search("<caption>[^<]+</caption>", table)
        assert all('scope="' in head for head in re.findall("<th[ >][^>]*>?", table))
    assert '<p class="warning" role="note">' in page
    assert '<div class="scroll" tabindex="0" role="region" aria-label="All figures">' in page
    assert '<html lang="en">' in page and "maximum-scale" not in page and "user-scalable" not in page


def test_noise_and_wrong_items_stand_on_top(full_rows, tmp_path):
    noise = {"warning": "The machine was not quiet."}
    flag = {"overlap@10": 0.5, "wrong_items": True, "flag": "it shares 50% of its top 10 with torch fp32"}
    noisy = [full_rows[0] | {"noise": noise}, full_rows[1] | {"noise": noise, "agreement": flag}]
    page = page_of(noisy, tmp_path)
    warned = re.findall('<p class="warning" role="note">(.*?)</p>', page)
    assert warned == [
        "The machine was not quiet.",
        "Do not use ONNX Runtime int8: it shares 50% of its top 10 with torch fp32.",
    ]
    assert summary(noisy).startswith("On this machine take torch fp32:")


def test_rows_of_one_variant_are_told_apart(speed_row, tmp_path):
    rows = [speed_row("ONNX Runtime int8", 1.0, threads=threads, bundle="b") for threads in (1, 2, 2)]
    text = Tree(page_of(rows, tmp_path)).text
    for name in ("ONNX Runtime int8, 1 thread", "ONNX Runtime int8, 2 threads", "ONNX Runtime int8, 2 threads (2)"):
        assert name in text
