"""The demo page without a browser: its markup, what it refers to, its contrast, and what it may talk to."""

import itertools
import json
import re
from html.parser import HTMLParser

import pytest

from lightrec.web import FOLDER

PAGE = FOLDER / "page"
HTML = (PAGE / "index.html").read_text(encoding="utf-8")
CSS = (PAGE / "style.css").read_text(encoding="utf-8")
SCRIPTS = [*PAGE.glob("*.js"), FOLDER / "lightrec.js"]
VOID = {"meta", "link", "input"}


class Markup(HTMLParser):
    """Every element with its attributes; elements that are not closed in order are an error."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements = [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert len(attrs) == len(dict(attrs)), f"an attribute twice in <{tag}>"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


ELEMENTS = Markup(HTML).elements
IDS = [attributes["id"] for _, attributes in ELEMENTS if "id" in attributes]


def test_unclosed_markup_is_seen():
    with pytest.raises(AssertionError):
        Markup("<main><p>text</main>")


def test_ids_are_unique_and_references_lead_somewhere():
    assert len(IDS) == len(set(IDS))
    for _, attributes in ELEMENTS:
        for name in ("for", "aria-controls", "aria-labelledby"):
            assert attributes.get(name, IDS[0]) in IDS


def test_scripts_ask_only_for_elements_that_are_there():
    asked = set(re.findall(r'element\("([\w-]+)"\)', (PAGE / "app.js").read_text(encoding="utf-8")))
    assert len(asked) > 10 and asked <= set(IDS)


def test_everything_to_operate_has_a_name():
    labelled = {attributes["for"] for tag, attributes in ELEMENTS if tag == "label"}
    for tag, attributes in ELEMENTS:
        if tag == "input":
            assert attributes["id"] in labelled
        if attributes.get("role") == "listbox" or tag == "ol":
            assert attributes["aria-label"]
    assert ELEMENTS[0] == ("html", {"lang": "en"})
    assert {tag for tag, _ in ELEMENTS} >= {"title", "header", "main", "footer", "h1", "h2"}
    viewport = next(attributes["content"] for _, attributes in ELEMENTS if attributes.get("name") == "viewport")
    assert "width=device-width" in viewport and "scal" not in viewport.replace("initial-scale=1", "")


def test_every_file_that_is_referred_to_is_in_the_package(package):
    wanted = {attributes.get("src") or attributes.get("href") for _, attributes in ELEMENTS} - {None}
    wanted |= {icon["src"] for icon in json.loads((PAGE / "app.webmanifest").read_text(encoding="utf-8"))["icons"]}
    for script in SCRIPTS:
        text = re.sub(r"/\*.*?\*/", "", script.read_text(encoding="utf-8"), flags=re.DOTALL)
        wanted |= set(re.findall(r'(?:from|importScripts\(|register\() ?"([^"]+)"', text))
        wanted |= {f"onnxruntime-web/{name}" for name in re.findall(r'RUNTIME\w* = "([^"]+)"', text)}
    assert len(wanted) >= 9
    assert {name.removeprefix("./") for name in wanted} <= set(package.files)


def test_the_page_may_talk_to_its_own_server_only():
    policy = next(attributes["content"] for _, attributes in ELEMENTS if "http-equiv" in attributes)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert set(" ".join(rules.values()).split()) == {"'none'", "'self'", "'wasm-unsafe-eval'"}
    for file in [*PAGE.iterdir(), *SCRIPTS]:
        addresses = set(re.findall(r"https?://[\w.]+", file.read_text(encoding="utf-8")))
        assert addresses <= {"http://www.w3.org"}  # the name of SVG, which nobody fetches


def test_the_page_is_small(package):
    page = sum(size for name, size in package.files.items() if "/" not in name)
    assert page < 80_000  # a third of that as a server compresses it


def colours(block):
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))


LIGHT = colours(CSS.split("@media")[0])
DARK = colours(CSS.split("@media")[1])


def contrast(one, other):
    """The ratio of WCAG 2: (lighter + 0.05) / (darker + 0.05), in relative luminance."""

    def luminance(colour):
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted([luminance(one), luminance(other)], reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_standard():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_and_borders_stand_out(scheme):
    assert set(scheme) == set(LIGHT)
    for text, ground in itertools.product(("ink", "muted", "accent"), ("ground", "surface")):
        assert contrast(scheme[text], scheme[ground]) >= 4.5, (text, ground)
    assert contrast(scheme["on-accent"], scheme["accent"]) >= 4.5
    assert contrast(scheme["ink"], scheme["line"]) >= 4.5  # a button under the pointer
    for ground in ("ground", "surface"):
        assert contrast(scheme["edge"], scheme[ground]) >= 3, ground


def test_the_theme_colours_are_the_grounds():
    said = [attributes["content"] for _, attributes in ELEMENTS if attributes.get("name") == "theme-color"]
    assert said == [LIGHT["ground"], DARK["ground"]]
