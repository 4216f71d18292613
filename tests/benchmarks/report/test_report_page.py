"""The report as a browser shows it."""

import pytest

from lightrec.benchmarks.report.page import write_pareto, write_rows_report

OVERLAPS = """() => {
  const texts = [...document.querySelectorAll('svg text')].filter(text => text.getClientRects().length);
  const boxes = texts.map(text => [text.ownerSVGElement, text.textContent, text.getBoundingClientRect()]);
  const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4;
  return boxes.flatMap(([svg, one, a], i) => boxes.slice(i + 1)
    .filter(([other, , b]) => other === svg && meet(a, b)).map(([, two]) => `${one} / ${two}`));
}"""
"""Pairs of texts in one drawing that lie over each other, by the fonts that are really there."""


@pytest.fixture
def rows(speed_row):
    times = [("torch fp32", 3.1, 0.0), ("torch.compile fp32", 2.9, 0.0), ("ONNX Runtime fp32", 0.49, 0.0)]
    times += [("ONNX Runtime int8", 0.31, 0.003), ("OpenVINO fp32", 0.52, 0.0), ("OpenVINO int8", 0.35, 0.004)]
    times += [("ONNX Runtime int4", 0.28, 0.03), ("ORT format int8", 0.32, 0.003)]
    rows = [speed_row(name, p50, drop=drop, first_p50=3.1) for name, p50, drop in times]
    curve = [{"rate": 100.0 * n, "p99": 1.5**n, "p50": 1.0, "dropped": 0} for n in range(1, 9)]
    return [row | {"server": {"p99_bound_ms": 10.0, "max_rate": 500.0, "curve": curve}} for row in rows]


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (760, "dark"), (360, "dark")])
def test_the_page_fits_its_screen_asks_for_nothing_and_nothing_overlaps(chromium, rows, tmp_path, width, scheme):
    write_rows_report(tmp_path / "report.html", rows)
    page = chromium.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto((tmp_path / "report.html").as_uri())
    assert asked == [(tmp_path / "report.html").as_uri()] and said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(OVERLAPS) == []
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(15, 19, 24)"}[scheme]
    shown = [page.locator(f".{part} svg").first.is_visible() for part in ("wide", "narrow")]
    assert shown == ([True, False] if width > 704 else [False, True])
    page.close()


@pytest.mark.slow
def test_the_picture_s_labels_do_not_overlap(chromium, rows, tmp_path):
    write_pareto(tmp_path / "pareto.svg", rows)
    page = chromium.new_page(viewport={"width": 900, "height": 600})
    page.goto((tmp_path / "pareto.svg").as_uri())
    assert page.evaluate(OVERLAPS) == []
    page.close()
