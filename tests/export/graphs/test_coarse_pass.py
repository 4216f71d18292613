"""The two passes over a large table against all scores computed by numpy: the same items, whatever is asked."""

import dataclasses

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info

from lightrec.export.graphs.large_catalogue import attach_table
from lightrec.export.precision.quantize import TABLE
from lightrec.export.writers.large_table import read_codes, turn, write_table

N, D, BLOCK = 12_345, 16, 512
"""Four pieces of seven blocks of seven groups; the last group is not full, and groups behind it hold nothing."""
WIDTHS = {"history": ["B", "T"], "length": ["B"], "exclude": ["B", "E"], "k": [1]}


def encoder() -> onnx.ModelProto:
    """Its state is the sum of the items of the history."""
    nodes = [
        make_node("Gather", [TABLE, "history"], ["rows"]),
        make_node("ReduceSum", ["rows", "one"], ["state"], keepdims=0),
        make_node("MatMul", ["state", TABLE], ["scores"]),
    ]
    inputs = [make_tensor_value_info(name, TensorProto.INT64, shape) for name, shape in WIDTHS.items()]
    outputs = [
        make_tensor_value_info("items", TensorProto.INT64, None),
        make_tensor_value_info("scores", TensorProto.FLOAT, None),
        make_tensor_value_info("table.chosen", TensorProto.INT64, None),
    ]
    one = onnx.helper.make_tensor("one", TensorProto.INT64, [1], [1])
    graph = make_graph(nodes, "sum", inputs, outputs, [one])
    return make_model(graph, opset_imports=[make_opsetid("", 20)], ir_version=9)


def spread(rng):
    return rng.normal(size=(N, D))


def clustered(rng):
    """Like what training leaves: items in clusters, of very different lengths, in few directions."""
    centres = rng.normal(size=(40, D)) * np.linspace(2, 0.1, D)
    near = centres[rng.integers(0, 40, N)] + rng.normal(size=(N, D)) * 0.1
    return near * rng.lognormal(sigma=0.4, size=(N, 1))


def repeated(rng):
    """A thousand vectors, each a dozen times: most scores stand there more than once."""
    return rng.normal(size=(1000, D))[rng.integers(0, 1000, N)]


def one_sided(rng):
    """One direction is a thousand times the others: rounding takes nearly all of what tells the items apart."""
    return np.concatenate([np.full((N, 1), 30.0), rng.normal(size=(N, D - 1)) * 0.5], axis=1)


class Case:
    """A table in a folder, its graph and its vectors as they are stored."""

    def __init__(self, folder, kind):
        rows = kind(np.random.default_rng(0)).astype(np.float32)
        file = folder / "items.bin"
        self.layout = write_table(file, lambda start, stop: rows[start:stop], N, D, BLOCK)
        self.codes = np.asarray(read_codes(file, self.layout)(0, N), dtype=np.float64)
        self.kinds = np.unique(self.codes, axis=0, return_inverse=True)[1].ravel()
        self.vectors = (self.codes * self.layout.scale) @ turn(D).T
        self.folder = folder
        self.graph = self.open(self.layout)

    def open(self, layout):
        file = self.folder / "model.onnx"
        file.write_bytes(attach_table(encoder(), layout).SerializeToString())
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(file, options)

    def answer(self, history, k, exclude=(-1,), graph=None):
        inputs = {"history": history, "length": [len(row) for row in history], "exclude": [exclude] * len(history)}
        feeds = {name: np.array(value, dtype=np.int64) for name, value in {**inputs, "k": [k]}.items()}
        return (graph or self.graph).run(None, feeds)

    def expected(self, history, k, exclude=()):
        """Items and scores of one user, best first, lower indices before higher ones of equal score."""
        scores = self.vectors @ self.vectors[list(history)].sum(axis=0)
        left = np.setdiff1d(np.arange(N), [*history, *exclude])
        best = left[np.lexsort((left, -scores[left].round(9)))][:k]
        return best, scores[best]


