"""Files for LiteRT and ExecuTorch pass the gate and answer as ONNX Runtime does; each where its extra is installed."""

import importlib.util
import shutil

import pytest

from lightrec import Recommender
from lightrec.errors import ConfigError, MissingExtraError
from lightrec.export.pipeline import export_bundle
from lightrec.extras import PHONES, missing_modules
from lightrec.verify.verify_bundle import verify_bundle

FILES = {"litert": "model.tflite", "executorch": "model.pte"}
PHONE = pytest.mark.parametrize("name", PHONES)


@pytest.mark.slow
@PHONE
@pytest.mark.parametrize("run", ["sasrec_run", "gru4rec_run", "voting_run"])
def test_it_answers_as_onnx_runtime_does(name, run, request, tmp_path):
    if missing_modules(name):
        pytest.skip(f"needs the extra: pip install 'lightrec[{name}]'")
    run = request.getfixturevalue(run)
    report = export_bundle(run, tmp_path / "bundle", formats=("onnx", name), precision="fp32")
    assert report.parity[1].equal == 1
    assert report.manifest.models[1].files == (FILES[name],)
    checks = verify_bundle(tmp_path / "bundle").models
    assert [(check.backend, check.status) for check in checks] == [("onnxruntime", "passed"), (name, "passed")]
    ours, theirs = (Recommender.load(tmp_path / "bundle", backend=backend) for backend in (name, "onnxruntime"))
    shutil.rmtree(tmp_path / "bundle")  # what is loaded needs it no more
    histories = [["i03"], [f"i{number:02d}" for number in range(27)], ["i09", "i02"]]
    answers = [
        recommender.recommend_batch(histories, k=10, exclude=[["i04"], [], []]) for recommender in (ours, theirs)
    ]
    for one, other in zip(*answers, strict=True):
        assert [item.id for item in one] == [item.id for item in other]
        assert [item.score for item in one] == pytest.approx([item.score for item in other], abs=1e-4)


@PHONE
def test_only_single_precision_is_written(name, sasrec_run, tmp_path):
    with pytest.raises(ConfigError, match=f"--format {name} cannot be written in int8: choose --precision fp32"):
        export_bundle(sasrec_run, tmp_path / "bundle", formats=(name,), precision="int8")


@PHONE
def test_a_missing_extra_is_named(name, sasrec_run, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda module: None if module in PHONES[name] else find(module))
    with pytest.raises(MissingExtraError, match=rf"pip install 'lightrec\[{name}\]'"):
        export_bundle(sasrec_run, tmp_path / "bundle", formats=(name,), precision="fp32")
    assert not (tmp_path / "bundle").exists()
