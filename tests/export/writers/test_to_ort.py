import pytest

from lightrec import Recommender
from lightrec.errors import BundleError, ConfigError
from lightrec.export.edit.add_items import add_items
from lightrec.export.pipeline import export_bundle
from lightrec.verify.verify_bundle import verify_bundle


@pytest.fixture(scope="module")
def ort_bundle(sasrec_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("bundles") / "ort"
    export_bundle(sasrec_run, out, formats=("ort",), precision="fp32")
    return out


def test_the_ort_format_answers_as_onnx_does_and_verifies(ort_bundle, sasrec_bundle):
    report = verify_bundle(ort_bundle)
    assert report.passed
    assert [model.files for model in report.manifest.models] == [("model.ort",)]
    assert (ort_bundle / "model.ort").read_bytes()[4:8] == b"ORTM"
    ours, theirs = Recommender.load(ort_bundle), Recommender.load(sasrec_bundle, backend="onnxruntime")
    for history in (["i03"], [f"i{number:02d}" for number in range(12)]):
        answers = ours.recommend(history), theirs.recommend(history)
        assert [item.id for item in answers[0]] == [item.id for item in answers[1]]
        assert [item.score for item in answers[0]] == pytest.approx([item.score for item in answers[1]], abs=1e-4)
    assert not ours.session(["i03"]).incremental


def test_onnx_and_ort_are_not_put_into_one_bundle(sasrec_run, tmp_path):
    with pytest.raises(ConfigError, match="choose one"):
        export_bundle(sasrec_run, tmp_path / "both", formats=("onnx", "ort"))


def test_an_ort_bundle_cannot_grow(ort_bundle, tmp_path):
    with pytest.raises(BundleError, match="--format onnx"):
        add_items(ort_bundle, tmp_path / "grown", ["new"], [[0.0] * 32])
