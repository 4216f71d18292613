"""The demo page and the service's, judged by axe-core and a browser: every state, both schemes, wide and narrow."""

import shutil

import pytest
from service_process import Server

from lightrec.errors import DownloadError
from lightrec.files.download import fetch_npm_members

pytestmark = pytest.mark.slow
AXE_CORE = "4.14.1"
TARBALL_SHA256 = "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
MEASURE = """
    window.shifts = 0;
    new PerformanceObserver((list) => list.getEntries().forEach((entry) => (window.shifts += entry.value)))
      .observe({ type: "layout-shift", buffered: true });
"""


@pytest.fixture(scope="module")
def axe():
    """axe-core, the rules by which Lighthouse judges accessibility."""
    try:
        (script,) = fetch_npm_members("axe-core", AXE_CORE, TARBALL_SHA256, {"axe.min.js": None}).values()
    except DownloadError as error:
        pytest.skip(f"needs axe-core: {error}")
    return script.read_text(encoding="utf-8")


def violations(page, axe):
    """The rules that the page breaks, each with the elements that do."""
    page.evaluate(axe)
    found = page.evaluate("(tags) => axe.run(document, { runOnly: { type: 'tag', values: tags } })", RULES)
    assert len(found["passes"]) > 15
    return {rule["id"]: [node["html"] for node in rule["nodes"]] for rule in found["violations"]}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1280])
def test_no_state_of_the_page_breaks_a_rule(width, scheme, axe, open_page, serve, sites):
    options = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme, "reduced_motion": "reduce"}
    page = open_page(serve(sites["fp32"]).url, script=MEASURE, bypass_csp=True, **options)
    assert page.evaluate("shifts") < 0.1  # what Lighthouse calls good
    assert violations(page, axe) == {}
    page.fill("#search", "part 1")
    assert violations(page, axe) == {}
    page.keyboard.press("Enter")
    page.click("#items li:nth-child(2) .hide")
    page.wait_for_selector("#unhide")
    assert violations(page, axe) == {}
    page.fill("#search", "nothing like it")
    assert violations(page, axe) == {}


def test_an_error_breaks_no_rule(axe, open_page, serve, sites, tmp_path):
    site = shutil.copytree(sites["fp32"], tmp_path / "site")
    (site / "bundle" / "model.onnx").write_bytes(b"damaged")
    assert violations(open_page(serve(site).url, "#loading.error", bypass_csp=True), axe) == {}


def test_a_broken_rule_is_seen(axe, open_page, serve, sites):
    page = open_page(serve(sites["fp32"]).url, bypass_csp=True)
    page.evaluate("document.querySelector('label').remove()")
    page.evaluate("document.documentElement.removeAttribute('lang')")
    assert {"label", "html-has-lang"} & set(violations(page, axe))


def test_the_chosen_match_is_seen_where_backgrounds_are_not_drawn(open_page, serve, sites):
    page = open_page(serve(sites["fp32"]).url, forced_colors="active")
    page.fill("#search", "part 1")
    outlines = page.locator("#matches li").evaluate_all("rows => rows.map((row) => getComputedStyle(row).outlineStyle)")
    assert outlines[0] == "solid" and set(outlines[1:]) == {"none"}


@pytest.mark.parametrize("width", [375, 1280])
def test_the_page_of_the_service_asks_and_breaks_no_rule(width, axe, open_page, bundle):
    pytest.importorskip("fastapi", reason="needs the extra serve")
    server = Server(bundle, "--timeout", "10")
    address = f"http://127.0.0.1:{server.port}/docs"
    page = open_page(address, "details[open]", bypass_csp=True, viewport={"width": width, "height": 800})
    page.click("details[open] button")
    page.wait_for_selector("details[open] pre")
    said = page.inner_text("details[open] pre")
    assert said.startswith("200 after ") and '"unknown": []' in said and '"fallback": false' in said
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert violations(page, axe) == {} and page.problems == []
    assert server.stop() == 0
