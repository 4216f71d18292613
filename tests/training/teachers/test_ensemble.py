"""Pools of teachers: by hand, and fitted to cases whose best weights are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lightrec.data.splits import Cases
from lightrec.errors import ModelError
from lightrec.training.teachers.ensemble import EnsembleScorer, PoolFit, fit_pool, pool

N_ITEMS = 12


class Fixed:
    """A scorer that answers by the last item of the history: row ``table[last]``."""

    n_items = N_ITEMS

    def __init__(self, table: np.ndarray):
        self.table = table.astype(np.float32)

    def score(self, histories):
        return self.table[[history[-1] for history in histories]]


def cases_drawn_from(table: np.ndarray, count: int) -> Cases:
    """Histories of one item each, and targets drawn from the softmax of its row without that item."""
    rng = np.random.default_rng(3)
    first = rng.integers(N_ITEMS, size=count)
    logits = table[first].copy()
    logits[np.arange(count), first] = -np.inf
    targets = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    items = np.stack([first, targets], axis=1).ravel().astype(np.int32)
    starts = np.arange(count) * 2
    return Cases(items=items, users=np.arange(count), starts=starts, ends=starts + 1, targets=targets)


@pytest.fixture
def tables():
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, N_ITEMS, N_ITEMS)) * 1.5


def test_a_pool_multiplies_probabilities():
    """(1/2, 1/4, 1/4) to the power 2, times (1/5, 2/5, 2/5): in proportion 1/20, 1/40, 1/40."""
    first = torch.tensor([[math.log(2), 0.0, 0.0]])
    second = torch.tensor([[5.0, 5 + math.log(2), 5 + math.log(2)]])
    expected = torch.tensor([[1 / 20, 1 / 40, 1 / 40]]).log()
    torch.testing.assert_close(pool([first, second], [2.0, 1.0]), expected)


def test_an_ensemble_scorer_is_the_pool_of_its_members(tables):
    scorer = EnsembleScorer([Fixed(tables[0]), Fixed(tables[1])], [0.5, 2.0])
    rows = torch.from_numpy(tables[:, [4]].astype(np.float32))
    expected = 0.5 * rows[0].log_softmax(1) + 2 * rows[1].log_softmax(1)
    np.testing.assert_allclose(scorer.score([np.array([7, 4])]), expected, rtol=1e-5)


def test_the_fit_finds_the_weights_that_made_the_data(tables):
    cases = cases_drawn_from(0.4 * tables[0] + 1.1 * tables[1], 6000)
    fit = fit_pool([Fixed(tables[0]), Fixed(tables[1])], cases)
    assert fit.weights == pytest.approx((0.4, 1.1), abs=0.12)
    assert (fit.fitted_cases, fit.checked_cases) == (3000, 3000)
    assert fit.ensemble > max(fit.members)


def test_a_teacher_that_knows_nothing_gets_no_say(tables):
    cases = cases_drawn_from(tables[0], 4000)
    noise = np.random.default_rng(9).normal(size=(N_ITEMS, N_ITEMS))
    weights = fit_pool([Fixed(tables[0]), Fixed(noise)], cases).weights
    assert weights[0] == pytest.approx(1, abs=0.1)
    assert weights[1] < 0.08


def test_given_weights_are_checked_as_they_are(tables):
    cases = cases_drawn_from(tables[0], 500)
    fit = fit_pool([Fixed(tables[0]), Fixed(tables[1])], cases, weights=(1.0, 0.25))
    assert fit.weights == (1.0, 0.25)
    assert PoolFit.from_json(fit.to_json()) == fit


def test_large_fits_draw_cases(tables, monkeypatch):
    monkeypatch.setattr("lightrec.training.teachers.ensemble.MOST_SCORES", 2 * N_ITEMS * 100)
    fit = fit_pool([Fixed(tables[0]), Fixed(tables[1])], cases_drawn_from(tables[0], 500))
    assert fit.fitted_cases + fit.checked_cases == 100


def test_too_few_cases_are_refused(tables):
    with pytest.raises(ModelError, match="1 validation cases are too few"):
        fit_pool([Fixed(tables[0])], cases_drawn_from(tables[0], 1))
