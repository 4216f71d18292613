"""lightrec.js in Node: it answers as Python does, and ``lightrec verify`` asks it."""

import dataclasses
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from mini_bundle import NEXT_SCORES, last_item_graph, pack
from typer.testing import CliRunner

from lightrec import Recommender
from lightrec.bundle import read_manifest, write_manifest
from lightrec.cli.app import app
from lightrec.verify.verify_bundle import verify_bundle

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js 20 or newer")


def node_checks(report):
    return [(check.backend, check.status, check.detail) for check in report.models[2:]]


def test_without_node_it_is_listed_as_absent(bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    report = verify_bundle(bundle, node=True)
    assert node_checks(report) == [("onnxruntime-node", "absent", "Node.js 20 or newer")]
    assert report.passed


@needs_node
def test_without_onnxruntime_for_node_it_is_listed_as_absent(bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NODE_PATH", raising=False)
    report = verify_bundle(bundle, node=True)
    assert node_checks(report) == [("onnxruntime-node", "absent", "npm install --ignore-scripts onnxruntime-node")]


def test_what_lightrec_js_does_not_read_is_listed_with_the_reason(own_bundle):
    manifest = read_manifest(own_bundle)
    (own_bundle / "table.bin").write_bytes(b"")
    model = dataclasses.replace(manifest.models[0], files=("model.onnx", "table.bin"))
    write_manifest(own_bundle, dataclasses.replace(manifest, models=(model, manifest.models[1])))
    report = verify_bundle(own_bundle, node=True)
    reason = "lightrec.js reads models of one file, not of 2: export in another precision"
    assert node_checks(report) == [("onnxruntime-node", "absent", reason)]
    assert report.passed


def test_a_packed_catalogue_is_listed_with_the_way_to_verify_it(own_bundle):
    report = verify_bundle(pack(own_bundle), node=True)
    reason = "lightrec.js reads no packed catalogue: verify what  lightrec package BUNDLE --for web  writes"
    assert node_checks(report) == [("onnxruntime-node", "absent", reason)]


@needs_node
def test_the_command_prints_how_to_get_it_in_one_line(bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NODE_PATH", raising=False)
    lines = CliRunner().invoke(app, ["verify", str(bundle)]).output.splitlines()
    assert lines[-1] == "onnxruntime-node fp32: npm install --ignore-scripts onnxruntime-node"


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_golden_cases_of_a_student(student_bundles, node_project, monkeypatch, precision):
    monkeypatch.chdir(node_project)
    report = verify_bundle(student_bundles[precision], node=True)
    check = report.models[-1]
    assert (check.backend, check.precision, check.status) == ("onnxruntime-node", precision, "passed")
    assert check.cases >= 10
    assert check.max_score_difference <= (1e-4 if precision == "fp32" else report.tolerance)


@pytest.mark.slow
def test_a_model_that_answers_otherwise_fails(own_bundle, node_project, monkeypatch):
    monkeypatch.chdir(node_project)
    scores = NEXT_SCORES.copy()
    scores[0, 1] = 6.5
    (own_bundle / "model.onnx").write_bytes(last_item_graph(scores).SerializeToString())
    write_manifest(own_bundle, read_manifest(own_bundle))
    [(backend, status, detail)] = node_checks(verify_bundle(own_bundle, node=True))
    assert (backend, status) == ("onnxruntime-node", "failed")
    assert detail.startswith("golden case 0: scores differ by 1,")


@pytest.mark.slow
def test_a_model_that_cannot_be_loaded_fails_in_one_sentence(own_bundle, node_project, monkeypatch):
    monkeypatch.chdir(node_project)
    (own_bundle / "model.onnx").write_bytes(b"no graph")
    write_manifest(own_bundle, read_manifest(own_bundle))
    [(_, status, detail)] = node_checks(verify_bundle(own_bundle, node=True))
    assert status == "failed" and "\n" not in detail
    assert f"{own_bundle / 'model.onnx'} is not an ONNX model" in detail


def requests(recommender, count=60):
    """Histories of 0 to 20 items, longer than the model reads, some of them unknown, with rules of business."""
    rng = np.random.default_rng(3)
    ids = [*recommender.item_ids, "no-such-item", "nor-this"]
    for number in range(count):
        sizes = {"history": rng.integers(21), "exclude": rng.integers(4), "candidates": rng.integers(12)}
        request = {name: rng.choice(ids, size).tolist() for name, size in sizes.items()}
        if number % 2:
            del request["candidates"]
        yield {**request, "k": int(rng.integers(1, 40))}


@pytest.mark.slow
def test_requests_are_answered_as_in_python(student_bundles, run_node):
    bundle = student_bundles["fp32"]
    recommender = Recommender.load(bundle)
    asked = list(requests(recommender))
    answers = run_node(
        """
        const recommender = await Recommender.load(input.bundle);
        const answers = [];
        for (const { history, ...options } of input.asked) answers.push(await recommender.recommend(history, options));
        console.log(JSON.stringify(answers));
        """,
        {"bundle": str(bundle), "asked": asked},
    )
    assert any(answer["fallback"] for answer in answers) and any(answer["unknown"] for answer in answers)
    for request, answer in zip(asked, answers, strict=True):
        expected = recommender.recommend(**request)
        assert [(item["id"], item["title"]) for item in answer["items"]] == [(one.id, one.title) for one in expected]
        scores = [(item["score"], one.score) for item, one in zip(answer["items"], expected, strict=True)]
        assert all(ours == theirs or abs(ours - theirs) <= 1e-4 for ours, theirs in scores)
        assert (tuple(answer["unknown"]), answer["fallback"]) == (expected.unknown, expected.fallback)


@pytest.mark.slow
def test_numbers_are_ids_and_titles_may_be_absent(own_bundle, run_node):
    (own_bundle / "titles.json.gz").unlink()
    code = """
        const recommender = await Recommender.load(input);
        const { items } = await recommender.recommend([7], { k: 2 });
        console.log(JSON.stringify([items, recommender.has(7), recommender.has("x"), recommender.title(7)]));
        """
    expected = [{"id": "a", "title": None, "score": 6}, {"id": "b", "title": None, "score": 5}]
    assert run_node(code, str(own_bundle)) == [expected, True, False, None]


@pytest.mark.slow
def test_what_is_blocked_is_recommended_to_nobody(bundle, run_node):
    code = """
        const recommender = await Recommender.load(input, { block: ["b"] });
        const session = await recommender.session(["a"]);
        const first = async (asked) => (await asked).items[0].id;
        const told = [await first(recommender.recommend(["a"]))];
        told.push(recommender.block(["c", "no-such-item"], { skipUnknown: true }));
        told.push(await first(session.recommend()), await first(recommender.recommend(["a"], { exclude: ["b"] })));
        told.push(await first(recommender.recommend([], { candidates: ["a", "c"], boost: { c: 9 } })));
        console.log(JSON.stringify(told));
        """
    told = run_node(code, str(bundle))
    recommender = Recommender.load(bundle, block=["b"])
    expected = [recommender.recommend(["a"])[0].id, ["no-such-item"]]
    recommender.block(["c"])
    expected += [recommender.recommend(["a"])[0].id, recommender.recommend(["a"], exclude=["b"])[0].id]
    assert told == [*expected, "a"] == ["c", ["no-such-item"], "b", "d", "a"]


@pytest.mark.slow
def test_the_example_script_prints_recommendations(student_bundles, node_project):
    shutil.copy(Path(__file__).parents[2] / "examples" / "recommend.mjs", node_project)
    bundle = student_bundles["fp32"]
    command = ["node", "recommend.mjs", str(bundle), "i03", "no-such-item"]
    done = subprocess.run(command, cwd=node_project, capture_output=True, text=True, check=True)
    assert done.stderr == "Not in the catalogue: no-such-item\n"
    expected = Recommender.load(bundle).recommend(["i03"], k=5)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [(row[0], row[1]) for row in rows] == [(item.id, item.title or "") for item in expected]
