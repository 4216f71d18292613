"""Models with right hashes that nobody should run: each is refused with one sentence before it can do harm."""

import dataclasses
import importlib.metadata
import shutil

import numpy as np
import onnx
import pytest
from mini_bundle import IDS, NEXT_SCORES, last_item_graph, pack, write_bundle
from onnx import TensorProto, helper

from lightrec import Recommender
from lightrec.bundle import ModelRecord, read_manifest, write_manifest
from lightrec.errors import BundleError
from lightrec.export.writers.to_ort import to_ort
from lightrec.runtime.backends import failures
from lightrec.verify.verify_bundle import verify_bundle


def rehashed(bundle):
    write_manifest(bundle, read_manifest(bundle))
    return bundle


def forged(bundle, change):
    """``bundle`` after ``change`` of its ONNX model, with right hashes."""
    model = last_item_graph(NEXT_SCORES)
    change(model)
    (bundle / "model.onnx").write_bytes(model.SerializeToString())
    return rehashed(bundle)


def refused(bundle, message, **options):
    """Loading and verifying both say ``message``."""
    with pytest.raises(BundleError, match=message) as error:
        Recommender.load(bundle, cache=False, **options).recommend(["a"])
    assert "\n" not in str(error.value)
    with pytest.raises(BundleError, match=message):
        verify_bundle(bundle).require()


def loops(model):
    scalar = [helper.make_tensor_value_info(name, kind, []) for name, kind in (("i", 7), ("c", 9))]
    outs = [helper.make_tensor_value_info(name, 9, []) for name in ("d", "e")]
    body = helper.make_graph([helper.make_node("Identity", ["c"], [name]) for name in ("d", "e")], "b", scalar, outs)
    model.graph.initializer.append(helper.make_tensor("times", TensorProto.INT64, [], [2**62]))
    model.graph.initializer.append(helper.make_tensor("true", TensorProto.BOOL, [], [True]))
    model.graph.node.insert(0, helper.make_node("Loop", ["times", "true"], ["looped"], body=body))
    model.graph.output.append(helper.make_tensor_value_info("looped", 9, []))


def loops_in_a_function(model):
    node = helper.make_node("Identity", ["x"], ["y"])
    model.functions.append(helper.make_function("own", "F", ["x"], ["y"], [node], [helper.make_opsetid("", 20)]))


def another_domain(model):
    model.graph.node[0].domain = "evil"


def weights_elsewhere(model):
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="items.json.gz")


def weights_outside(model):
    weights_elsewhere(model)
    model.graph.initializer[0].external_data[0].value = "../../secret"


def constant_elsewhere(model):
    tensor = helper.make_tensor("t", TensorProto.FLOAT, [1], [1.0])
    tensor.external_data.add(key="location", value="/etc/passwd")
    model.graph.node.append(helper.make_node("Constant", [], ["unused"], value=tensor))


def sparse(model):
    values = helper.make_tensor("s", TensorProto.FLOAT, [1], [1.0])
    places = helper.make_tensor("p", TensorProto.INT64, [1], [1])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [3]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (loops, "holds a graph in a graph"),
        (loops_in_a_function, "defines functions"),
        (another_domain, "uses the operator 'Shape' of 'evil'"),
        (weights_elsewhere, r"reads weights from 'items\.json\.gz', which is not a file of this model"),
        (weights_outside, r"reads weights from '\.\./\.\./secret'"),
        (constant_elsewhere, "reads weights from '/etc/passwd'"),
        (sparse, "has sparse weights"),
    ],
)
def test_a_graph_that_is_more_than_a_flat_list_of_operators_is_refused(tmp_path, change, message):
    refused(forged(write_bundle(tmp_path / "bundle"), change), rf"model\.onnx {message}")


@pytest.mark.parametrize("content", [b"", b"\x3a\xff\xff\xff\xff\x0f", b"\x3a\x00\x3a\x00", b"\x08\x08", b"\0" * 50])
def test_what_is_no_protobuf_is_refused(tmp_path, content):
    bundle = write_bundle(tmp_path / "bundle")
    (bundle / "model.onnx").write_bytes(content)
    refused(rehashed(bundle), r"model\.onnx is not an ONNX model")


