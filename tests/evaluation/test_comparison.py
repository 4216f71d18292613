"""Intervals and paired comparisons: exact where they can be, statistical where they must be."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from lightrec.data.splits import Cases
from lightrec.errors import ConfigError
from lightrec.evaluation.comparison import paired_comparison
from lightrec.evaluation.intervals import bootstrap_means, sums_by_user, user_weights
from lightrec.evaluation.protocol import Evaluation


def evaluation_of(ranks: Sequence[float], users: Sequence[int] | None = None) -> Evaluation:
    """An evaluation that found these ranks."""
    count = len(ranks)
    positions = np.arange(count)
    cases = Cases(
        items=np.zeros(count, dtype=np.int32),
        users=positions if users is None else np.array(users),
        starts=positions,
        ends=positions + 1,
        targets=positions,
    )
    return Evaluation(
        cases=cases,
        ranks=np.array(ranks, dtype=np.float64),
        lists=np.zeros((count, 1), dtype=np.int64),
        hidden=np.zeros(count, dtype=bool),
        ks=(1, 10),
        rank_limit=None,
        filter_seen=True,
        ties="pessimistic",
        metrics={},
        slices={},
    )


def test_no_resamples_give_the_mean_alone() -> None:
    (interval,) = bootstrap_means(np.array([[0.0], [1.0], [1.0], [1.0]]), np.arange(4), resamples=0)
    assert interval.to_json() == {"value": 3 / 4, "low": None, "high": None}


def test_the_interval_of_a_share_is_the_binomial_one() -> None:
    """300 of 1,000 users hit: the normal approximation gives 0.3 -+ 1.96 sqrt(0.3 * 0.7 / 1000)."""
    values = (np.arange(1000) < 300).astype(float)[:, None]
    (interval,) = bootstrap_means(values, np.arange(1000), resamples=4000, seed=1)
    half = 1.96 * np.sqrt(0.3 * 0.7 / 1000)
    assert interval.low == pytest.approx(0.3 - half, abs=0.003)
    assert interval.high == pytest.approx(0.3 + half, abs=0.003)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    samples = rng.random((200, 150)) < 0.4
    intervals = [bootstrap_means(row[:, None].astype(float), np.arange(150), 300)[0] for row in samples]
    covered = np.mean([i.low <= 0.4 <= i.high for i in intervals])
    assert 0.89 <= covered <= 0.99  # 95 %, with 200 trials


def test_users_are_resampled_and_not_cases() -> None:
    """Ten equal cases a user say no more than one: the interval is that of 100 users, not of 1,000 cases."""
    one_each = np.random.default_rng(2).random((100, 1))
    (small,) = bootstrap_means(one_each, np.arange(100), 500, seed=4)
    (large,) = bootstrap_means(np.repeat(one_each, 10, axis=0), np.repeat(np.arange(100), 10), 500, seed=4)
    assert dataclasses.astuple(large) == pytest.approx(dataclasses.astuple(small))


def test_sums_by_user_by_hand() -> None:
    sums, counts = sums_by_user(np.array([[1.0, 10], [2, 20], [4, 40]]), np.array([7, 3, 7]))
    assert sums.tolist() == [[2, 20], [5, 50]]
    assert counts.tolist() == [1, 2]


def test_every_resample_draws_as_many_users_as_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightrec.evaluation.intervals.CHUNK", 30)  # four resamples at a time
    chunks = list(user_weights(7, 10, seed=0))
    assert [chunk.shape for chunk in chunks] == [(4, 7), (4, 7), (2, 7)]
    assert np.concatenate(chunks).sum(axis=1).tolist() == [7] * 10


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(0).random((50, 2))
    assert bootstrap_means(values, np.arange(50), seed=3) == bootstrap_means(values, np.arange(50), seed=3)
    assert bootstrap_means(values, np.arange(50), seed=3) != bootstrap_means(values, np.arange(50), seed=4)


def test_a_model_against_itself_is_exactly_zero() -> None:
    run = evaluation_of([1, 4, 12, np.inf, 2])
    result = paired_comparison(run, run, "ndcg@10")
    assert dataclasses.astuple(result.difference) == (0, 0, 0)
    assert result.p_value == 1


def test_a_constant_gain_has_no_spread() -> None:
    """Everybody gains 1 - 1/2: pairing removes all doubt."""
    result = paired_comparison(evaluation_of([1] * 30), evaluation_of([2] * 30), "mrr", resamples=999)
    assert dataclasses.astuple(result.difference) == (0.5, 0.5, 0.5)
    assert result.relative is not None
    assert dataclasses.astuple(result.relative) == (1, 1, 1)
    assert result.p_value == 2 / 1000


def test_the_p_value_is_that_of_a_sign_flip() -> None:
    """Of 100 users 60 gain and 40 lose: z = 0.2 / sqrt((1 - 0.04) / 100) = 2.04, two-sided p = 0.041."""
    a = evaluation_of([1] * 60 + [np.inf] * 40)
    b = evaluation_of([np.inf] * 60 + [1] * 40)
    result = paired_comparison(a, b, "hr@1", resamples=20_000)
    assert result.difference.value == pytest.approx(0.2)
    assert result.p_value == pytest.approx(0.041, abs=0.015)
    swapped = paired_comparison(b, a, "hr@1", resamples=20_000)
    assert swapped.difference.value == -result.difference.value
    assert swapped.p_value == result.p_value


def test_p_values_of_equal_models_are_uniform() -> None:
    rng = np.random.default_rng(8)
    ranks = rng.integers(1, 20, size=(200, 2, 80))
    small = [
        paired_comparison(evaluation_of(a), evaluation_of(b), "ndcg@10", resamples=300).p_value < 0.1 for a, b in ranks
    ]
    assert 0.04 <= np.mean(small) <= 0.18  # a tenth, with 200 trials


def test_seeds_are_averaged_and_resampled() -> None:
    runs = [evaluation_of([1] * 20), evaluation_of([np.inf] * 20)]
    result = paired_comparison(runs, evaluation_of([np.inf] * 20), "hr@10", resamples=4000)
    assert (result.a, result.b, result.seeds) == (0.5, 0, (2, 1))
    assert result.relative is None
    # Two runs drawn from {1, 0} average 0, 1/2 or 1, with probabilities 1/4, 1/2, 1/4.
    assert (result.difference.low, result.difference.high) == (0, 1)
    assert result.p_value == pytest.approx(2 * 1 / 4, abs=0.05)


def test_only_like_is_compared_with_like() -> None:
    run = evaluation_of([1, 2, 3])
    with pytest.raises(ConfigError, match="same cases"):
        paired_comparison(run, evaluation_of([1, 2]), "mrr")
    with pytest.raises(ConfigError, match="same cases"):
        paired_comparison(run, evaluation_of([1, 2, 3], users=[0, 0, 1]), "mrr")
    with pytest.raises(ConfigError, match="tie rule"):
        paired_comparison(run, dataclasses.replace(run, ties="lowest-index"), "mrr")
    with pytest.raises(ConfigError, match=r"coverage@10 cannot .* hr@1, hr@10, ndcg@1"):
        paired_comparison(run, run, "coverage@10")
    with pytest.raises(ConfigError, match="mrr cannot"):
        paired_comparison(run, dataclasses.replace(run, rank_limit=100), "mrr")
