"""lightrec.js, Node and Chromium, in a new home without a network: no file of theirs there, and nobody is reached."""

import shutil
import sys
from pathlib import Path

import pytest
from watched import watch

from lightrec.benchmarks.variants.browser import chromium
from lightrec.files.download import cache_folder

pytestmark = pytest.mark.slow

ROUTE = {"2001:4860:4860::8888:443"}
"""Chromium asks the kernel for a route to this address, by connecting a UDP socket through which it sends nothing."""

EXAMPLE = Path(__file__).parents[2] / "examples/recommend.mjs"

RUNTIME_FIRST = """
import ort from "onnxruntime-node";
const { Recommender } = await import("./lightrec.js");
const recommender = await Recommender.load(process.argv[2], { ort });
console.log((await recommender.recommend([process.argv[3]], { k: 1 })).items.length);
"""

IN_A_WORKER = """
import { Worker, isMainThread, workerData } from "node:worker_threads";
if (isMainThread) new Worker(new URL(import.meta.url), { workerData: process.argv.slice(2) });
else {
  const { Recommender } = await import("./lightrec.js");
  const recommender = await Recommender.load(workerData[0]);
  console.log((await recommender.recommend([workerData[1]], { k: 1 })).items.length);
}
"""

BARE = """
import ort from "onnxruntime-node";
await ort.InferenceSession.create(process.argv[2] + "/model.onnx");
"""


@pytest.fixture
def run(node_project, student_bundles, tmp_path):
    """Watch a program of the Node project, given a bundle and an item."""

    def run_program(text, **variables):
        (node_project / "program.mjs").write_text(text)
        shutil.copy(EXAMPLE, node_project)
        words = ["node", "program.mjs", student_bundles["fp32"], "i00"]
        return watch(words, tmp_path / "home", node_project, **variables)

    return run_program


@pytest.mark.parametrize(
    "text", [EXAMPLE.read_text(encoding="utf-8"), RUNTIME_FIRST, IN_A_WORKER], ids=["example", "first", "worker"]
)
def test_a_node_program_is_silent(run, text):
    found = run(text)
    assert found.code == 0 and found.said.strip(), found.said
    assert (found.files, found.reached) == (set(), set())


def test_onnxruntime_node_alone_is_not(run):
    """The tests above could fail."""
    assert any("onnxruntime" in file for file in run(BARE).files)


def test_verify_and_bench_start_silent_programs(node_project, student_bundles, onnxruntime_web, tmp_path):
    if chromium() is None:
        pytest.skip("needs Chromium or Chrome on the PATH")
    modules = str((node_project / "node_modules").resolve())
    own = {"NODE_PATH": modules, "LIGHTREC_CACHE": str(cache_folder())}
    lightrec = [sys.executable, "-m", "lightrec"]
    checked = watch([*lightrec, "verify", student_bundles["fp32"], "--browser"], tmp_path / "home", tmp_path, **own)
    assert checked.code == 0 and "chromium" in checked.said and "onnxruntime-node" in checked.said, checked.said
    assert (checked.foreign, checked.reached - ROUTE) == (set(), set())
    words = ["--browser", "--scenario", "single-stream", "--cases", "3", "--seconds", "0.05"]
    timed = watch([*lightrec, "bench", student_bundles["fp32"], *words], tmp_path / "home-2", tmp_path, **own)
    assert timed.code == 0 and "Chromium fp32" in timed.said, timed.said
    assert (timed.foreign, timed.reached - ROUTE) == (set(), set())
