"""A student whose table lies in a file of its own answers as one that holds what the file holds."""

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lightrec.errors import ModelError
from lightrec.export.graphs.large_catalogue import attach_table
from lightrec.export.writers.large_table import balanced, turn, write_table
from lightrec.export.writers.to_large import to_large, with_few_items
from lightrec.export.writers.to_onnxruntime import to_onnxruntime
from lightrec.models.students.gru4rec import Gru4Rec, Gru4RecConfig
from lightrec.models.students.mini_bert import MiniBert, MiniBertConfig
from lightrec.models.students.sasrec import Sasrec, SasrecConfig

N, D, BLOCK = 300, 16, 128
"""Three blocks, the last with 44 items, which do not fill its group."""


@given(st.integers(0, 2**32 - 1), st.integers(2, 40))
def test_balanced_codes_sum_to_zero_and_stay_near(seed, width):
    values = np.random.default_rng(seed).normal(size=(5, width)) * 30
    values = (values - values.mean(axis=1, keepdims=True)) / max(1, np.abs(values).max() / 100)
    codes = balanced(values)
    assert codes.sum(axis=1).tolist() == [0] * 5
    assert np.abs(codes - values).max() <= 1.5


def test_turning_keeps_products_and_sums_to_zero():
    rows = turn(D)
    np.testing.assert_allclose(rows @ rows.T, np.eye(D), atol=1e-12)
    np.testing.assert_allclose(rows.sum(axis=1), 0, atol=1e-12)


def session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options)


def spread(kind, config):
    torch.manual_seed(1)
    model = kind(config(n_items=N, hidden_size=D, num_layers=2, num_heads=2, max_length=8, dropout=0.0)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=0.3)
    return model


KINDS = [
    (Sasrec, SasrecConfig),
    pytest.param((Gru4Rec, Gru4RecConfig), marks=pytest.mark.slow),
    pytest.param((MiniBert, MiniBertConfig), marks=pytest.mark.slow),
]


@pytest.fixture(scope="module", params=KINDS)
def pair(request, tmp_path_factory):
    """A student whose table is what the file holds after rounding, and the graph that reads the file."""
    folder, model = tmp_path_factory.mktemp("large"), spread(*request.param)
    table = model.item_table.detach().numpy()
    layout = write_table(folder / "items.bin", lambda start, stop: table[start:stop], N, D, BLOCK)
    graph = attach_table(to_onnxruntime(with_few_items(model)), layout)
    (folder / "model.onnx").write_bytes(graph.SerializeToString())
    model.set_item_table(torch.from_numpy(stored(folder / "items.bin", layout)))
    return model, session(folder / "model.onnx")


def stored(file, layout):
    """The vectors in the file, float32 ``[N, d]``."""
    blocks = np.fromfile(file, dtype=np.int8).reshape(-1, layout.depth, layout.block_items)
    assert len(blocks) == layout.n_blocks
    codes = blocks.transpose(0, 2, 1).reshape(-1, layout.depth)
    assert not codes[N:].any()
    return (codes[:N] * layout.scale @ turn(D).T).astype(np.float32)


@pytest.mark.parametrize("k", [1, 10, 299, 1000])
def test_it_answers_as_the_student_with_that_table(pair, k):
    model, graph = pair
    rng = np.random.default_rng(k)
    for _ in range(10):
        history = rng.integers(0, N, (2, int(rng.integers(1, 9))))
        length = np.array([history.shape[1], rng.integers(1, history.shape[1] + 1)])
        exclude = np.array([[0, N - 1, -1], [-1, -1, -1]])
        inputs = {"history": history, "length": length, "exclude": exclude, "k": np.array([k])}
        items, scores = graph.run(None, inputs)
        with torch.inference_mode():
            expected, expected_scores = model(*map(torch.from_numpy, inputs.values()))
        np.testing.assert_allclose(scores, expected_scores.numpy(), atol=2e-4)
        assert items.shape == tuple(expected.shape)
        # Neighbours whose scores agree to rounding may have changed places.
        gaps = -np.diff(np.where(np.isfinite(scores), scores, -1e9), prepend=1e9, append=-1e9)
        apart = (gaps[:, :-1] > 1e-3) & (gaps[:, 1:] > 1e-3)
        assert (items == expected.numpy())[apart].all() and apart.mean() > 0.5
        hidden_items = ({0, N - 1, *history[0][: length[0]]}, {*history[1][: length[1]]})
        for row, hidden in zip(items, hidden_items, strict=True):
            assert not hidden & set(row.tolist())


def test_the_file_is_the_table_once_and_the_graph_is_small(tmp_path):
    model = spread(Sasrec, SasrecConfig)
    assert to_large(model, tmp_path) == ("model.onnx", "items.bin")
    assert (tmp_path / "items.bin").stat().st_size == 320 * 17  # 5 groups of 64
    assert (tmp_path / "model.onnx").stat().st_size < 100_000


def test_a_table_without_a_finite_scale_is_refused(tmp_path):
    with pytest.raises(ModelError, match="zero, or one holds NaN"):
        write_table(tmp_path / "items.bin", lambda start, stop: np.full((stop - start, D), np.nan), N, D)
