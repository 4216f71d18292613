"""The same golden cases in Python with ONNX Runtime and OpenVINO, in ORT format, in Node, in Chromium, and on ARM64.

Everywhere the items are the recorded ones wherever neighbouring scores differ by more than the bundle's tolerance.
"""

import json
import shutil

import numpy as np
import pytest
from emulated_arm64 import arm64

from lightrec.bundle import GOLDEN, read_golden, read_manifest, write_manifest
from lightrec.runtime.verify import ModelCheck, compare, verify_bundle

pytestmark = pytest.mark.slow
PRECISIONS = ("fp32", "int8")


@pytest.fixture(scope="module")
def twins(student_run, tmp_path_factory):
    """By precision, a bundle for both runtimes and one in ORT format, which gets the golden cases of the first."""
    from lightrec.export.write_bundle import export_bundle

    folder = tmp_path_factory.mktemp("twins")
    for precision in PRECISIONS:
        out, ort = folder / precision, folder / f"{precision}-ort"
        export_bundle(student_run, out, ("onnx", "openvino"), precision, max_ndcg_drop=1)
        export_bundle(student_run, ort, ("ort",), precision, max_ndcg_drop=1)
        shutil.copy(out / GOLDEN, ort / GOLDEN)
        write_manifest(ort, read_manifest(ort))
    return folder


def passed(checks):
    """The runtimes that answered every case as recorded; any that did not is a failure."""
    checks = list(checks)
    assert [check.detail for check in checks if check.status == "failed"] == []
    assert all(check.cases >= 10 for check in checks if check.status == "passed")
    return [check.backend for check in checks if check.status == "passed"]


def test_the_tolerance_is_narrow(twins):
    cases, tolerance = read_golden(twins / "fp32")
    assert tolerance <= 1e-4 * max(1, *(abs(score) for case in cases for score in case.scores))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_in_python(twins, precision):
    assert passed(verify_bundle(twins / precision).models) == ["onnxruntime", "openvino"]
    assert passed(verify_bundle(twins / f"{precision}-ort").models) == ["onnxruntime"]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_in_node(twins, node_project, monkeypatch, precision):
    monkeypatch.chdir(node_project)
    for name, before in ((precision, ["onnxruntime", "openvino"]), (f"{precision}-ort", ["onnxruntime"])):
        assert passed(verify_bundle(twins / name, node=True).models) == [*before, "onnxruntime-node"]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_in_chromium(twins, chromium, serve, sites, tmp_path, precision):
    site = shutil.copytree(sites[precision], tmp_path / "site")
    for name in (precision, f"{precision}-ort"):
        shutil.copytree(twins / name, site / name)
    page = chromium.new_page()
    page.goto(serve(site).url)
    for name in (precision, f"{precision}-ort"):
        answers = page.evaluate(
            """async (bundle) => {
                const { Recommender } = await import("./lightrec.js");
                const recommender = await Recommender.load(bundle);
                const { cases } = await (await fetch(`${bundle}/golden.json`)).json();
                const answers = [];
                for (const { history, exclude, k } of cases)
                    answers.push(await recommender.rank(history, { k, exclude }));
                return JSON.stringify(answers);
            }""",
            name,
        )
        cases, tolerance = read_golden(twins / name)
        for case, answer in zip(cases, json.loads(answers), strict=True):
            assert compare(case, *map(np.array, (answer["items"], answer["scores"])), tolerance) is None
    page.close()


@pytest.mark.arm64
def test_on_arm64(twins):
    code = """
import dataclasses, json, platform
from lightrec import Recommender
from lightrec.runtime.verify import verify_bundle

told = {"machine": platform.machine()}
for name in ("fp32", "fp32-ort", "int8", "int8-ort"):
    told[name] = [dataclasses.asdict(check) for check in verify_bundle(f"/shared/{name}").models]
recommender = Recommender.load("/shared/int8")
session = recommender.session(["i03"])
session.add("i07")
both = session.recommend(5), recommender.recommend(["i03", "i07"], 5)
told["answers"] = [[item.id for item in answer] for answer in both]
print(json.dumps(told))
"""
    told = json.loads(arm64().run(code, twins))
    assert told["machine"] == "aarch64"
    for precision in PRECISIONS:
        assert passed(ModelCheck(**check) for check in told[precision]) == ["onnxruntime", "openvino"]
        assert passed(ModelCheck(**check) for check in told[f"{precision}-ort"]) == ["onnxruntime"]
    session, whole = told["answers"]
    assert session == whole and len(whole) == 5