@pytest.fixture(scope="module", params=[spread, clustered, repeated, one_sided], ids=lambda kind: kind.__name__)
def case(request, tmp_path_factory):
    return Case(tmp_path_factory.mktemp("coarse"), request.param)


def assert_same(case, found, scores, history, k, exclude=()):
    expected, values = case.expected(history, k, exclude)
    size = np.abs(values).max()
    np.testing.assert_allclose(scores, values, rtol=0, atol=1e-5 * size)
    # Items whose scores agree to the rounding of single precision may have changed places, or one is cut off.
    level = np.concatenate([[0], np.cumsum(np.diff(values) < -3e-5 * size)])
    whole = level < level[-1] if len(expected) == k else level >= 0
    assert sorted(zip(level[whole], found[whole], strict=True)) == sorted(
        zip(level[whole], expected[whole], strict=True)
    )
    # Of equal vectors those of the lowest indices are returned, in their order.
    for vector in set(case.kinds[found[:100]].tolist()):
        own = found[case.kinds[found] == vector]
        there = np.setdiff1d(np.flatnonzero(case.kinds == vector), [*history, *exclude])
        assert own.tolist() == there[: len(own)].tolist()


@pytest.mark.parametrize("k", [1, 10, 100])
def test_the_best_of_all_items_are_found(case, k):
    rng = np.random.default_rng(k)
    for _ in range(6):
        history = rng.integers(0, N, rng.integers(1, 6))
        items, scores, chosen = case.answer([history], k)
        assert_same(case, items[0], scores[0], history, k)
        assert (np.diff(chosen) > 0).all() and chosen[-1] < case.layout.n_groups


def test_users_of_one_batch_are_answered_as_alone(case):
    rng = np.random.default_rng(3)
    histories = rng.integers(0, N, (7, 4))
    items, scores, _ = case.answer(histories, 10, exclude=(5, -1, N - 1))
    for row, values, history in zip(items, scores, histories, strict=True):
        assert_same(case, row, values, history, 10, (5, N - 1))


def test_what_is_excluded_is_never_returned_and_its_neighbours_are(case):
    history = [7, 11]
    best, _ = case.expected(history, 300)
    items, scores, _ = case.answer([history], 10, exclude=tuple(best.tolist()))
    assert_same(case, items[0], scores[0], history, 10, tuple(best.tolist()))


@pytest.mark.parametrize("k", [N // 64, N // 64 + 1, N - 2, N - 1, N, 10**6])
def test_as_many_items_as_there_are(case, k):
    items, scores, _ = case.answer([[0, N - 1]], k, exclude=(4,))
    assert items.shape == scores.shape == (1, min(k, N - 3))
    assert_same(case, items[0], scores[0], [0, N - 1], k, (4,))


def test_when_nearly_all_is_excluded_the_rest_is_returned(case):
    left = [3, 64, N - 1]
    exclude = tuple(np.setdiff1d(np.arange(N), left).tolist())
    items, _, _ = case.answer([[1]], 10, exclude)
    assert sorted(items[0].tolist()) == left


@pytest.mark.parametrize("case", [spread], ids=["spread"], indirect=True)
def test_the_second_pass_takes_few_groups(case):
    rng = np.random.default_rng(5)
    counts = [len(case.answer([rng.integers(0, N, 3)], 10)[2]) for _ in range(20)]
    assert 10 <= np.median(counts) < case.layout.n_groups / 3


@pytest.mark.parametrize("case", [one_sided], ids=["one_sided"], indirect=True)
def test_without_the_margin_for_rounding_items_would_be_missed(case):
    careless = case.open(dataclasses.replace(case.layout, longest=0.0))
    rng = np.random.default_rng(6)
    histories = [rng.integers(0, N, 2) for _ in range(20)]
    items = [case.answer([history], 10, graph=careless)[0][0] for history in histories]
    same = [set(row) == set(case.expected(history, 10)[0]) for row, history in zip(items, histories, strict=True)]
    assert not all(same)
