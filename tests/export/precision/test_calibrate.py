"""int8-static: ranges come from real histories, and the layers multiply integers."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info
from onnx.numpy_helper import to_array

from lightrec.bundle import ModelRecord, read_manifest
from lightrec.data.splits import leave_one_out
from lightrec.export.parity_gate import check_parity
from lightrec.export.pipeline import export_bundle
from lightrec.export.precision.calibrate import HISTORIES, calibration_questions, observe, to_int8_static
from lightrec.runtime.backends.base import Settings
from lightrec.runtime.backends.onnxruntime_backend import OnnxRuntimeBackend
from lightrec.verify.verify_bundle import verify_bundle

FILE = "model.onnx"


@pytest.fixture(scope="module")
def questions(tiny_dataset):
    return calibration_questions(leave_one_out(tiny_dataset), max_length=8)


def test_questions_are_the_ends_of_training_histories_as_long_as_they_are(questions, tiny_dataset):
    split = leave_one_out(tiny_dataset)
    known = {
        tuple(split.train_items[start:end][-8:])
        for start, end in zip(split.train_offsets, split.train_offsets[1:], strict=False)
    }
    assert len(questions) == min(HISTORIES, 40)
    assert {tuple(question["history"][0]) for question in questions} <= known
    assert all(question["length"] == [question["history"].shape[1]] for question in questions)
    assert {question["history"].shape[1] for question in questions} == {*range(4, 9)}  # training ends 2 of 6 to 17


def test_ranges_span_what_all_questions_show():
    graph = make_graph(
        [make_node("Neg", ["x"], ["minus"]), make_node("Identity", ["minus"], ["y"])],
        "negative",
        [make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n"])],
        [make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n"])],
    )
    model = make_model(graph, opset_imports=[make_opsetid("", 20)], ir_version=10)
    asked = [{"x": np.array(values, dtype=np.float32)} for values in ([1, -2], [5, 0.5, 3])]
    assert observe(model, ["minus"], asked) == {"minus": (-5.0, 2.0)}


@pytest.mark.parametrize("name", ["sasrec", "mini_bert", "gru4rec"])
def test_calibrated_graphs_rank_nearly_as_the_student(name, request, tiny_dataset, questions, tmp_path):
    model, graph = (request.getfixturevalue(f"{name}{end}") for end in ("", "_graph"))
    before = graph.SerializeToString()
    onnx.save(to_int8_static(graph, questions), tmp_path / FILE)
    assert graph.SerializeToString() == before
    backend = OnnxRuntimeBackend(ModelRecord("onnxruntime", "int8-static", (FILE,)), tmp_path / FILE, Settings(1, 8))
    cases = leave_one_out(tiny_dataset).validation
    parity = check_parity(model, backend, cases, precision="int8-static", k_limit=10, max_ndcg_drop=0.2)
    assert parity.top10_overlap > 0.9


def test_the_layers_multiply_integers_and_every_matrix_has_eight_bits(sasrec_graph, questions, tmp_path):
    graph = to_int8_static(sasrec_graph, questions)
    large = [t for t in graph.graph.initializer if sum(size > 16 for size in t.dims) > 1 and "scales" not in t.name]
    assert {to_array(tensor).dtype for tensor in large} <= {np.dtype(np.uint8), np.dtype(np.int8)}
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(tmp_path / "run.onnx"), 3
    onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    run = [node.op_type for node in onnx.load(tmp_path / "run.onnx").graph.node]
    # Of two layers: queries, keys and values (1), the ends of attention (2), the feed-forwards (4); nothing else.
    assert run.count("MatMulIntegerToFloat") == 7
    assert run.count("MatMulNBits") == 1 and "Attention" not in run


def test_the_calibrated_bundle_says_how_fast_it_is(sasrec_run, tmp_path):
    export_bundle(sasrec_run, tmp_path / "b", precision="int8-static", max_ndcg_drop=0.2)
    manifest = read_manifest(tmp_path / "b")
    assert [(model.precision, model.parts) for model in manifest.models] == [("int8-static", {})]
    assert manifest.gate["models"][0]["speed"]["milliseconds_fp32"] > 0
    assert verify_bundle(tmp_path / "b").passed


@pytest.mark.slow
def test_openvino_is_calibrated_too_and_stores_the_table_once(sasrec_run, sasrec, tmp_path):
    export_bundle(sasrec_run, tmp_path / "b", ("openvino",), "int8-static", max_ndcg_drop=0.2)
    assert verify_bundle(tmp_path / "b").passed
    xml = (tmp_path / "b" / "model.xml").read_text(encoding="utf-8")
    assert xml.count("FakeQuantize") > 0
    assert (tmp_path / "b" / "model.bin").stat().st_size < 0.4 * sum(w.nbytes for w in sasrec.parameters())
