"""Miniature bundles and their web packages, and what runs them: Node and Chromium, where they are installed."""

import functools
import http.server
import json
import shutil
import subprocess
import threading

import pytest
from mini_bundle import write_bundle
from node_packages import installed_by_npm, node_modules

from lightrec.errors import DownloadError
from lightrec.files.download import fetch_npm_members
from lightrec.web import FOLDER
from lightrec.web.package import ONNXRUNTIME_WEB, RUNTIME_FILES, TARBALL_SHA256, package_for_web

TYPESCRIPT = "5.9.3"
BUNDLERS = ("vite@8.4.0", "webpack@5.113.0", "webpack-cli@7.3.1", "webpack-dev-server@5.2.7", "esbuild@0.28.2")


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    """For both runtimes; not to be changed."""
    return write_bundle(tmp_path_factory.mktemp("web") / "bundle", openvino=True)


@pytest.fixture
def own_bundle(bundle, tmp_path):
    """A copy of it that a test may change."""
    return shutil.copytree(bundle, tmp_path / "own-bundle")


@pytest.fixture(scope="session")
def runtime_files(tmp_path_factory):
    """Files with the names of ONNX Runtime's, for tests that run nothing."""
    folder = tmp_path_factory.mktemp("onnxruntime-web")
    for name in RUNTIME_FILES:
        (folder / name).write_bytes(b"x" * 1000)
    return folder


@pytest.fixture(scope="session")
def package(bundle, runtime_files, tmp_path_factory):
    """Not to be changed."""
    return package_for_web(bundle, tmp_path_factory.mktemp("package") / "web", onnxruntime_web=runtime_files)


@pytest.fixture(scope="session")
def student_run(tiny_dataset, tmp_path_factory):
    """A real student, hardly trained."""
    from lightrec.settings import StudentSettings
    from lightrec.training.progress import Silent
    from lightrec.training.train_student import train

    run = tmp_path_factory.mktemp("students") / "run"
    train(tiny_dataset.path, run, StudentSettings(hidden_size=32, epochs=2, device="cpu"), Silent())
    return run


@pytest.fixture(scope="session")
def student_bundles(student_run, tmp_path_factory):
    """The student as bundles, by precision."""
    from lightrec.export.pipeline import export_bundle

    folder = tmp_path_factory.mktemp("student-bundles")
    for precision in ("fp32", "int8"):
        export_bundle(student_run, folder / precision, ("onnx",), precision, max_ndcg_drop=1)
    return {precision: folder / precision for precision in ("fp32", "int8")}


@pytest.fixture(scope="session")
def node_project(tmp_path_factory):
    """A Node project as a developer has it: lightrec.js beside node_modules."""
    if shutil.which("node") is None:
        pytest.skip("needs Node.js 20 or newer")
    project = tmp_path_factory.mktemp("project")
    (project / "node_modules").symlink_to(node_modules())
    (project / "package.json").write_text('{"type": "module"}')
    shutil.copy(FOLDER / "lightrec.js", project)
    return project


@pytest.fixture(scope="session")
def typescript():
    """The script of TypeScript's compiler, which Node runs."""
    if shutil.which("node") is None:
        pytest.skip("needs Node.js 20 or newer")
    return installed_by_npm(f"typescript@{TYPESCRIPT}") / "typescript" / "lib" / "tsc.js"


@pytest.fixture(scope="session")
def bundlers():
    """A folder node_modules with Vite, webpack, esbuild and ONNX Runtime for browsers."""
    return installed_by_npm(*BUNDLERS, f"onnxruntime-web@{ONNXRUNTIME_WEB}")


@pytest.fixture(scope="session")
def run_node(node_project):
    """A function that runs JavaScript in the project, with a value as ``input``, and returns the JSON it prints."""

    def run(code, value=None):
        head = "import { Recommender, LightrecError } from './lightrec.js';\n"
        head += "const input = JSON.parse(process.argv[2]);\n"
        (node_project / "script.js").write_text(head + code, encoding="utf-8")
        command = ["node", "script.js", json.dumps(value)]
        done = subprocess.run(command, cwd=node_project, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


class Server(http.server.ThreadingHTTPServer):
    """Serves a folder at ``url`` and notes what was asked for."""

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
        self.asked = []
        self.url = f"http://localhost:{self.server_port}/"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def stop(self):
        self.shutdown()
        self.server_close()


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_request(self, *args):
        self.server.asked.append(self.path)

    def log_message(self, *args):
        pass


@pytest.fixture
def serve():
    """A function that serves a folder until the test ends."""
    servers = []

    def start(folder):
        servers.append(Server(folder))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def onnxruntime_web():
    """ONNX Runtime for browsers lies in lightrec's cache from now on, as packaging takes it."""
    try:
        fetch_npm_members(
            "onnxruntime-web", ONNXRUNTIME_WEB, TARBALL_SHA256, {f"dist/{name}": None for name in RUNTIME_FILES}
        )
    except DownloadError as error:
        pytest.skip(f"needs onnxruntime-web: {error}")


@pytest.fixture(scope="session")
def sites(student_bundles, onnxruntime_web, tmp_path_factory):
    """Web packages that really run, by precision; not to be changed."""
    folder = tmp_path_factory.mktemp("sites")
    return {name: package_for_web(bundle, folder / name).path for name, bundle in student_bundles.items()}


@pytest.fixture
def open_page(chromium):
    """A function that opens a page in a context of its own and waits until it can be used."""
    contexts = []

    def start(url, until="body[data-ready]", script="", **options):
        contexts.append(chromium.new_context(**options))
        page = contexts[-1].new_page()
        page.problems = []
        page.on("console", lambda message: message.type == "error" and page.problems.append(message.text))
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.add_init_script(script)
        page.goto(url)
        page.wait_for_selector(until)
        return page

    yield start
    for context in contexts:
        context.close()
