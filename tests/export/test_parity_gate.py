"""The gate lets good graphs pass, and refuses each way in which a graph can be wrong."""

import numpy as np
import onnx
import pytest
from onnx.numpy_helper import from_array, to_array

from lightrec.bundle import ModelRecord
from lightrec.data.dataset import Dataset
from lightrec.data.splits import Cases, leave_one_out
from lightrec.errors import ParityError
from lightrec.export import parity_gate
from lightrec.export.parity_gate import Parity, check_parity, malformed, measure
from lightrec.export.precision.quantize import TABLE
from lightrec.models.students.student import Student
from lightrec.runtime.backends.base import Backend, Settings
from lightrec.runtime.backends.onnxruntime_backend import OnnxRuntimeBackend


@pytest.fixture(scope="module")
def cases(tiny_dataset: Dataset) -> Cases:
    return leave_one_out(tiny_dataset).validation


def open_changed(graph: onnx.ModelProto, tmp_path, change=lambda table: table) -> Backend:
    """The graph in ONNX Runtime after ``change`` of its item table."""
    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    tensor = next(tensor for tensor in copy.graph.initializer if tensor.name == TABLE)
    tensor.CopyFrom(from_array(change(to_array(tensor)).astype(np.float32), TABLE))
    onnx.save(copy, tmp_path / "model.onnx")
    return OnnxRuntimeBackend(ModelRecord("onnxruntime", "fp32", ("model.onnx",)), tmp_path / "model.onnx", Settings())


def gate(model: Student, graph: Backend, cases: Cases, precision="fp32", max_ndcg_drop=0.01) -> Parity:
    return check_parity(model, graph, cases, precision=precision, k_limit=20, max_ndcg_drop=max_ndcg_drop)


def test_the_models_own_graph_passes_without_a_difference(sasrec, sasrec_graph, cases, tmp_path):
    parity = gate(sasrec, open_changed(sasrec_graph, tmp_path), cases)
    assert parity.cases == len(cases) == 40
    assert parity.equal == parity.top10_overlap == 1
    assert parity.ndcg_drop == 0 and parity.ndcg_drop_range == (0, 0) and parity.ndcg_model > 0
    assert parity.max_score_difference < 1e-4


def test_a_graph_with_other_weights_is_refused_as_exact(sasrec, sasrec_graph, cases, tmp_path):
    def noisy(table):
        return table + np.random.default_rng(1).normal(0, 0.1, table.shape)

    with pytest.raises(ParityError, match="ranks unlike the model"):
        gate(sasrec, open_changed(sasrec_graph, tmp_path, noisy), cases)


def test_ndcg_lost_beyond_the_limit_is_refused_with_both_figures(sasrec, sasrec_graph, cases, tmp_path):
    graph = open_changed(sasrec_graph, tmp_path, lambda table: -table[::-1])
    measured = measure(sasrec, graph, cases, k_limit=20)
    assert measured.ndcg_drop > 0.01 and measured.top10_overlap < 0.9
    with pytest.raises(ParityError) as refused:
        gate(sasrec, graph, cases, precision="int8")
    assert f"{measured.ndcg_model:.4f}" in str(refused.value)
    assert f"{measured.ndcg_exported:.4f}" in str(refused.value)
    assert gate(sasrec, graph, cases, precision="int8", max_ndcg_drop=1) == measured


def test_figures_agree_with_a_count_by_hand(sasrec, sasrec_graph, cases, tmp_path):
    graph = open_changed(sasrec_graph, tmp_path, lambda table: np.round(table, 1))
    parity = measure(sasrec, graph, cases, k_limit=10)
    overlaps, gains = [], []
    exact = open_changed(sasrec_graph, tmp_path)
    for case in range(len(cases)):
        history = cases.history(case)
        inputs = (history[None, -8:], [min(8, len(history))], history[None, :-8], [10])
        inputs = [np.array(value, dtype=np.int64) for value in inputs]
        wanted, given = exact.run(*inputs)[0][0].tolist(), graph.run(*inputs)[0][0].tolist()
        overlaps.append(len(set(wanted) & set(given)) / 10)
        target = int(cases.targets[case])
        gains.append([1 / np.log2(found.index(target) + 2) if target in found else 0 for found in (wanted, given)])
    assert parity.top10_overlap == pytest.approx(np.mean(overlaps))
    assert [parity.ndcg_model, parity.ndcg_exported] == pytest.approx(np.mean(gains, axis=0).tolist())
    low, high = parity.ndcg_drop_range
    assert low <= parity.ndcg_drop <= high and low < high


def test_no_more_than_the_set_number_of_cases_is_asked(sasrec, sasrec_graph, cases, tmp_path, monkeypatch):
    monkeypatch.setattr(parity_gate, "CASES", 7)
    assert gate(sasrec, open_changed(sasrec_graph, tmp_path), cases).cases == 7


EXPECTED = np.array([[5, -np.inf, 4, 3, 2], [9, -np.inf, -np.inf, -np.inf, 1]], dtype=np.float32)
NONE = -np.inf


@pytest.mark.parametrize(
    ("items", "scores", "problem"),
    [
        ([[0, 2, 3], [0, 4, -1]], [[5, 4, 3], [9, 1, NONE]], None),
        ([[0, 2], [0, 4]], [[5, 4], [9, 1]], "shapes"),
        ([[0, 2, 3], [0, -1, 4]], [[5, 4, 3], [9, NONE, 1]], "from the front"),
        ([[0, 2, -1], [0, 4, -1]], [[5, 4, NONE], [9, 1, NONE]], "from the front"),
        ([[0, 2, 3], [0, 4, -2]], [[5, 4, 3], [9, 1, NONE]], "from the front"),
        ([[0, 1, 3], [0, 4, -1]], [[5, 4, 3], [9, 1, NONE]], "seen, excluded or padding"),
        ([[0, 5, 3], [0, 4, -1]], [[5, 4, 3], [9, 1, NONE]], "seen, excluded or padding"),
        ([[0, 2, 3], [0, 4, -1]], [[5, 4, np.nan], [9, 1, NONE]], "not finite"),
        ([[0, 2, 3], [0, 4, -1]], [[5, 4, 3], [9, 1, 0]], "not finite"),
        ([[2, 0, 3], [0, 4, -1]], [[4, 5, 3], [9, 1, NONE]], "best item first"),
        ([[0, 2, 2], [0, 4, -1]], [[5, 4, 4], [9, 1, NONE]], "twice"),
    ],
)
def test_malformed_answers_are_told_apart(items, scores, problem):
    found = malformed(np.array(items), np.array(scores, dtype=np.float32), EXPECTED, k=3)
    assert found is None if problem is None else problem in found


def test_an_answer_with_nothing_left_is_well_formed():
    nothing = np.full((1, 4), -np.inf, dtype=np.float32)
    assert malformed(np.empty((1, 0), dtype=np.int64), np.empty((1, 0), dtype=np.float32), nothing, k=3) is None
