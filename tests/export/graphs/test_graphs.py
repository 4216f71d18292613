"""Exported graphs in their real runtimes, held against the student's own forward pass in torch."""

from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx.numpy_helper import to_array
from optimum.exporters.tasks import TasksManager

from lightrec.bundle import ModelRecord
from lightrec.errors import ModelError
from lightrec.export.precision.quantize import TABLE, block_size, quantize_blocks, to_fp16, to_int4, to_int8
from lightrec.export.writers import to_onnx
from lightrec.export.writers.exporter_config import BACKENDS, TASK, StudentExporterConfig, exporter_config
from lightrec.export.writers.to_onnx import OPSET
from lightrec.export.writers.to_onnxruntime import to_onnxruntime
from lightrec.export.writers.to_openvino import to_openvino
from lightrec.models.students.gru4rec import Gru4Rec, Gru4RecConfig
from lightrec.models.students.sasrec import Sasrec, SasrecConfig
from lightrec.models.students.student import Student
from lightrec.runtime.backends.base import Backend, Settings
from lightrec.runtime.backends.registry import BACKENDS as RUNTIMES

N_ITEMS, MAX_LENGTH = 30, 8
TRACED = ("sasrec", "mini_bert", "gru4rec")


@st.composite
def questions(draw) -> dict[str, np.ndarray]:
    """Any inputs that the graph allows; padding of any value, excludes with duplicates, k beyond what remains."""
    batch, time, excluded = draw(st.integers(1, 4)), draw(st.integers(1, MAX_LENGTH)), draw(st.integers(0, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return {
        "history": rng.integers(0, N_ITEMS, (batch, time)),
        "length": rng.integers(1, time + 1, batch),
        "exclude": rng.integers(-1, N_ITEMS, (batch, excluded)),
        "k": np.array([draw(st.integers(1, N_ITEMS + 5))]),
    }


def open_onnx(graph: onnx.ModelProto, path: Path) -> Backend:
    onnx.save(graph, path)
    return RUNTIMES["onnxruntime"](ModelRecord("onnxruntime", "any", (path.name,)), path, Settings())


def torch_answer(model: Student, question: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    with torch.inference_mode():
        items, scores = model(**{name: torch.from_numpy(value) for name, value in question.items()})
    return items.numpy(), scores.numpy()


def assert_same(backend: Backend, model: Student, question: dict[str, np.ndarray]) -> None:
    items, scores = backend.run(**question)
    expected_items, expected_scores = torch_answer(model, question)
    assert items.dtype == np.int64 and scores.dtype == np.float32
    np.testing.assert_array_equal(items, expected_items)
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def runtimes(request, tmp_path_factory) -> dict[tuple[str, str], Backend]:
    """The students in single precision in both runtimes."""
    opened = {}
    for name in TRACED:
        folder = tmp_path_factory.mktemp(name)
        graph = request.getfixturevalue(f"{name}_graph")
        opened[name, "onnxruntime"] = open_onnx(graph, folder / "model.onnx")
        traced = request.getfixturevalue("sasrec_traced") if name == "sasrec" else graph
        record = ModelRecord("openvino", "fp32", tuple(to_openvino(traced, "fp32", folder)))
        opened[name, "openvino"] = RUNTIMES["openvino"](record, folder / record.files[0], Settings())
    return opened


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("name", TRACED)
def test_single_precision_answers_as_torch_does(request, runtimes, name, runtime):
    model = request.getfixturevalue(name)

    @settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(questions())
    def check(question):
        assert_same(runtimes[name, runtime], model, question)

    check()


@pytest.mark.parametrize("name", TRACED)
def test_half_precision_is_the_graph_with_rounded_weights(request, name, tmp_path):
    graph = request.getfixturevalue(f"{name}_graph")
    backend = open_onnx(to_fp16(graph), tmp_path / "model.onnx")
    rounded = onnx.ModelProto()
    rounded.CopyFrom(graph)
    for tensor in rounded.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and tensor.dims:
            half = to_array(tensor).astype(np.float16).astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(half, tensor.name))
    question = {
        "history": np.array([[3, 1, 4, 1], [5, 9, 2, 6]]),
        "length": np.array([4, 2]),
        "exclude": np.array([[7], [-1]]),
        "k": np.array([12]),
    }
    items, scores = backend.run(**question)
    expected_items, expected_scores = open_onnx(rounded, tmp_path / "rounded.onnx").run(**question)
    np.testing.assert_array_equal(items, expected_items)
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-5, atol=1e-5)
    # ... and that of the student, as near as eleven bits are.
    student = torch_answer(request.getfixturevalue(name), question)[1]
    np.testing.assert_allclose(scores, student, atol=0.01 * np.abs(student).max())


@pytest.mark.parametrize("name", TRACED)
def test_eight_bits_stay_close_and_never_return_hidden_items(request, name, tmp_path):
    model = request.getfixturevalue(name)
    backend = open_onnx(to_int8(request.getfixturevalue(f"{name}_graph")), tmp_path / "model.onnx")

    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(questions())
    def check(question):
        items, scores = backend.run(**question)
        expected_items, expected_scores = torch_answer(model, question)
        assert items.shape == expected_items.shape
        finite = np.isfinite(expected_scores)
        np.testing.assert_array_equal(np.isfinite(scores), finite)
        np.testing.assert_allclose(
            scores[finite], expected_scores[finite], atol=0.05 * np.abs(expected_scores[finite]).max()
        )
        for row, history, length, exclude in zip(
            items, question["history"], question["length"], question["exclude"], strict=True
        ):
            assert not set(row[row >= 0]) & (set(history[:length]) | set(exclude) | {N_ITEMS})

    check()


@pytest.mark.parametrize(
    "convert", [lambda graph: graph, to_fp16, to_int8, to_int4], ids=["fp32", "fp16", "int8", "int4"]
)
def test_item_table_is_stored_once_and_read_at_both_ends(sasrec_graph, convert):
    graph = convert(sasrec_graph).graph
    large = [tensor for tensor in graph.initializer if N_ITEMS in tensor.dims and np.prod(tensor.dims) > 30 * 2]
    assert len(large) == 1
    name = large[0].name
    if large[0].data_type == onnx.TensorProto.FLOAT16:
        name = next(node.output[0] for node in graph.node if name in node.input)
    readers = {node.op_type for node in graph.node if name in node.input}
    assert readers in ({"Gather", "Gemm"}, {"GatherBlockQuantized", "MatMulNBits"})


def test_sizes_on_disk_follow_the_precision(sasrec_graph):
    def weights(graph: onnx.ModelProto) -> int:
        return sum(to_array(tensor).nbytes for tensor in graph.graph.initializer)

    exact = weights(sasrec_graph)
    assert weights(to_fp16(sasrec_graph)) < 0.51 * exact
    # A scale for each 32 values adds an eighth to the table; biases, norms and positions stay at four bytes.
    assert weights(to_int8(sasrec_graph)) < 0.32 * exact


def test_the_layers_matrices_are_stored_in_eight_bits(request):
    for name in TRACED:
        graph = to_int8(request.getfixturevalue(f"{name}_graph")).graph
        single = [tensor for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT]
        matrices = [t.name for t in single if sum(size > 16 for size in t.dims) > 1 and "scales" not in t.name]
        assert matrices == [], name


def test_a_gru_stores_a_byte_for_each_weight_of_its_gates(make_student, tmp_path):
    """From some width on tracing leaves its matrices as they are, cut into gates by nodes of the graph."""
    model = make_student(Gru4Rec, Gru4RecConfig, n_items=N_ITEMS, hidden_size=64, num_layers=1)
    traced = to_onnx.to_onnx(model)
    onnx.save(to_int8(traced), tmp_path / "model.onnx")
    stored = {tensor.name: to_array(tensor) for tensor in onnx.load(tmp_path / "model.onnx").graph.initializer}
    for name in ("recurrent.weight_ih_l0", "recurrent.weight_hh_l0"):
        weight = model.state_dict()[name].numpy()
        assert name not in stored and stored[f"{name}.codes"].dtype == np.int8
        restored = stored[f"{name}.codes"] * stored[f"{name}.scales"].astype(np.float32)
        np.testing.assert_allclose(restored, weight, atol=0.52 * np.abs(weight).max() / 127)
    # Of a weight's four bytes three are saved, but for scales and nodes: of the gates, the output's matrix, the items.
    weights = 2 * 192 * 64 + 64 * 64 + (N_ITEMS + 1) * 64
    assert (tmp_path / "model.onnx").stat().st_size < traced.ByteSize() - 3 * weights + 5000
    question = {"history": [[3, 1, 4]], "length": [3], "exclude": [[7]], "k": [12]}
    question = {name: np.array(value) for name, value in question.items()}
    expected = torch_answer(model, question)[1]
    scores = open_onnx(to_int8(traced), tmp_path / "again.onnx").run(**question)[1]
    np.testing.assert_allclose(scores, expected, atol=0.05 * np.abs(expected).max())


def test_tiny_and_huge_values_are_quantized_or_refused():
    table = np.array([[1e-9, -2e-9] * 8, [5e-6, 1e-6] * 8], dtype=np.float32)
    codes, scales = quantize_blocks(table, 16)
    restored = (codes.astype(np.float32) - 128) * scales.astype(np.float32)[:, :, None]
    assert np.isfinite(restored).all() and np.abs(restored[:, 0] - table).max() < 4e-8
    for value in (1e8, np.inf, np.nan):
        with pytest.raises(ModelError, match="too large, or no number, for integers"):
            quantize_blocks(np.full((1, 16), value, dtype=np.float32), 16)


def test_the_sasrec_graph_has_few_nodes(sasrec_graph, sasrec_traced):
    """Two layers: what depends on constants alone is counted, and folded when the file is loaded."""
    assert len(sasrec_graph.graph.node) <= 67 < len(sasrec_traced.graph.node) / 1.5


@pytest.mark.parametrize(
    "sizes",
    [
        {"num_layers": 1, "num_heads": 1, "hidden_size": 16},
        {"num_layers": 3, "num_heads": 4, "hidden_size": 24, "similarity": "dot"},
        {"num_layers": 2, "num_heads": 2, "hidden_size": 16, "intermediate_size": 24},
    ],
)
def test_other_depths_heads_widths_and_similarities_answer_as_torch_does(make_student, sizes, tmp_path):
    model = make_student(Sasrec, SasrecConfig, n_items=N_ITEMS, **sizes)
    backend = open_onnx(to_onnxruntime(model), tmp_path / "model.onnx")

    @settings(max_examples=25, deadline=None, derandomize=True)
    @given(questions())
    def check(question):
        assert_same(backend, model, question)

    check()


def test_openvino_stores_the_quantized_table_once(sasrec_traced, tmp_path):
    to_openvino(sasrec_traced, "int8", tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.bin", "model.xml"]
    constants = [op.output(0) for op in openvino.Core().read_model(tmp_path / "model.xml").get_ops() if not op.inputs()]
    tables = [out for out in constants if list(out.shape if out.partial_shape.is_static else []) == [N_ITEMS + 1, 32]]
    assert [table.get_element_type().get_type_name() for table in tables] == ["i8"]


def test_quantization_error_is_at_most_half_a_scale():
    table = np.random.default_rng(0).normal(size=(7, 40)).astype(np.float32)
    table[3] = 0
    codes, scales = quantize_blocks(table, 16)
    assert codes.shape == (7, 3, 16) and codes.dtype == np.uint8 and scales.shape == (7, 3)
    scales = scales.astype(np.float32)  # rounded to half precision, by one part in 2,048 at most
    restored = ((codes.astype(np.float32) - 128) * scales[:, :, None]).reshape(7, 48)[:, :40]
    limit = np.repeat(scales, 16, axis=1)[:, :40] * (0.5 + 127 / 2048)
    assert (np.abs(restored - table) <= limit).all()
    assert (restored[3] == 0).all()


def test_four_bits_are_packed_in_pairs_with_the_scale_of_the_smallest_error():
    row = np.arange(-8, 8, dtype=np.float32)
    codes, scales = quantize_blocks(np.stack([row / 2, np.zeros(16, dtype=np.float32)]), 16, bits=4)
    # Every value is a code times one half exactly: 8 / (7.5 / 0.9375) is not among the scales, but nearly.
    assert codes.shape == (2, 1, 8) and codes.dtype == np.uint8
    low, high = codes[0, 0] & 15, codes[0, 0] >> 4
    assert np.stack([low, high], axis=1).ravel().tolist() == list(range(16))
    assert float(scales[0, 0]) == pytest.approx(0.5, rel=0.05)
    assert codes[1].tolist() == [[0x88] * 8]


def test_block_size_divides_the_width():
    assert [block_size(width) for width in (64, 96, 128, 512, 48, 50)] == [64, 32, 128, 256, 16, 16]


def test_weights_beyond_half_precision_are_refused(sasrec_graph):
    graph = onnx.ModelProto()
    graph.CopyFrom(sasrec_graph)
    tensor = next(tensor for tensor in graph.graph.initializer if tensor.name == TABLE)
    tensor.CopyFrom(onnx.numpy_helper.from_array(to_array(tensor) * 1e6, TABLE))
    with pytest.raises(ModelError, match="exceeds half precision: export with --precision"):
        to_fp16(graph)


def test_weights_beyond_one_file_are_refused(sasrec, monkeypatch):
    monkeypatch.setattr(to_onnx, "MOST_BYTES", 1000)
    with pytest.raises(ModelError, match="one ONNX file holds"):
        to_onnx.to_onnx(sasrec)


def test_a_graph_without_item_table_is_refused(sasrec_graph):
    graph = onnx.ModelProto()
    graph.CopyFrom(sasrec_graph)
    next(tensor for tensor in graph.graph.initializer if tensor.name == TABLE).name = "other"
    with pytest.raises(ModelError, match="holds no item table"):
        to_int8(graph)


def test_graph_says_what_it_is_and_nothing_of_where_it_was_made(sasrec_graph):
    assert sasrec_graph.producer_name == "lightrec"
    assert [(entry.domain, entry.version) for entry in sasrec_graph.opset_import] == [("", OPSET), ("com.microsoft", 1)]
    assert {entry.key: entry.value for entry in sasrec_graph.metadata_props} == {
        "model_type": "lightrec-sasrec",
        "precision": "fp32",
    }
    axes = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in [*sasrec_graph.graph.input, *sasrec_graph.graph.output]
    }
    assert axes == {
        "history": ["batch", "time"],
        "length": ["batch"],
        "exclude": ["batch", "excluded"],
        "k": [1],
        "items": ["batch", "ranks"],
        "scores": ["batch", "ranks"],
    }
    assert str(Path(__file__).parents[3]).encode() not in sasrec_graph.SerializeToString()
    assert b"File " not in sasrec_graph.SerializeToString()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", TRACED)
def test_optimum_knows_the_students(request, name, backend):
    model = request.getfixturevalue(name)
    tasks = TasksManager.get_supported_tasks_for_model_type(
        model.config.model_type, exporter=backend, library_name="transformers"
    )
    assert list(tasks) == [TASK]
    config = exporter_config(model, backend)
    assert isinstance(config, StudentExporterConfig)
    dummies = config.generate_dummy_inputs(framework="pt", sequence_length=100)
    assert dummies["history"].shape == (2, MAX_LENGTH) and set(dummies) == set(config.inputs)
    assert torch.isfinite(model(**dummies)[1]).any()
