"""The baselines against counts by hand and a brute-force item-kNN."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightrec.baselines import co_occurrence, ease, slit
from lightrec.baselines.baselines import BASELINES, ItemKnn, Popularity, RecentPopularity, make_baseline
from lightrec.baselines.ease import Ease
from lightrec.baselines.slit import Slit
from lightrec.baselines.tune import GRIDS, MOST_SETTINGS, tune_baseline
from lightrec.data.dataset import Dataset, write_dataset
from lightrec.data.splits import Cases, Split, leave_one_out, temporal
from lightrec.errors import ConfigError, DataError
from lightrec.evaluation.protocol import Scorer, evaluate


def split_of(sequences: list[list[int]], n_items: int, times: list[int] | None = None) -> Split:
    """A split that is all training."""
    offsets = np.concatenate([[0], np.cumsum([len(sequence) for sequence in sequences])]).astype(np.int64)
    items = np.array([item for sequence in sequences for item in sequence], dtype=np.int32)
    nobody = np.array([], dtype=np.int64)
    cases = Cases(items, nobody, nobody, nobody, nobody)
    moments = np.arange(len(items)) if times is None else np.array(times)
    return Split("leave-one-out", n_items, items, offsets, moments, validation=cases, test=cases)


def brute_force_knn(split: Split, history: list[int], neighbours: int, shrinkage: float, decay: float) -> np.ndarray:
    """Item-kNN as its docstring says it, with a dense user-item matrix."""
    users = len(split.train_offsets) - 1
    matrix = np.zeros((users, split.n_items))
    for user in range(users):
        matrix[user, split.train_items[split.train_offsets[user] : split.train_offsets[user + 1]]] = 1
    together = matrix.T @ matrix
    counts = np.diag(together)
    similar = together / (np.sqrt(np.outer(counts, counts)) + shrinkage)
    np.fill_diagonal(similar, 0)
    scores = np.zeros(split.n_items)
    for age, item in enumerate(reversed(history)):
        for other in np.argsort(-similar[item])[:neighbours]:
            scores[other] += decay**age * similar[item, other]
    return scores


def test_popularity_counts_training_events() -> None:
    scores = Popularity(split_of([[0, 2], [2, 1, 2]], 4)).score([np.array([3]), np.array([0])])
    assert scores.tolist() == [[1, 1, 3, 0]] * 2


def test_popularity_knows_nothing_of_held_out_events(tiny_dataset: Dataset) -> None:
    split = leave_one_out(tiny_dataset)
    scores = Popularity(split).score([np.array([0])])[0]
    assert scores.sum() == len(tiny_dataset.items) - 2 * tiny_dataset.n_users


def test_recent_popularity_counts_the_last_stretch() -> None:
    # Times 0 to 100, so a window of a fifth starts at 80. Item 2 leads over all, items 0 and 1 lately.
    split = split_of([[2, 2, 2, 3], [0, 1, 0]], 5, times=[0, 10, 20, 79, 80, 90, 100])
    scores = RecentPopularity(split, window=0.2).score([np.array([4])])[0]
    assert scores.astype(int).tolist() == [2, 1, 0, 0, 0]
    assert np.argsort(-scores, kind="stable").tolist() == [0, 1, 2, 3, 4]  # level ones by all their events


def test_recent_popularity_refuses_positions(tiny_dataset: Dataset, tmp_path: Path) -> None:
    ordered = write_dataset(
        tmp_path / "ordered",
        name="ordered",
        user_ids=tiny_dataset.user_ids,
        item_ids=tiny_dataset.item_ids,
        item_texts=tiny_dataset.item_texts,
        item_titles=tiny_dataset.item_titles,
        offsets=tiny_dataset.offsets,
        items=tiny_dataset.items,
        timestamps=tiny_dataset.timestamps,
        order_only=True,
    )
    with pytest.raises(DataError, match="order-only"):
        make_baseline("recent-popularity", ordered, leave_one_out(ordered))


def test_item_knn_by_hand() -> None:
    # Users {0,1}, {0,1,2}, {0,3}: n = 3, 2, 1, 1; together 01 twice, 02, 12 and 03 once. Shrinkage 1.
    knn = ItemKnn(split_of([[0, 1], [0, 1, 2], [0, 3]], 5), neighbours=5, shrinkage=1, decay=0.5)
    scores = knn.score([np.array([2, 1])])[0]
    expected = {
        0: 2 / (6**0.5 + 1) + 0.5 * 1 / (3**0.5 + 1),
        1: 0.5 * 1 / (2**0.5 + 1),
        2: 1 / (2**0.5 + 1),
    }
    assert {item: scores[item] for item in expected} == pytest.approx(expected, rel=1e-6)
    assert 0 > scores[3] > scores[4]  # no neighbour of the history: by popularity, below the rest


sequences = st.lists(st.lists(st.integers(0, 7), min_size=1, max_size=6), min_size=1, max_size=8)


@settings(max_examples=50, deadline=None)
@given(
    sequences=sequences,
    history=st.lists(st.integers(0, 7), min_size=1, max_size=6),
    shrinkage=st.sampled_from([0.5, 3.0]),
    chunk=st.sampled_from([1, 20, 1000]),
)
def test_item_knn_equals_brute_force(
    sequences: list[list[int]], history: list[int], shrinkage: float, chunk: int
) -> None:
    split = split_of(sequences, 8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(co_occurrence, "CHUNK", chunk)
        knn = ItemKnn(split, neighbours=8, shrinkage=shrinkage, decay=0.7)
    expected = brute_force_knn(split, history, 8, shrinkage, 0.7)
    scores = knn.score([np.array(history)])[0]
    assert np.where(scores > 0, scores, 0) == pytest.approx(expected, rel=1e-5)


def test_only_the_nearest_neighbours_vote() -> None:
    rng = np.random.default_rng(4)
    split = split_of([rng.choice(40, size=12, replace=False).tolist() for _ in range(60)], 40)
    knn = ItemKnn(split, neighbours=5, shrinkage=2, decay=0.9)
    for history in ([3], [1, 2, 3], [9, 30, 9]):
        scores = knn.score([np.array(history)])[0]
        assert 0 < np.count_nonzero(scores > 0) <= 5 * len(set(history))
        full = ItemKnn(split, neighbours=40, shrinkage=2, decay=0.9).score([np.array(history)])[0]
        assert np.all(scores <= full + 1e-6)


def test_ease_by_hand() -> None:
    # Users {0,1}, {0}: XᵀX + I = [[3, 1], [1, 2]], its inverse [[2, -1], [-1, 3]] / 5.
    found = Ease(split_of([[0, 1], [0]], 2), regularization=1, decay=0.5)
    np.testing.assert_allclose(found.weights, [[0, 1 / 3], [1 / 2, 0]], rtol=1e-6)
    scores = found.score([np.array([0]), np.array([0, 1]), np.array([1, 0, 0])])
    np.testing.assert_allclose(scores, [[0, 1 / 3], [1 / 2, 1 / 6], [1 / 8, 1 / 3 + 1 / 6]], rtol=1e-6)


@settings(max_examples=30, deadline=None)
@given(sequences=sequences, regularization=st.sampled_from([0.5, 20.0]), chunk=st.sampled_from([1, 1000]))
def test_ease_regresses_each_item_on_the_others(sequences: list[list[int]], regularization: float, chunk: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(co_occurrence, "CHUNK", chunk)
        found = Ease(split_of(sequences, 8), regularization).weights
    users = np.array([np.isin(np.arange(8), sequence) for sequence in sequences], dtype=float)
    for item in range(8):
        others = np.arange(8) != item
        gram = users[:, others].T @ users[:, others] + regularization * np.eye(7)
        expected = np.linalg.solve(gram, users[:, others].T @ users[:, item])
        np.testing.assert_allclose(found[others, item], expected, atol=1e-5)
        assert found[item, item] == 0


def test_ease_refuses_a_catalogue_too_large_to_invert(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ease, "MOST_ITEMS", 3)
    with pytest.raises(ConfigError, match=r"4 items would take .* use the baseline item-knn"):
        Ease(split_of([[0, 1]], 4))


def test_slit_by_hand() -> None:
    # One user, 0 then 1 then 2. Histories at decay 1/2: [1, 0, 0] before 1 and [1/2, 1, 0] before 2.
    # XᵀX + I = [[9/4, 1/2, 0], [1/2, 2, 0], [0, 0, 1]], its upper left inverse [[2, -1/2], [-1/2, 9/4]] / (17/4);
    # XᵀY = [[0, 1, 1/2], [0, 0, 1], [0, 0, 0]].
    found = Slit(split_of([[0, 1, 2]], 3), regularization=1, fitting_decay=0.5, decay=0.1)
    expected = np.array([[0, 2, 1 / 2], [0, -1 / 2, 2], [0, 0, 0]]) / (17 / 4)
    np.testing.assert_allclose(found.weights, expected, atol=1e-6)
    np.testing.assert_allclose(found.score([np.array([0, 1])]), [expected[1] + 0.1 * expected[0]], atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(sequences=sequences, regularization=st.sampled_from([0.5, 20.0]), decay=st.sampled_from([0.3, 0.9, 1.0]))
def test_slit_regresses_the_next_item_on_the_history(
    sequences: list[list[int]], regularization: float, decay: float
) -> None:
    histories, targets = [np.zeros(8)], [np.zeros(8)]
    for sequence in sequences:
        for end in range(1, len(sequence)):
            histories.append(sum(decay**age * np.eye(8)[item] for age, item in enumerate(sequence[:end][::-1])))
            targets.append(np.eye(8)[sequence[end]])
    x, y = np.array(histories), np.array(targets)
    expected = np.linalg.solve(x.T @ x + regularization * np.eye(8), x.T @ y)
    found = Slit(split_of(sequences, 8), regularization, fitting_decay=decay).weights
    np.testing.assert_allclose(found, expected, atol=2e-3 * max(1, np.abs(expected).max()))


def test_slit_refuses_a_catalogue_too_large_to_solve_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slit, "MOST_ITEMS", 3)
    with pytest.raises(ConfigError, match=r"4 items would take .* use the baseline item-knn"):
        Slit(split_of([[0, 1]], 4))


@pytest.mark.parametrize("name", BASELINES)
def test_tuning_finds_the_best_of_what_it_tried(tiny_dataset: Dataset, name: str) -> None:
    split = leave_one_out(tiny_dataset)
    chosen, tried = tune_baseline(name, tiny_dataset, split)
    assert 1 <= len(tried) <= MOST_SETTINGS
    best = max(tried, key=lambda row: row["ndcg@10"])
    assert chosen.parameters == best["parameters"]
    anew = make_baseline(name, tiny_dataset, split, **chosen.parameters)
    for scorer in (chosen, anew):
        result = evaluate(scorer, split.validation, train_popularity=split.popularity(), bootstrap=0)
        assert result.metrics["ndcg@10"].value == pytest.approx(best["ndcg@10"])
    assert len({tuple(row["parameters"].items()) for row in tried}) == len(tried)
    for parameter, values in GRIDS.get(name, {}).items():
        assert {row["parameters"][parameter] for row in tried} == set(values)


def test_tuning_sees_no_test_target(tiny_dataset: Dataset) -> None:
    split = leave_one_out(tiny_dataset)
    blind = Split(**{**vars(split), "test": split.test.take(np.array([], dtype=int))})
    assert tune_baseline("item-knn", tiny_dataset, split)[1] == tune_baseline("item-knn", tiny_dataset, blind)[1]


def test_every_baseline_is_a_scorer_and_learns(tiny_dataset: Dataset) -> None:
    """In the miniature data item i + 1 follows item i: item-kNN must find neighbours, popularity cannot."""
    for split in (leave_one_out(tiny_dataset), temporal(tiny_dataset, 0.8)):
        found = {}
        for name in BASELINES:
            baseline = make_baseline(name, tiny_dataset, split)
            assert isinstance(baseline, Scorer)
            result = evaluate(baseline, split.test, train_popularity=split.popularity(), bootstrap=0)
            found[name] = result.metrics["ndcg@10"].value
        assert found["item-knn"] > 2 * found["popularity"]


def test_an_unknown_baseline_is_refused(tiny_dataset: Dataset) -> None:
    with pytest.raises(ConfigError, match="choose one of popularity"):
        make_baseline("svd", tiny_dataset, leave_one_out(tiny_dataset))
