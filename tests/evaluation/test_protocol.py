"""The evaluation as a whole, on cases whose answers can be computed by hand."""

from collections.abc import Sequence
from math import log2
from pathlib import Path

import numpy as np
import pytest
from mini_bundle import write_bundle
from sklearn.metrics import ndcg_score

from lightrec.baselines.baselines import Popularity
from lightrec.data.dataset import Dataset
from lightrec.data.splits import Cases, leave_one_out, temporal
from lightrec.errors import ConfigError, DataError, ModelError
from lightrec.evaluation.protocol import Scorer, TopKRanker, evaluate, shared_rules
from lightrec.runtime.recommender import Recommender


class LastItemScorer:
    """Scores the next item by the last one: row ``history[-1]`` of a table ``[N, N]``."""

    def __init__(self, table: np.ndarray):
        self.table = table.astype(np.float32)
        self.n_items = len(table)

    def score(self, histories: Sequence[np.ndarray]) -> np.ndarray:
        return self.table[[history[-1] for history in histories]]


def cases_of(*sequences: Sequence[int]) -> Cases:
    """One case a user: the last item of the sequence is the target."""
    ends = np.cumsum([len(sequence) for sequence in sequences])
    items = np.concatenate(sequences).astype(np.int32)
    starts = np.concatenate([[0], ends[:-1]])
    return Cases(items, np.arange(len(sequences)), starts, ends - 1, items[ends - 1].astype(np.int64))


# Whatever the history, item 0 is best, then 1, 2, 3 and 4.
DESCENDING = LastItemScorer(np.tile([5.0, 4.0, 3.0, 2.0, 1.0], (5, 1)))
POPULARITY = np.array([6, 3, 2, 1, 0])


def test_metrics_by_hand() -> None:
    # Ranks among what is not seen: 2 after 1 -> 2; 1 after 2, 0 -> 1; 4 after 3 -> 4; 0 after 0, 3 -> a miss.
    cases = cases_of([1, 2], [2, 0, 1], [3, 4], [0, 3, 0])
    result = evaluate(DESCENDING, cases, train_popularity=POPULARITY, ks=(1, 3), bootstrap=0)
    assert result.ranks.tolist() == [2, 1, 4, np.inf]
    assert result.hidden.tolist() == [False, False, False, True]
    values = {name: interval.value for name, interval in result.metrics.items()}
    assert values == pytest.approx(
        {
            "hr@1": 1 / 4,
            "hr@3": 2 / 4,
            "ndcg@1": 1 / 4,
            "ndcg@3": (1 / log2(3) + 1) / 4,
            "mrr": (1 / 2 + 1 + 1 / 4 + 0) / 4,
            "coverage@1": 2 / 5,  # the lists start with 0, 1, 0, 1
            "coverage@3": 5 / 5,  # 023, 134, 012, 124
        }
    )


def test_seen_items_can_be_kept() -> None:
    cases = cases_of([1, 2], [0, 3, 0])
    result = evaluate(DESCENDING, cases, train_popularity=POPULARITY, filter_seen=False, bootstrap=0)
    assert result.ranks.tolist() == [3, 1]
    assert not result.hidden.any()


def test_equal_scores_count_against_the_model() -> None:
    constant = LastItemScorer(np.zeros((5, 5)))
    result = evaluate(constant, cases_of([0, 1], [0, 4]), train_popularity=POPULARITY, bootstrap=0)
    assert result.ranks.tolist() == [4, 4]


def test_slices_by_hand() -> None:
    # Of 12 events 0 come before item 0 (head), 6 before item 1 (torso), 9 and 11 before items 2 and 3 (tail).
    cases = cases_of([1, 0], [0, 1], [0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3, 4])
    result = evaluate(DESCENDING, cases, train_popularity=POPULARITY, ks=(1,), bootstrap=0)
    assert {name: part.cases for name, part in result.slices["popularity"].items()} == {
        "head": 1,
        "torso": 1,
        "tail": 2,
        "cold": 1,
    }
    assert result.slices["popularity"]["cold"].metrics["hr@1"].value == 1
    # History lengths 1, 1, 2, 3, 4; the terciles of the sorted lengths are 1 and 2.
    assert {name: part.cases for name, part in result.slices["history"].items()} == {"short": 2, "medium": 1, "long": 2}


def test_empty_slices_are_left_out() -> None:
    result = evaluate(DESCENDING, cases_of([1, 0], [2, 0]), train_popularity=POPULARITY, bootstrap=0)
    assert set(result.slices["popularity"]) == {"head"}
    assert set(result.slices["history"]) == {"short"}


def test_random_scores_agree_with_scikit_learn(tiny_dataset: Dataset) -> None:
    rng = np.random.default_rng(3)
    table = rng.permuted(np.tile(np.arange(float(tiny_dataset.n_items)), (tiny_dataset.n_items, 1)), axis=1)
    split = leave_one_out(tiny_dataset)
    scorer = LastItemScorer(table)
    result = evaluate(scorer, split.test, train_popularity=split.popularity(), filter_seen=False, bootstrap=0)
    scores = scorer.score([split.test.history(case) for case in range(len(split.test))])
    for k in (1, 5, 10, 20):
        theirs = ndcg_score(np.eye(tiny_dataset.n_items)[split.test.targets], scores, k=k)
        assert result.metrics[f"ndcg@{k}"].value == pytest.approx(theirs, abs=1e-9)