def test_a_loop_in_the_format_of_onnx_runtime_is_refused(tmp_path):
    bundle, model = write_bundle(tmp_path / "bundle"), last_item_graph(NEXT_SCORES)
    (bundle / to_ort(model, bundle)).rename(bundle / "plain.ort")
    loops(model)
    to_ort(model, bundle)
    manifest = read_manifest(bundle)
    for name in ("plain.ort", "model.ort"):
        record = ModelRecord("onnxruntime", "fp32", (name,), 20)
        write_manifest(bundle, dataclasses.replace(manifest, models=(record,)))
        if name == "model.ort":
            refused(bundle, r"model\.ort holds a graph in a graph")
        else:
            assert Recommender.load(bundle).recommend(["a"], 1)[0].id == "b"


def rename(model, side, number, name):
    port = getattr(model.graph, side)[number]
    for node in model.graph.node:
        for names in (node.input, node.output):
            for place, known in enumerate(names):
                names[place] = name if known == port.name else known
    port.name = name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model: rename(model, "input", 2, "excluded"), "has another input 'exclude"),
        (lambda model: rename(model, "output", 0, "best_of_all"), "has another output 'best_of_all' than the format"),
        (lambda model: model.graph.output.pop(), "has another output 'scores'"),
        (
            lambda model: model.graph.input.append(helper.make_tensor_value_info("more", 1, ["B"])),
            "has another input 'more'",
        ),
    ],
)
def test_inputs_and_outputs_are_those_of_the_format(tmp_path, change, message):
    refused(forged(write_bundle(tmp_path / "bundle"), change), rf"model\.onnx {message}")


def test_an_openvino_model_has_the_inputs_of_the_format(own_bundle):
    text = (own_bundle / "model.xml").read_text()
    (own_bundle / "model.xml").write_text(text.replace('names="exclude"', 'names="hidden"'))
    refused(rehashed(own_bundle), r"model\.xml has another input", backend="openvino")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('type="Gather"', 'type="Loop"', "holds a graph in a graph"),
        ("<?xml", '<!DOCTYPE net [<!ENTITY a "a"><!ENTITY b "&a;&a;">]><?xml', "is not the XML|declares entities"),
        ('<?xml version="1.0"?>', '<!DOCTYPE net [<!ENTITY a "a">]>', "declares entities"),
        ("</net>", "", "is not the XML of a model"),
    ],
)
def test_an_openvino_model_is_a_flat_list_of_layers(own_bundle, old, new, message):
    text = (own_bundle / "model.xml").read_text()
    assert old in text
    (own_bundle / "model.xml").write_text(text.replace(old, new))
    refused(rehashed(own_bundle), message, backend="openvino")


@pytest.mark.parametrize("name", ["model.xml", "model.bin", "model.onnx"])
def test_a_link_to_itself_is_a_missing_file(own_bundle, name):
    (own_bundle / name).unlink()
    (own_bundle / name).symlink_to(name)
    backend = "onnxruntime" if name.endswith("onnx") else "openvino"
    for verify in (None, False):
        with pytest.raises(BundleError, match=rf"{name.replace('.', '[.]')}.* is missing"):
            Recommender.load(own_bundle, backend, verify=verify, cache=False)


def test_what_fails_while_it_runs_is_one_sentence(tmp_path):
    def reads_beyond(model):
        next(w for w in model.graph.initializer if w.name == "axis_1").CopyFrom(
            helper.make_tensor("axis_1", TensorProto.INT64, [], [5])
        )

    refused(forged(write_bundle(tmp_path / "bundle"), reads_beyond), r"onnxruntime cannot (run|load) .*model\.onnx \(")


def answers_with(model, name, value):
    """Replaces an output by a constant."""
    for node in model.graph.node:
        for place, out in enumerate(node.output):
            node.output[place] = "unused" if out == name else out
    model.graph.node.append(helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(value)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("items", np.array([[1, 2, 6]])),
        ("items", np.array([[1, -7, 2]])),
        ("items", np.array([[1, 2, 2]])),
        ("items", np.array([[1, 2]])),
        ("items", np.array([[1, 2, 3], [1, 2, 3]])),
        ("scores", np.array([[3, np.nan, 1]], dtype=np.float32)),
        ("scores", np.array([[np.inf, 2, 1]], dtype=np.float32)),
    ],
)
def test_an_answer_that_cannot_be_is_refused(tmp_path, name, value):
    bundle = forged(write_bundle(tmp_path / "bundle"), lambda model: answers_with(model, name, value))
    with pytest.raises(BundleError, match=r"model\.onnx answers with (items|scores)"):
        Recommender.load(bundle).recommend(["a"], k=3)


