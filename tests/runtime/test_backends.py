import dataclasses
import sys

import numpy as np
import pytest
from mini_bundle import write_bundle

from lightrec import Recommender
from lightrec.bundle import ModelRecord, read_manifest, write_manifest
from lightrec.errors import BundleError, ConfigError, MissingExtraError
from lightrec.runtime.backends.registry import open_backend


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("threads", [None, 2])
def test_the_graph_answers_as_described(both_runtimes, name, threads):
    backend = open_backend(both_runtimes, read_manifest(both_runtimes), name, threads)
    items, scores = backend.run(
        history=np.array([[0, 77, -5], [1, 2, 3]]),  # padding may be anything
        length=np.array([1, 3]),
        exclude=np.array([[1, -1], [-1, -1]]),
        k=np.array([9]),
    )
    assert backend.name == backend.record.backend == name
    # Row 0 without 0 and 1: 2 8, 3 7, 4 6, 5 5. Row 3 without 1, 2, 3: 0 5, 4 2, 5 1.
    assert items.tolist() == [[2, 3, 4, 5], [0, 4, 5, -1]]
    assert scores.tolist() == [[8, 7, 6, 5], [5, 2, 1, -np.inf]]
    assert (items.dtype, scores.dtype) == (np.int64, np.float32)


def test_onnx_runtime_goes_first_wherever_it_stands(both_runtimes):
    manifest = read_manifest(both_runtimes)
    turned = dataclasses.replace(manifest, models=manifest.models[::-1])
    assert open_backend(both_runtimes, turned).name == "onnxruntime"
    alone = dataclasses.replace(manifest, models=manifest.models[1:])
    assert open_backend(both_runtimes, alone).name == "openvino"


def test_precision_chooses_and_what_is_not_held_is_refused(both_runtimes):
    manifest = read_manifest(both_runtimes)
    int8 = ModelRecord("onnxruntime", "int8", ("model.onnx",))
    manifest = dataclasses.replace(manifest, models=(*manifest.models, int8))
    assert open_backend(both_runtimes, manifest).record.precision == "fp32"
    assert open_backend(both_runtimes, manifest, precision="int8").record == int8
    with pytest.raises(BundleError, match="no int8 model for openvino: it holds onnxruntime fp32, openvino fp32, onn"):
        open_backend(both_runtimes, manifest, "openvino", precision="int8")


def test_a_backend_must_be_known_and_in_the_bundle(both_runtimes, tmp_path):
    with pytest.raises(ConfigError, match="'tensorrt': choose one of onnxruntime, openvino"):
        Recommender.load(both_runtimes, backend="tensorrt")
    with pytest.raises(BundleError, match="holds no model for openvino: it holds onnxruntime fp32"):
        Recommender.load(write_bundle(tmp_path / "bundle"), backend="openvino")
    assert Recommender.load(both_runtimes, threads=np.int64(2)).recommend(["a"], 1)[0].id == "b"
    for threads in (0, -1, True, 1.5, "2", 10**9):
        with pytest.raises(ConfigError, match=f"threads is {threads!r}: it must be a whole number from 1 to"):
            Recommender.load(both_runtimes, threads=threads)


@pytest.mark.parametrize(
    "options",
    [
        {"backend": 5},
        {"backend": []},
        {"precision": 5},
        {"device": 5},
        {"compute": 5},
        {"providers": "CPUExecutionProvider"},
    ],
    ids=repr,
)
def test_options_of_another_kind_are_one_sentence(both_runtimes, options):
    with pytest.raises((ConfigError, BundleError), match=r"choose|no 5 model|give a list"):
        Recommender.load(both_runtimes, **options)


@pytest.mark.parametrize("bundle", [None, 5, b"bundle", ["bundle"], "no\0where"])
def test_a_bundle_is_named_by_its_path(bundle):
    with pytest.raises(ConfigError, match="give the path of a folder"):
        Recommender.load(bundle)


def test_a_missing_openvino_is_named_with_its_extra(both_runtimes, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lightrec\[openvino\]'"):
        Recommender.load(both_runtimes, backend="openvino")
    assert Recommender.load(both_runtimes).backend.name == "onnxruntime"


@pytest.mark.parametrize(("name", "file"), [("onnxruntime", "model.onnx"), ("openvino", "model.xml")])
@pytest.mark.parametrize("content", [b"", b"not a model", None])
def test_a_model_that_does_not_load_is_one_sentence(own_bundle, name, file, content):
    (own_bundle / file).unlink() if content is None else (own_bundle / file).write_bytes(content)
    with pytest.raises(BundleError, match=file.replace(".", r"\.")) as error:
        Recommender.load(own_bundle, backend=name)
    assert "\n" not in str(error.value)


def test_a_damaged_model_with_fresh_hashes_still_does_not_load(own_bundle):
    content = (own_bundle / "model.onnx").read_bytes()
    (own_bundle / "model.onnx").write_bytes(content[: len(content) // 2])
    write_manifest(own_bundle, read_manifest(own_bundle))
    with pytest.raises(BundleError, match=r"model\.onnx is not an ONNX model \(it is cut short\)"):
        Recommender.load(own_bundle, verify=True)
