"""lightrec.js and the demo page in a real headless Chromium."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from lightrec import Recommender
from lightrec.bundle import read_golden
from lightrec.verify.compare import compare

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


@pytest.fixture
def page(open_page, serve, sites):
    """The demo page of the single-precision student, ready and kept for offline use; its server is page.server."""
    server = serve(sites["fp32"])
    page = open_page(server.url, "body[data-offline]")
    page.server = server
    yield page
    assert page.problems == []


def titles(page, list_id):
    return page.locator(f"#{list_id} .title").all_inner_texts()


def add(page, words):
    page.fill("#search", words)
    page.keyboard.press("Enter")


def expected(sites, history, **options):
    recommender = Recommender.load(sites["fp32"] / "bundle")
    ids = {recommender.title(item): item for item in recommender.item_ids}
    answer = recommender.recommend([ids[title] for title in history], **options)
    return [item.title or item.id for item in answer]


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_golden_cases(precision, open_page, serve, sites):
    page = open_page(serve(sites[precision]).url)
    answers = page.evaluate(
        """async () => {
            const { Recommender } = await import("./lightrec.js");
            const recommender = await Recommender.load("bundle");
            const { cases } = await (await fetch("bundle/golden.json")).json();
            const answers = [];
            for (const { history, exclude, k } of cases) answers.push(await recommender.rank(history, { k, exclude }));
            return JSON.stringify(answers);
        }"""
    )
    cases, tolerance = read_golden(sites[precision] / "bundle")
    assert len(cases) >= 10 and (precision != "fp32" or tolerance <= 1e-4 * max(case.scores[0] for case in cases))
    for case, answer in zip(cases, json.loads(answers), strict=True):
        assert compare(case, *map(np.array, (answer["items"], answer["scores"])), tolerance) is None
    assert page.problems == []


def test_suggestions_follow_the_history_at_once(page, sites):
    assert page.inner_text("#next-heading") == "Popular"
    assert titles(page, "items") == expected(sites, [], k=10)
    add(page, "part 3 red")
    assert titles(page, "history") == ["Part 3 of the red saga"]
    assert page.inner_text("#next-heading") == "Next for you"
    assert titles(page, "items") == expected(sites, ["Part 3 of the red saga"], k=10)
    assert page.inner_text("#time").endswith(" ms")
    add(page, "part 7 red")
    assert titles(page, "history") == ["Part 7 of the red saga", "Part 3 of the red saga"]  # the latest first
    assert titles(page, "items") == expected(sites, ["Part 3 of the red saga", "Part 7 of the red saga"], k=10)
    assert "10 suggestions in" in page.text_content("#announcement")


def test_rows_are_added_hidden_and_removed(page, sites):
    first, second = titles(page, "items")[:2]
    page.click("#items li:nth-child(1) .add")
    assert titles(page, "history") == [first]
    hidden = titles(page, "items")[0]
    page.click("#items li:nth-child(1) .hide")
    assert hidden not in titles(page, "items")
    page.click("#unhide")
    assert titles(page, "items")[0] == hidden
    page.click("#history .remove")
    assert titles(page, "history") == [] and titles(page, "items")[:2] == [first, second]


def test_nothing_is_asked_of_the_server_once_the_page_is_ready(page):
    asked = list(page.server.asked)
    add(page, "part 3 red")
    page.click("#items li:nth-child(2) .add")
    page.wait_for_timeout(200)
    assert page.server.asked == asked


def test_the_keyboard_is_enough(page):
    page.keyboard.press("/")
    page.keyboard.type("part 1")
    options = page.locator("#matches [role=option]")
    assert options.count() == 8 and options.nth(0).get_attribute("aria-selected") == "true"
    page.keyboard.press("ArrowDown")
    chosen = options.nth(1).inner_text()
    assert page.get_attribute("#search", "aria-activedescendant") == options.nth(1).get_attribute("id")
    page.keyboard.press("Enter")
    assert titles(page, "history") == [chosen] and page.locator("#matches").is_hidden()
    page.focus("#items li:nth-child(3) .add")
    taken, following = titles(page, "items")[2], page.locator("#items li:nth-child(3) .add")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelectorAll('#history li').length === 2")
    assert titles(page, "history")[0] == taken
    assert following.evaluate("button => button === document.activeElement")  # not thrown to the top of the page
    page.focus("#history li:nth-child(1) .remove")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelectorAll('#history li').length === 0")
    assert page.evaluate("document.activeElement.id") == "history-heading"


def test_a_search_without_a_match_says_so_and_escape_closes_it(page):
    page.fill("#search", "nothing like it")
    assert page.inner_text("#matches") == page.text_content("#announcement") == "No title matches."
    page.keyboard.press("Enter")
    assert titles(page, "history") == []
    page.keyboard.press("Escape")
    assert page.locator("#matches").is_hidden()


def test_it_works_offline_and_the_history_outlives_a_reload(page, sites):
    add(page, "part 3 red")
    page.server.stop()
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert titles(page, "history") == ["Part 3 of the red saga"]
    add(page, "part 7 red")
    assert titles(page, "items") == expected(sites, ["Part 3 of the red saga", "Part 7 of the red saga"], k=10)


@pytest.mark.parametrize(
    "saved", ["{", "null", "7", '{"history": 5, "hidden": {}}', '{"history": [null, ["i03"], {}]}']
)
def test_what_others_have_saved_in_its_place_does_not_stop_it(saved, open_page, serve, sites):
    page = open_page(serve(sites["fp32"]).url, script=f"sessionStorage.setItem('lightrec', {json.dumps(saved)});")
    assert page.inner_text("#next-heading") == "Popular" and titles(page, "history") == []
    add(page, "part 3 red")
    assert titles(page, "history") == ["Part 3 of the red saga"] and page.problems == []


def test_without_storage_or_service_workers_it_works_as_well(open_page, serve, sites):
    forbidden = """
        const forbid = () => { throw new DOMException("forbidden", "SecurityError"); };
        Object.defineProperty(window, "sessionStorage", { get: forbid });
        navigator.serviceWorker.register = async () => forbid();
        """
    page = open_page(serve(sites["fp32"]).url, script=forbidden)
    add(page, "part 3 red")
    assert titles(page, "history") == ["Part 3 of the red saga"] and page.problems == []


def test_pages_of_ones_own_in_the_folder_are_themselves(open_page, serve, sites, tmp_path):
    site = shutil.copytree(sites["fp32"], tmp_path / "site")
    shutil.copy(EXAMPLES / "page.html", site)
    (site / "mine.html").write_text("<!doctype html><title>Mine</title><h1>My own page</h1>")
    server = serve(site)
    page = open_page(server.url, "body[data-offline]")
    page.goto(server.url + "mine.html")
    assert page.evaluate("Boolean(navigator.serviceWorker.controller)") and page.inner_text("h1") == "My own page"
    page.goto(server.url + "page.html?item=i03&item=i07")
    page.wait_for_selector("#suggestions li")
    for address in ("", "?from=a-letter", "index.html", "index.html?from=a-letter"):
        page.goto(server.url + address)
        assert page.inner_text("h1") == "What next?"
    server.stop()
    for address in ("?from=a-letter", "index.html"):
        page.goto(server.url + address)
        page.wait_for_selector("body[data-ready]")


def test_a_new_package_takes_the_place_of_the_old_one(open_page, serve, sites, tmp_path):
    site = shutil.copytree(sites["fp32"], tmp_path / "site")
    page = open_page(serve(site).url, "body[data-offline]")
    shutil.copytree(sites["int8"], site, dirs_exist_ok=True, copy_function=shutil.copyfile)  # dated now
    page.evaluate("navigator.serviceWorker.ready.then((registration) => registration.update())")
    for _ in range(100):
        [first, *others] = page.evaluate("caches.keys()")  # the new one is filled before the old one goes
        if not others and first.endswith(version(site)):
            break
        page.wait_for_timeout(200)
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert "(int8)" in page.inner_text("#about")


def version(site):
    listing = (site / "precache.js").read_text(encoding="utf-8")
    return json.loads(listing.removeprefix("self.PRECACHE = ").removesuffix(";\n"))["version"]


def damage(file):
    content = bytearray(file.read_bytes())
    content[-9] ^= 1
    file.write_bytes(content)


def test_a_damaged_bundle_is_one_sentence_on_the_page(open_page, serve, sites, tmp_path):
    site = shutil.copytree(sites["fp32"], tmp_path / "site")
    damage(site / "bundle" / "titles.json.gz")
    page = open_page(serve(site).url, "#loading.error")
    said = page.inner_text("#loading")
    assert "/bundle/titles.json.gz differs from its SHA-256: copy the bundle again" in said
    assert page.inner_text("#next-heading") == "This page cannot start" and page.locator(".yours").is_hidden()


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_it_fits_every_screen(width, open_page, serve, sites):
    page = open_page(serve(sites["fp32"]).url, viewport={"width": width, "height": 800})
    for words in ("part 3", "part 7", "part 9"):
        add(page, words)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    for button in page.locator("button:visible").all():
        assert button.bounding_box()["height"] > 43.9


def test_the_example_page_recommends(open_page, serve, sites, tmp_path):
    site = shutil.copytree(sites["fp32"], tmp_path / "site")
    shutil.copy(EXAMPLES / "page.html", site)
    recommender = Recommender.load(site / "bundle")
    page = open_page(serve(site).url + "page.html?item=i03&item=i07", "#suggestions li")
    page.wait_for_timeout(100)
    expected = recommender.recommend(["i03", "i07"], k=5)
    assert page.locator("#suggestions li").all_inner_texts() == [item.title or item.id for item in expected]


def test_the_page_of_the_docs_recommends(open_page, serve, sites, tmp_path):
    site = shutil.copytree(sites["fp32"], tmp_path / "site")
    (whole,) = re.findall(r"^```html\n(.*?)^```$", (ROOT / "docs/web.md").read_text(encoding="utf-8"), re.M | re.S)
    recommender = Recommender.load(site / "bundle")
    (site / "mine.html").write_text(whole.replace('"50", "181", "174"', '"i03", "i07"'), encoding="utf-8")
    page = open_page(serve(site).url + "mine.html", "li:nth-child(10)")
    expected = recommender.recommend(["i03", "i07"], k=10)
    assert page.locator("li").all_inner_texts() == [item.title or item.id for item in expected]
