"""The page of docs/web.md built by Vite, webpack and esbuild, opened in Chromium: it answers the golden cases."""

import contextlib
import functools
import http.server
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from lightrec import Recommender
from lightrec.bundle import read_golden
from lightrec.verify.compare import compare

pytestmark = pytest.mark.slow
DOCS = (Path(__file__).parents[2] / "docs" / "web.md").read_text(encoding="utf-8")
SECTION = DOCS[DOCS.index("\n## With a bundler") : DOCS.index("\n## In a worker")]
HTML = """<!doctype html><title>Shop</title><link rel="icon" href="data:,"><body>Shop
<script type="module" src="{script}"></script></body>
"""
GOLDEN = """
    const { cases } = await (await fetch("/bundle/golden.json")).json();
    const answers = [];
    for (const { history, exclude, k } of cases) answers.push(await recommender.rank(history, { k, exclude }));
    document.body.dataset.told = JSON.stringify({ ids: items.map(({ id }) => id), answers });
    """
ESBUILD = "esbuild src/main.js --bundle --outdir=public"


@pytest.fixture
def project(bundlers, sites, tmp_path):
    """A project as docs/web.md makes it; the page's script is still to be written."""
    project = tmp_path / "project"
    for folder in ("src", "public", "node_modules"):
        (project / folder).mkdir(parents=True)
    for package in bundlers.iterdir():
        (project / "node_modules" / package.name).symlink_to(package)
    (project / "package.json").write_text('{"type": "module", "private": true}')
    (project / "web").symlink_to(sites["fp32"])
    (copies,) = re.findall(r"^```bash\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
    subprocess.run(["sh", "-e"], input=copies, cwd=project, text=True, check=True)
    return project


def example(onnxruntime):
    """The script of docs/web.md that takes ONNX Runtime from the package's folder, or from npm."""
    scripts = re.findall(r"^```js\n(// src/main\.js.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
    folder, npm = scripts
    recommend = 'const { items } = await recommender.recommend(["i03", "i07"], { k: 10 });\n'
    return {"folder": folder.replace('"50", "181"', '"i03", "i07"'), "npm": npm + recommend}[onnxruntime]


def run(project, command):
    """Run a command of the project to its end."""
    done = subprocess.run(words(project, command), cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def words(project, command):
    program, *arguments = command.split()
    return [project / "node_modules" / ".bin" / program, *arguments]


@contextlib.contextmanager
def running(project, command):
    """Run a bundler's own server; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://localhost:{port}/"
    with (project / "log").open("w") as log:
        command = words(project, f"{command} --port {port}")
        process = subprocess.Popen(command, cwd=project, stdout=log, stderr=log, start_new_session=True)
        try:
            for _ in range(600):
                with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
                    break
                assert process.poll() is None, (project / "log").read_text()
                time.sleep(0.1)
            yield url
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(10)


@contextlib.contextmanager
def served(folder):
    """Any static server; yields its address."""
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *given):
        pass


def vite(project, script):
    (project / "src" / "main.js").write_text(script)
    (project / "index.html").write_text(HTML.format(script="/src/main.js"))
    return running(project, "vite --strictPort")


def vite_build(project, script):
    vite(project, script)
    run(project, "vite build")
    return served(project / "dist")


def vite_preview(project, script):
    vite_build(project, script)
    return running(project, "vite preview --strictPort")


def webpack(project, script):
    (project / "src" / "index.js").write_text(script)
    (project / "public" / "index.html").write_text(HTML.format(script="/main.js"))
    run(project, "webpack --mode production --output-path public")
    return served(project / "public")


def webpack_serve(project, script):
    webpack(project, script)
    return running(project, "webpack serve --mode development")


def esbuild(project, script, options="--format=esm"):
    (project / "src" / "main.js").write_text(script)
    (project / "public" / "index.html").write_text(HTML.format(script="/main.js"))
    (wasm,) = re.findall(r"node_modules/\S+\.wasm", SECTION)
    if "onnxruntime-web/wasm" in script:
        shutil.copy(project / wasm, project / "public")
    run(project, f"{ESBUILD} {options}")
    return served(project / "public")


def esbuild_splitting(project, script):
    return esbuild(project, script, "--format=esm --splitting")


BUILDS = [vite, vite_build, vite_preview, webpack, webpack_serve, esbuild, esbuild_splitting]


def is_golden(page, site):
    told = json.loads(page.get_attribute("body", "data-told"))
    expected = Recommender.load(site / "bundle").recommend(["i03", "i07"], k=10)
    assert told["ids"] == [item.id for item in expected]
    cases, tolerance = read_golden(site / "bundle")
    for case, answer in zip(cases, told["answers"], strict=True):
        assert compare(case, *map(np.array, (answer["items"], answer["scores"])), tolerance) is None
    assert page.problems == []


@pytest.mark.parametrize("onnxruntime", ["folder", "npm"])
@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.__name__)
def test_the_page_of_the_documentation_answers(build, onnxruntime, project, open_page, sites):
    with build(project, example(onnxruntime) + GOLDEN) as url:
        is_golden(open_page(url, "body[data-told]"), sites["fp32"])


@pytest.mark.parametrize("build", [vite_build, webpack, esbuild], ids=lambda build: build.__name__)
def test_without_an_address_onnxruntime_is_found_beside_the_bundle(build, project, open_page, sites):
    script = example("folder").replace(', { onnxruntimeWeb: "/onnxruntime-web" }', "")
    assert 'Recommender.load("/bundle");' in script
    with build(project, script + GOLDEN) as url:
        page = open_page(url, "body[data-told]")
        # Beside the script, where lightrec.js looks first, there is nothing.
        page.problems[:] = [problem for problem in page.problems if "404" not in problem]
        is_golden(page, sites["fp32"])


def test_a_classic_script_of_esbuild(project, open_page, sites):
    script = (
        example("folder").replace("\nconst recommender", "\n(async () => {\nconst recommender") + GOLDEN + "})();\n"
    )
    with esbuild(project, script, "--format=iife") as url:
        (project / "public" / "index.html").write_text(HTML.format(script="/main.js").replace(' type="module"', ""))
        is_golden(open_page(url, "body[data-told]"), sites["fp32"])


def test_a_worker_of_vite(project, open_page, sites):
    """As docs/web.md starts it, made part of the build by Vite; addresses start at the server's root."""
    worker = """
        import { Recommender } from "./lightrec.js";
        const loaded = Recommender.load("/bundle", { onnxruntimeWeb: "/onnxruntime-web" });
        self.onmessage = async ({ data }) => self.postMessage(await (await loaded).recommend(data, { k: 10 }));
        """
    (project / "src" / "worker.js").write_text(worker)
    script = """
        const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
        worker.onmessage = ({ data: { items } }) => {
          document.body.dataset.told = JSON.stringify(items.map(({ id }) => id));
        };
        worker.postMessage(["i03", "i07"]);
        """
    expected = [item.id for item in Recommender.load(sites["fp32"] / "bundle").recommend(["i03", "i07"], k=10)]
    for build in (vite, vite_build, webpack):
        with build(project, script) as url:
            page = open_page(url, "body[data-told]")
            assert json.loads(page.get_attribute("body", "data-told")) == expected
            assert page.problems == []