def test_the_batch_size_changes_nothing(tiny_dataset: Dataset) -> None:
    split = leave_one_out(tiny_dataset)
    scorer = LastItemScorer(np.random.default_rng(0).normal(size=(tiny_dataset.n_items,) * 2))
    done: list[tuple[int, int]] = []
    results = [
        evaluate(
            scorer,
            split.test,
            train_popularity=split.popularity(),
            batch_size=size,
            bootstrap=20,
            progress=lambda *step: done.append(step),
        ).to_json()
        for size in (7, 1000)
    ]
    assert results[0] == results[1]
    assert done == [(7, 40), (14, 40), (21, 40), (28, 40), (35, 40), (40, 40), (40, 40)]


def test_a_bundle_and_its_scorer_agree(tiny_dataset: Dataset, tmp_path: Path) -> None:
    """The same tied scores from a Scorer and through ONNX Runtime: every rank and every list is the same."""
    table = np.random.default_rng(5).integers(0, 6, size=(tiny_dataset.n_items,) * 2).astype(np.float32)
    bundle = write_bundle(
        tmp_path / "bundle",
        table,
        tiny_dataset.item_ids,
        titles=None,
        popularity=list(range(tiny_dataset.n_items)),
    )
    rankers: list[Scorer | TopKRanker] = [LastItemScorer(table), Recommender.load(bundle)]
    ties, limit = shared_rules(rankers)
    assert (ties, limit) == ("lowest-index", tiny_dataset.n_items)
    split = leave_one_out(tiny_dataset)
    for wanted in (limit, 5):
        one, other = (
            evaluate(
                ranker,
                split.test,
                train_popularity=split.popularity(),
                ties=ties,
                rank_limit=wanted,
                ks=(1, 5),
                bootstrap=10,
            )
            for ranker in rankers
        )
        assert np.array_equal(one.ranks, other.ranks)
        assert np.array_equal(one.lists, other.lists)
        assert one.to_json() == other.to_json()
        assert f"mrr@{wanted}" in one.metrics


def test_scorers_alone_are_ranked_without_a_limit() -> None:
    assert shared_rules([DESCENDING, DESCENDING]) == ("pessimistic", None)


class FirstItems:
    """A ranker that always answers 0, 1, 2, ... and knows 1,000 items."""

    n_items, k_limit = 1000, 150

    def top_k(self, histories: Sequence[np.ndarray], k: int, filter_seen: bool) -> np.ndarray:
        return np.tile(np.arange(k), (len(histories), 1))


def test_ranks_beyond_the_limit_are_misses() -> None:
    cases = cases_of([500, 99], [500, 100])
    result = evaluate(FirstItems(), cases, train_popularity=np.ones(1000), bootstrap=0)
    assert result.ranks.tolist() == [100, np.inf]
    assert result.metrics["mrr@100"].value == (1 / 100 + 0) / 2


def test_what_a_bundle_cannot_do_is_refused() -> None:
    cases = cases_of([500, 99])
    with pytest.raises(ConfigError, match="ranks 150 items"):
        evaluate(FirstItems(), cases, train_popularity=np.ones(1000), ks=(10, 200))
    with pytest.raises(ConfigError, match="lowest-index"):
        evaluate(FirstItems(), cases, train_popularity=np.ones(1000), ties="pessimistic")


@pytest.mark.parametrize("ks", [(), (0, 10)])
def test_impossible_list_lengths_are_refused(ks: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="list lengths"):
        evaluate(DESCENDING, cases_of([0, 1]), train_popularity=POPULARITY, ks=ks)


def test_a_model_that_answers_nonsense_is_refused() -> None:
    cases = cases_of([0, 1])
    with pytest.raises(ModelError, match="NaN"):
        evaluate(LastItemScorer(np.full((5, 5), np.nan)), cases, train_popularity=POPULARITY)
    with pytest.raises(ModelError, match="shape"):
        evaluate(LastItemScorer(np.zeros((5, 6))), cases, train_popularity=POPULARITY)
    with pytest.raises(ModelError, match="ranks 5 items, the data set has 7"):
        evaluate(DESCENDING, cases, train_popularity=np.ones(7))


def test_no_case_is_a_data_error() -> None:
    with pytest.raises(DataError, match="no case"):
        evaluate(DESCENDING, cases_of([0, 1]).take(np.array([], dtype=int)), train_popularity=POPULARITY)


def test_the_scores_of_the_scorer_are_left_alone() -> None:
    table = DESCENDING.table.copy()
    evaluate(DESCENDING, cases_of([0, 1], [1, 2]), train_popularity=POPULARITY, bootstrap=0)
    assert np.array_equal(DESCENDING.table, table)


def test_successive_targets_ask_each_test_event(tiny_dataset: Dataset) -> None:
    split = temporal(tiny_dataset, 0.8, successive=True)
    result = evaluate(Popularity(split), split.test, train_popularity=split.popularity(), bootstrap=50).to_json()
    assert result["cases"] == len(split.test) > result["users"] == len(np.unique(split.test.users))
    metric = result["metrics"]["hr@20"]
    assert metric["low"] <= metric["value"] <= metric["high"]
