"""Real data, where LIGHTREC_DATA names its folder: what only thousands of real histories can show."""

from __future__ import annotations

import numpy as np
import pytest

from lightrec.data.dataset import Dataset
from lightrec.data.prepare import prepare
from lightrec.data.splits import make_split
from lightrec.evaluation.ranking import best_items, hide


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "order_only", "users", "items"),
    [("ml-100k", False, 943, 1349), ("ml-1m", True, 6040, 3416), ("amazon14-beauty", True, 22363, 12101)],
)
def test_prepared_sets_have_their_known_sizes(data_folder, tmp_path, name, order_only, users, items):
    folder = data_folder / name
    if not folder.is_dir():
        pytest.skip(f"LIGHTREC_DATA holds no {name}")
    dataset = prepare(
        folder / "interactions.csv.gz", tmp_path / name, items=folder / "items.csv.gz", order_only=order_only
    )
    assert (dataset.n_users, dataset.n_items) == (users, items)


@pytest.mark.slow
def test_exported_fp32_gives_every_test_user_the_same_ten(data_folder, tmp_path):
    """Both runtimes, all 943 users of MovieLens-100K; neighbours closer than the tolerance may change places."""
    from lightrec import Recommender
    from lightrec.export.pipeline import export_bundle
    from lightrec.models.load import load_model
    from lightrec.models.scoring import ModelScorer
    from lightrec.settings import StudentSettings
    from lightrec.training.progress import Silent
    from lightrec.training.train_student import train

    folder = data_folder / "ml-100k"
    dataset = prepare(folder / "interactions.csv.gz", tmp_path / "data", items=folder / "items.csv.gz")
    train(dataset.path, tmp_path / "run", StudentSettings(epochs=3, device="cpu"), Silent())
    export_bundle(tmp_path / "run", tmp_path / "bundle", formats=("onnx", "openvino"), precision="fp32")
    expected, scores = _torch_answers(ModelScorer(load_model(tmp_path / "run")[0]), dataset)
    histories = _histories(dataset)
    for backend in ("onnxruntime", "openvino"):
        found = Recommender.load(tmp_path / "bundle", backend=backend).top_k(histories, 10)
        ours, theirs = (np.take_along_axis(scores, lists, axis=1) for lists in (found, expected))
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4, err_msg=backend)
        assert (found == expected).mean() > 0.999, backend


def _histories(dataset: Dataset) -> list[np.ndarray]:
    cases = make_split(dataset).test
    return [cases.history(case) for case in range(len(cases))]


def _torch_answers(scorer, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    histories = _histories(dataset)
    scores = np.concatenate([scorer.score(histories[first : first + 100]) for first in range(0, len(histories), 100)])
    hide(scores, histories)
    return best_items(scores, 10), scores