def test_a_packed_popularity_that_names_no_item_is_refused(tmp_path):
    bundle = pack(write_bundle(tmp_path / "bundle"))
    np.save(bundle / "popularity.npy", np.array([9, 9, 0, 0, 1, 1], dtype=np.int32))
    recommender = Recommender.load(rehashed(bundle))
    with pytest.raises(BundleError, match="answers with items"):
        recommender.recommend([], 2)
    assert recommender.recommend(["a"], 1)[0].id == IDS[1]


def test_an_older_runtime_is_named_with_the_version_that_is_needed(tmp_path, monkeypatch):
    bundle = write_bundle(tmp_path / "bundle")
    graph = (bundle / "model.onnx").read_bytes()
    (bundle / "model.onnx").write_bytes(graph.replace(b"ScatterElements", b"ScatterElement2"))
    rehashed(bundle)
    with pytest.raises(BundleError, match=r"ScatterElement2.*: copy or export the bundle again\.$"):
        Recommender.load(bundle)
    monkeypatch.setattr(failures, "version", lambda name: {"onnxruntime": "1.20.1"}[name])
    with pytest.raises(BundleError, match=r"1\.20\.1 is installed, and 1\.23 or newer is needed: pip install"):
        Recommender.load(bundle)


def test_the_versions_needed_are_those_of_the_package():
    asked = " ".join(importlib.metadata.requires("lightrec"))
    for name, numbers in failures.MIN_VERSIONS.items():
        assert f"{name}>={'.'.join(map(str, numbers))}" in asked


def test_models_of_the_same_kind_are_each_verified(tmp_path):
    bundle = write_bundle(tmp_path / "bundle")
    (bundle / "second.onnx").write_bytes(last_item_graph(NEXT_SCORES[:, ::-1].copy()).SerializeToString())
    manifest = read_manifest(bundle)
    models = (*manifest.models, ModelRecord("onnxruntime", "fp32", ("second.onnx",), 20))
    write_manifest(bundle, dataclasses.replace(manifest, models=models))
    assert [check.status for check in verify_bundle(bundle).models] == ["passed", "failed"]


def test_a_bundle_without_golden_cases_is_not_verified(tmp_path):
    bundle = write_bundle(tmp_path / "bundle")
    for cases in ("[]", '[{"history": [0], "exclude": [], "k": 3, "items": [], "scores": []}]'):
        (bundle / "golden.json").write_text(f'{{"tolerance": 1e-4, "cases": {cases}}}')
        with pytest.raises(BundleError, match=r"golden\.json holds no golden case"):
            verify_bundle(rehashed(bundle))


def test_titles_that_the_manifest_does_not_list_are_not_used(tmp_path):
    for change in (lambda bundle: bundle, pack):
        bundle = change(write_bundle(tmp_path / change.__name__, titles=None))
        other = change(write_bundle(tmp_path / f"{change.__name__}-titles"))
        for file in other.glob("titles*"):
            shutil.copy(file, bundle)
        assert Recommender.load(bundle).recommend(["a"], 1)[0].title is None
        verify_bundle(bundle).require()


def test_a_model_that_cannot_be_loaded_prints_nothing(tmp_path, capfd):
    bundle = write_bundle(tmp_path / "bundle")
    content = bytearray((bundle / "model.onnx").read_bytes())
    content[content.index(b"history")] = 0xEE  # no UTF-8
    (bundle / "model.onnx").write_bytes(bytes(content))
    rehashed(bundle)
    with pytest.raises(BundleError, match=r"model\.onnx"):
        Recommender.load(bundle)
    assert capfd.readouterr() == ("", "")


def test_a_dimension_whose_name_is_not_utf8_is_refused(tmp_path):
    bundle = write_bundle(tmp_path / "bundle")
    model = last_item_graph(NEXT_SCORES)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "unreadable"
    content = model.SerializeToString().replace(b"unreadable", b"\xe5nreadable")
    (bundle / "model.onnx").write_bytes(content)
    refused(rehashed(bundle), r"model\.onnx")
