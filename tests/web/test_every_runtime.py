"""The same golden cases in Python with ONNX Runtime and OpenVINO, in ORT format, in Node, in Chromium, and on ARM64.

Everywhere the items are the recorded ones wherever neighbouring scores differ by more than the bundle's tolerance. In
single precision no score differs by more than 1e-4, however wide the tolerance.
"""

import json
import shutil

import pytest
from emulated_arm64 import arm64

from lightrec.bundle import GOLDEN, read_golden, read_manifest, write_manifest
from lightrec.verify.report import ModelCheck
from lightrec.verify.verify_bundle import verify_bundle

pytestmark = pytest.mark.slow
PRECISIONS = ("fp32", "int8")
SINGLE_PRECISION = 1e-4
"""How far a score of an fp32 model may lie from the recorded one in any runtime; 1e-6 was found."""


@pytest.fixture(scope="module")
def twins(student_run, tmp_path_factory):
    """By precision, a bundle for both runtimes and one in ORT format, which gets the golden cases of the first."""
    from lightrec.export.pipeline import export_bundle

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
    single = [check for check in checks if check.precision == "fp32" and check.status == "passed"]
    assert all(check.max_score_difference <= SINGLE_PRECISION for check in single)
    return [check.backend for check in checks if check.status == "passed"]


def test_the_tolerance_of_fp32_is_the_documented_one(twins):
    cases, tolerance = read_golden(twins / "fp32")
    assert tolerance == 1e-4 * max(1, *(abs(score) for case in cases for score in case.scores))


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
def test_in_chromium(twins, chromium, onnxruntime_web, precision):
    for name, before in ((precision, ["onnxruntime", "openvino"]), (f"{precision}-ort", ["onnxruntime"])):
        assert passed(verify_bundle(twins / name, browser=True).models) == [*before, "chromium"]


@pytest.mark.arm64
def test_on_arm64(twins):
    code = """
import dataclasses, json, platform
from lightrec import Recommender
from lightrec.verify.verify_bundle import verify_bundle

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
