"""The metrics against fractions computed by hand and against scikit-learn."""

from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score, top_k_accuracy_score

from lightrec.metrics import coverage, hit_rate, ndcg, reciprocal_rank

RANKS = np.array([1, 2, 3, 10, 11, np.inf])


def test_hit_rate_by_hand() -> None:
    assert hit_rate(RANKS, 10).mean() == 4 / 6
    assert hit_rate(RANKS, 1).mean() == 1 / 6


def test_ndcg_by_hand() -> None:
    expected = (1 + 1 / log2(3) + 1 / 2 + 1 / log2(11) + 0 + 0) / 6
    assert ndcg(RANKS, 10).mean() == pytest.approx(expected, abs=1e-15)


def test_reciprocal_rank_by_hand() -> None:
    assert reciprocal_rank(RANKS).mean() == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 10 + 1 / 11 + 0) / 6, abs=1e-15)
    assert reciprocal_rank(RANKS, 3).mean() == pytest.approx((1 + 1 / 2 + 1 / 3) / 6, abs=1e-15)


def test_coverage_by_hand() -> None:
    assert coverage(np.array([[0, 4], [4, 2], [4, -1]]), n_items=5) == 3 / 5
    assert coverage(np.full((2, 3), -1), n_items=5) == 0


@pytest.mark.parametrize("bad", [0, -1, 0.5, np.nan])
def test_a_rank_below_one_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="start at 1"):
        ndcg(np.array([1, bad]), 10)


def test_k_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        hit_rate(RANKS, 0)


@pytest.mark.parametrize("k", [1, 5, 10, 50])
def test_agreement_with_scikit_learn(k: int) -> None:
    rng = np.random.default_rng(k)
    scores = rng.permuted(np.tile(np.arange(50.0), (200, 1)), axis=1)
    targets = rng.integers(50, size=200)
    ranks = 50 - scores[np.arange(200), targets]
    relevant = np.eye(50)[targets]
    assert ndcg(ranks, k).mean() == pytest.approx(ndcg_score(relevant, scores, k=k), abs=1e-9)
    if k < 50:
        theirs = top_k_accuracy_score(targets, scores, k=k, labels=np.arange(50))
        assert hit_rate(ranks, k).mean() == pytest.approx(theirs, abs=1e-9)


@given(ranks=st.lists(st.integers(1, 200) | st.just(np.inf), min_size=1), k=st.integers(1, 200))
def test_the_metrics_are_ordered(ranks: list[float], k: int) -> None:
    """Each case: reciprocal rank <= NDCG <= HR, all within 0 and 1, and none falls as k grows."""
    array = np.array(ranks)
    rr, gain, hit = reciprocal_rank(array, k), ndcg(array, k), hit_rate(array, k)
    assert np.all((rr >= 0) & (rr <= gain) & (gain <= hit) & (hit <= 1))
    assert np.all(ndcg(array, k + 1) >= gain)
    assert np.all(hit_rate(array, k + 1) >= hit)
