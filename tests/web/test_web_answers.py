"""What servers and networks do to a page: lightrec.js answers, or names what happened, where, and the mend."""

import functools
import gzip
import http.server
import json
import shutil
import threading

import pytest
from campaigns.campaign import sentence_problem

from lightrec import Recommender

pytestmark = pytest.mark.slow
PAGE = '<!doctype html><title>Shop</title><link rel="icon" href="data:,"><body>Start page</body>'
LOAD = """
    async (options) => {
      try {
        const { Recommender } = await import("/lightrec.js");
        const { bundle, ...others } = options;
        const recommender = await Recommender.load(bundle, others);
        const { items } = await recommender.recommend(["i03", "i07"], { k: 5 });
        return JSON.stringify({ ids: items.map(({ id }) => id), titles: items.map(({ title }) => title) });
      } catch (error) {
        return JSON.stringify({ refused: error.name, message: error.message });
      }
    }
    """


class Server(http.server.ThreadingHTTPServer):
    """Serves a folder; ``change`` may alter each answer: its status, headers and content."""

    def __init__(self, folder, change=None):
        super().__init__(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
        self.folder, self.change = folder, change or (lambda path, answer: None)
        self.url = f"http://localhost:{self.server_port}/"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # a browser may hang up


class Handler(http.server.BaseHTTPRequestHandler):
    TYPES = {  # noqa: RUF012
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
        ".html": "text/html",
    }

    def __init__(self, *given, directory):
        super().__init__(*given)

    def do_GET(self):
        path = self.path.split("?")[0].lstrip("/")
        file = self.server.folder / (path or "index.html")
        answer = {"status": 200, "headers": {}, "content": b"", "length": None}
        if file.is_file():
            answer["content"] = file.read_bytes()
            answer["headers"]["Content-Type"] = self.TYPES.get(file.suffix, "application/octet-stream")
        else:
            answer["status"] = 404
        self.server.change(path, answer)
        self.send_response(answer["status"])
        length = len(answer["content"]) if answer["length"] is None else answer["length"]
        for name, value in {**answer["headers"], "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer["content"])

    def log_message(self, *given):
        pass


@pytest.fixture
def site(sites, tmp_path):
    """A web package with a page of one's own."""
    site = shutil.copytree(sites["fp32"], tmp_path / "site")
    (site / "mine.html").write_text(PAGE)
    return site


@pytest.fixture
def start():
    """A function that starts a :class:`Server` until the test ends."""
    servers = []

    def serve(folder, change=None):
        servers.append(Server(folder, change))
        return servers[-1]

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def ask(open_page, start, site):
    """A function that opens the page from a server and returns what it is recommended, or told."""

    def asked(change=None, before=None, **options):
        server = start(site, change)
        page = open_page(server.url + "mine.html", "body")
        if before:
            before(page)
        told = json.loads(page.evaluate(LOAD, {"bundle": "bundle", **options}))
        if "refused" in told:
            assert told["refused"] == "LightrecError", told
            assert sentence_problem(told["message"]) is None
            told["message"] = told["message"].replace(server.url, "SITE/")
        told["console"] = page.problems
        return told

    return asked


@pytest.fixture
def expected(site):
    """The answer of Python."""
    answer = Recommender.load(site / "bundle").recommend(["i03", "i07"], k=5)
    return [item.id for item in answer]


def single_page(path, answer):
    """As servers of single-page applications do: the start page in place of what is not there, status 200."""
    if answer["status"] == 404:
        answer.update(status=200, content=PAGE.encode())
        answer["headers"]["Content-Type"] = "text/html"


def missing(*names):
    def change(path, answer):
        if path.endswith(names):
            answer.update(status=404, content=b"not here")

    return change


def both(*changes):
    def change(path, answer):
        for one in changes:
            one(path, answer)

    return change


def test_as_packaged(ask, expected):
    told = ask()
    assert (told["ids"], told["console"]) == (expected, [])


def encoded(path, answer):
    """As Vite, sirv and others do: a .gz file is said to be gzip-encoded, so that the browser inflates it."""
    if path.endswith(".gz"):
        answer["headers"] |= {"Content-Encoding": "gzip", "Content-Type": "application/json"}


def encoded_twice(path, answer):
    """As servers that compress everything do."""
    answer["content"] = gzip.compress(answer["content"])
    answer["headers"]["Content-Encoding"] = "gzip"


@pytest.mark.parametrize("change", [encoded, encoded_twice])
def test_gzip_files_with_a_content_encoding(ask, expected, change):
    told = ask(change)
    assert told["ids"] == expected and any(told["titles"])


def test_the_page_works_offline_whose_gzip_files_were_inflated(open_page, start, site):
    server = start(site, encoded)
    page = open_page(server.url, "body[data-offline]")
    page.context.set_offline(True)
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert page.locator("#items li").count() == 10


def test_a_gzip_file_that_was_inflated_and_changed_is_refused(ask):
    def change(path, answer):
        if path.endswith("items.json.gz"):
            answer["content"] = gzip.decompress(answer["content"]).replace(b'"i03"', b'"i99"')

    told = ask(change)
    assert told["message"] == "SITE/bundle/items.json.gz differs from its SHA-256: copy the bundle again."


def test_an_older_bundle_whose_gzip_files_were_inflated_is_told_what_to_do(ask, site):
    values = json.loads((site / "bundle" / "manifest.json").read_text(encoding="utf-8"))
    for record in values["files"].values():
        record.pop("content_sha256", None)
        record.pop("content_bytes", None)
    (site / "bundle" / "manifest.json").write_text(json.dumps(values))
    message = ask(encoded)["message"]
    assert "json.gz came inflated" in message and "without Content-Encoding" in message


@pytest.mark.parametrize("name", ["manifest.json", "items.json.gz", "popularity.npy", "model.onnx"])
def test_a_page_in_place_of_a_file(ask, name):
    message = ask(both(missing(name), single_page))["message"]
    assert message.startswith(f"SITE/bundle/{name} is a web page and not the file") and "put the file there" in message


def test_titles_that_are_not_there_may_be_a_page(ask, expected):
    told = ask(both(missing("titles.json.gz"), single_page))
    assert (told["ids"], told["titles"]) == (expected, [None] * 5)


@pytest.mark.parametrize("name", ["manifest.json", "model.onnx"])
def test_a_missing_file(ask, name):
    message = ask(missing(name))["message"]
    assert message == f"SITE/bundle/{name} cannot be fetched (status 404): put the file there, or mend the address."


def test_a_wrong_address_on_a_server_of_a_single_page_application(ask):
    message = ask(single_page, bundle="/no/such/bundle")["message"]
    assert message.startswith("SITE/no/such/bundle/manifest.json is a web page and not the file")


def test_a_missing_cross_origin_header_is_named_and_with_it_all_is_well(ask, start, site, expected):
    other = start(site)
    message = ask(bundle=f"{other.url}bundle")["message"]
    assert message.startswith(f"{other.url}bundle/manifest.json cannot be fetched: its server lets no page of http://")
    assert "Access-Control-Allow-Origin" in message

    def allow(path, answer):
        answer["headers"]["Access-Control-Allow-Origin"] = "*"

    assert ask(bundle=f"{start(site, allow).url}bundle")["ids"] == expected


def test_code_is_not_taken_from_the_server_of_a_foreign_bundle(ask, start, site):
    def allow(path, answer):
        answer["headers"]["Access-Control-Allow-Origin"] = "*"

    other = start(site, allow)
    message = ask(missing(".mjs"), bundle=f"{other.url}bundle")["message"]
    assert "SITE/onnxruntime-web/ort.wasm.bundle.min.mjs cannot be fetched (status 404)" in message


def test_nobody_at_the_address(ask):
    message = ask(bundle="http://localhost:9/bundle")["message"]
    assert message.startswith("http://localhost:9/bundle/manifest.json cannot be fetched: no answer")


def test_offline(ask):
    def leave(page):
        page.evaluate("import('/lightrec.js')")
        page.context.set_offline(True)

    assert ask(before=leave)["message"] == (
        "SITE/bundle/manifest.json cannot be fetched: this device is offline, connect it and load again."
    )


def cut(path, answer):
    if path.endswith("model.onnx"):
        answer.update(length=len(answer["content"]), content=answer["content"][:1000])


def cut_in_silence(path, answer):
    if path.endswith("model.onnx"):
        answer["content"] = answer["content"][:1000]


def test_a_body_that_breaks_off(ask, site):
    message = ask(cut)["message"]
    assert message.startswith("SITE/bundle/model.onnx broke off on its way") and message.endswith("load it again.")
    size = (site / "bundle" / "model.onnx").stat().st_size
    assert ask(cut_in_silence)["message"] == (
        f"SITE/bundle/model.onnx has 1000 of its {size} bytes: load or copy the bundle again."
    )


def served_as(suffix, kind):
    def change(path, answer):
        if path.endswith(suffix):
            answer["headers"]["Content-Type"] = kind

    return change


def test_wasm_of_another_type_runs_all_the_same(ask, expected):
    assert ask(served_as(".wasm", "application/octet-stream"))["ids"] == expected


def test_a_module_of_another_type_is_named(ask):
    message = ask(served_as(".mjs", "application/octet-stream"))["message"]
    assert message == (
        "ONNX Runtime cannot be loaded: SITE/onnxruntime-web/ort.wasm.bundle.min.mjs is served as "
        "application/octet-stream, let the server send .mjs files as text/javascript."
    )


@pytest.mark.parametrize("name", ["ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"])
@pytest.mark.parametrize(
    ("change", "problem"), [(missing, "cannot be fetched (status 404)"), (None, "is a web page and not the file")]
)
def test_onnxruntime_that_is_not_there(ask, name, change, problem):
    message = ask(missing(name) if change else both(missing(name), single_page))["message"]
    assert f"SITE/onnxruntime-web/{name} {problem}" in message and "{ onnxruntimeWeb }" in message


def test_wasm_that_is_cut_short(ask):
    def change(path, answer):
        if path.endswith(".wasm"):
            answer["content"] = b"no wasm"

    assert "SITE/onnxruntime-web/ort-wasm-simd-threaded.wasm is no WebAssembly" in ask(change)["message"]


def test_wasm_of_ones_own_onnxruntime_that_is_a_page_is_named(open_page, start, site):
    page = open_page(start(site, both(missing(".wasm"), single_page)).url + "mine.html", "body")
    message = page.evaluate(
        """async () => {
            const ort = await import("/onnxruntime-web/ort.wasm.bundle.min.mjs");
            const { Recommender } = await import("/lightrec.js");
            return Recommender.load("bundle", { ort }).catch((error) => `${error.name}: ${error.message}`);
        }"""
    )
    assert message.startswith("LightrecError: ONNX Runtime cannot start (got a web page for its .wasm file)")
    assert "ort.env.wasm.wasmPaths" in message


def test_onnxruntime_at_another_address(ask, site, expected):
    (site / "static").mkdir()
    shutil.move(site / "onnxruntime-web", site / "static" / "ort")
    assert ask(onnxruntimeWeb="/static/ort")["ids"] == expected
    message = ask(onnxruntimeWeb="/elsewhere/")["message"]
    assert "SITE/elsewhere/ort.wasm.bundle.min.mjs cannot be fetched (status 404)" in message


def test_onnxruntime_beside_the_bundle(ask, site, expected):
    (site / "static").mkdir()
    for name in ("onnxruntime-web", "bundle"):
        shutil.move(site / name, site / "static" / name)
    assert ask(bundle="/static/bundle")["ids"] == expected


def test_an_address_may_have_a_query(ask, expected):
    assert ask(bundle="bundle?token=a%20b#part")["ids"] == expected
