"""lightrec.js in module workers, classic workers and service workers of Chromium, as docs/web.md starts them."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from lightrec.bundle import read_golden
from lightrec.verify.compare import compare

pytestmark = pytest.mark.slow
DOCS = (Path(__file__).parents[2] / "docs" / "web.md").read_text(encoding="utf-8")
EMPTY = '<!doctype html><title>Workers</title><link rel="icon" href="data:,"><body>Workers</body>'
ANSWER = """
    const replay = async (cases) => {
      const recommender = await loaded;
      const named = (indices) => indices.map((index) => recommender.itemIds[index]);
      const answers = [];
      for (const { history, exclude, k } of cases) {
        answers.push(await recommender.recommend(named(history), { exclude: named(exclude), k }));
      }
      return answers;
    };
    """


def block(kind):
    """The example of docs/web.md that begins with a comment of this name."""
    (found,) = re.findall(rf"^```js\n(// {re.escape(kind)}.*?)^```$", DOCS, re.MULTILINE | re.DOTALL)
    return found


def is_golden(site, answers):
    cases, tolerance = read_golden(site / "bundle")
    from lightrec import Recommender

    ids = {item: index for index, item in enumerate(Recommender.load(site / "bundle").item_ids)}
    for case, answer in zip(cases, answers, strict=True):
        items = np.array([ids[item["id"]] for item in answer["items"]])
        scores = np.array([item["score"] for item in answer["items"]])
        assert compare(case, items, scores, tolerance) is None


@pytest.fixture
def site(sites, tmp_path):
    """A web package with an empty page of its own, to add workers to."""
    site = shutil.copytree(sites["fp32"], tmp_path / "site")
    (site / "mine.html").write_text(EMPTY)
    return site


@pytest.fixture
def page(open_page, serve, site):
    """The empty page."""
    page = open_page(serve(site).url + "mine.html", "body")
    yield page
    assert page.problems == []


def asked(page, start):
    """What the worker that ``start`` makes answers to the golden cases."""
    told = page.evaluate(
        """async (start) => {
            const { cases } = await (await fetch("bundle/golden.json")).json();
            const worker = await eval(start);
            const port = new MessageChannel();
            const answer = new Promise((done, failed) => {
              port.port1.onmessage = ({ data }) => done(data);
              worker.onerror = (event) => failed(new Error(event.message));
            });
            worker.postMessage(cases, [port.port2]);
            return JSON.stringify(await answer);
        }""",
        start,
    )
    return json.loads(told)


LISTEN = """
    self.addEventListener("message", async ({ data, ports: [port] }) => {
      port.postMessage(await replay(data).catch((error) => `${error.name}: ${error.message}`));
    });
    """


def example(kind):
    """The example's own lines up to where it answers messages, and then the golden cases."""
    loading, _ = block(kind).split("self.addEventListener(", 1)
    return loading + ANSWER + LISTEN


def test_a_module_worker(page, site):
    (site / "worker.js").write_text(example("worker.js"))
    is_golden(site, asked(page, 'new Worker("worker.js", { type: "module" })'))


def test_a_classic_worker(page, site):
    classic = "const loaded = import('./lightrec.js').then(({ Recommender }) => Recommender.load('bundle'));\n"
    (site / "worker.js").write_text(classic + ANSWER + LISTEN)
    is_golden(site, asked(page, 'new Worker("worker.js")'))


SERVICE_WORKER = """(async () => {
    const registration = await navigator.serviceWorker.register("sw.js", { type: "module", scope: "mine.html" });
    const worker = registration.installing ?? registration.active;
    while (worker.state !== "activated") await new Promise((done) => worker.addEventListener("statechange", done));
    return worker;
  })()"""


def test_a_service_worker(page, site):
    (site / "sw.js").write_text(example("sw.js"))
    is_golden(site, asked(page, SERVICE_WORKER))


def test_a_service_worker_without_onnxruntime_is_told_how_to_import_it(page, site):
    alone = "import { Recommender } from './lightrec.js';\nconst loaded = Recommender.load('bundle');\n"
    (site / "sw.js").write_text(alone + "loaded.catch(() => {});\n" + ANSWER + LISTEN)
    answer = asked(page, SERVICE_WORKER)
    assert (
        answer.startswith("LightrecError: ") and "import onnxruntime-web at its top" in answer and "{ ort }" in answer
    )


def test_a_worker_from_a_blob_is_told_to_give_whole_addresses(page, site):
    (site / "worker.js").write_text("")
    body = f"""
        const loaded = import(`${{origin}}/lightrec.js`).then(({{ Recommender }}) => Recommender.load(ADDRESS));
        loaded.catch(() => {{}});
        {ANSWER}{LISTEN}"""
    start = f"""new Worker(URL.createObjectURL(new Blob([{json.dumps(body)}.replace("ADDRESS", PLACE)])))"""
    answer = asked(page, start.replace("PLACE", "`'bundle'`"))
    assert answer == (
        'LightrecError: bundle is "bundle", which is no address here: give a whole one, as new URL("/bundle", origin) '
        "makes it."
    )
    is_golden(site, asked(page, start.replace("PLACE", "`new URL('/bundle', origin)`")))
