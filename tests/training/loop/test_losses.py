"""Losses, worked out by hand and against torch's own."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from lightrec.training.loop import losses
from lightrec.training.loop.losses import (
    Distillation,
    TeacherTargets,
    catalogue_loss,
    sample_candidates,
    sampled_catalogue_loss,
)


def top_targets(logits: torch.Tensor, k: int, temperature: float) -> TeacherTargets:
    best, items = logits.topk(k, dim=1)
    others = logits.scatter(1, items, float("-inf"))
    return TeacherTargets(best, items, torch.logsumexp(others / temperature, dim=1))


def soft_loss(scores: torch.Tensor, teacher: TeacherTargets, temperature: float) -> float:
    """The soft part alone, of given scores: states are scores and the table is the identity."""
    targets = torch.zeros(len(scores), dtype=torch.int64)
    how = Distillation(weight=1.0, temperature=temperature)
    return catalogue_loss(scores, torch.eye(scores.shape[1]), targets, teacher=teacher, distillation=how).item()


def plain_loss(states, table, bias, targets, teacher, how: Distillation) -> torch.Tensor:
    """The same loss written with torch's own operations and differentiated by autograd."""
    scores = F.linear(states, table, bias)
    hard = F.cross_entropy(scores, targets, reduction="none")
    log_q = F.log_softmax(scores / how.temperature, dim=1)
    if teacher.items is None:
        p = F.softmax(teacher.logits / how.temperature, dim=1)
        soft, confidence = -(p * log_q).sum(1), p.gather(1, targets[:, None]).squeeze(1)
    else:
        p = F.softmax(torch.cat([teacher.logits / how.temperature, teacher.rest[:, None]], dim=1), dim=1)
        q_top = log_q.gather(1, teacher.items)
        soft = -(p[:, :-1] * q_top).sum(1) - p[:, -1] * torch.log1p(-q_top.exp().sum(1))
        confidence = (p[:, :-1] * (teacher.items == targets[:, None])).sum(1)
    scale = confidence / confidence.mean() if how.by_confidence else 1.0
    return ((1 - how.weight) * hard + how.weight * how.temperature**2 * soft * scale).mean()


def test_soft_cross_entropy_by_hand():
    """Teacher (3/4, 1/4), student (1/2, 1/2), temperature 1: the cross-entropy is log 2."""
    teacher = TeacherTargets(torch.tensor([[math.log(3), 0.0]]))
    assert soft_loss(torch.zeros(1, 2), teacher, 1.0) == pytest.approx(math.log(2))


def test_the_temperature_softens_and_scales():
    """At temperature 2, logits (2 log 3, 0) mean (3/4, 1/4); the loss carries the factor 2 squared."""
    teacher = TeacherTargets(torch.tensor([[2 * math.log(3), 0.0]]))
    student = torch.tensor([[2 * math.log(4), 0.0]])  # (4/5, 1/5)
    expected = 4 * (-3 / 4 * math.log(4 / 5) - 1 / 4 * math.log(1 / 5))
    assert soft_loss(student, teacher, 2.0) == pytest.approx(expected)


def test_the_top_of_all_items_is_the_full_loss():
    """With K one less than N, the one item left is the rest: nothing is lost."""
    torch.manual_seed(0)
    teacher, student = torch.randn(5, 7), torch.randn(5, 7)
    full = soft_loss(student, TeacherTargets(teacher), 2.0)
    assert soft_loss(student, top_targets(teacher, 6, 2.0), 2.0) == pytest.approx(full, rel=1e-5)


def test_top_targets_by_hand():
    """Teacher (1/2, 1/4, 1/8, 1/8), top 1: (1/2, rest 1/2); student uniform over 4: (1/4, rest 3/4)."""
    teacher = top_targets(torch.tensor([[1 / 2, 1 / 4, 1 / 8, 1 / 8]]).log(), 1, 1.0)
    expected = -1 / 2 * math.log(1 / 4) - 1 / 2 * math.log(3 / 4)
    assert soft_loss(torch.zeros(1, 4), teacher, 1.0) == pytest.approx(expected)


@pytest.mark.parametrize("form", ["full", "top"])
@pytest.mark.parametrize(
    "how",
    [Distillation(0.3), Distillation(0.7, 3.0), Distillation(1.0, 2.0, by_confidence=True), Distillation(0.0)],
    ids=str,
)
def test_loss_and_gradients_are_those_of_autograd(form, how, monkeypatch):
    monkeypatch.setitem(losses.CHUNK_BYTES, "cpu", 1)  # the smallest chunks: 16 rows
    torch.manual_seed(0)
    states, table, bias = torch.randn(50, 8), torch.randn(11, 8), torch.randn(11)
    targets, said = torch.randint(11, (50,)), 2 * torch.randn(50, 11)
    teacher = TeacherTargets(said) if form == "full" else top_targets(said, 4, how.temperature)
    found = []
    for function in (
        lambda s, t, b: catalogue_loss(s, t, targets, bias=b, teacher=teacher, distillation=how),
        lambda s, t, b: plain_loss(s, t, b, targets, teacher, how),
    ):
        inputs = [x.clone().requires_grad_() for x in (states, table, bias)]
        loss = function(*inputs)
        (3 * loss).backward()
        found.append((loss.detach(), *(x.grad for x in inputs)))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_row_without_a_teacher_is_learnt_from_the_true_item():
    torch.manual_seed(0)
    states, table, targets = torch.randn(2, 4), torch.randn(5, 4), torch.tensor([3, 1])
    said = torch.randn(2, 5)
    said[1] = float("-inf")
    how = Distillation(0.6, 2.0)
    loss = catalogue_loss(states, table, targets, teacher=TeacherTargets(said), distillation=how)
    first = catalogue_loss(states[:1], table, targets[:1], teacher=TeacherTargets(said[:1]), distillation=how)
    second = F.cross_entropy(states[1:] @ table.T, targets[1:])
    torch.testing.assert_close(loss, (first + second) / 2)


@given(st.integers(2, 60), st.integers(1, 80), st.integers(0, 10**6), st.integers(1, 9))
def test_candidates_hold_the_targets_and_distinct_others(n_items, negatives, seed, n_targets):
    torch.manual_seed(seed)
    targets = torch.randint(n_items, (n_targets,))
    candidates, correction = sample_candidates(n_items, negatives, targets)
    assert torch.equal(candidates, torch.unique(candidates)) and candidates.min() >= 0 and candidates.max() < n_items
    assert set(targets.tolist()) <= set(candidates.tolist())
    certain = len(torch.unique(targets))
    assert len(candidates) == min(n_items, certain + negatives)
    # What is drawn stands for what is not: the estimated size of the catalogue is its size.
    assert correction.exp().sum().item() == pytest.approx(n_items, rel=1e-4)


def test_sampling_everything_is_the_full_loss():
    torch.manual_seed(0)
    states, table, bias, targets = torch.randn(6, 4), torch.randn(9, 4), torch.randn(9), torch.randint(9, (6,))
    for teacher in (None, TeacherTargets(torch.randn(6, 9)), top_targets(torch.randn(6, 9), 3, 2.0)):
        extras = {"bias": bias, "teacher": teacher, "distillation": Distillation(0.5, 2.0)}
        full = catalogue_loss(states, table, targets, **extras)
        torch.testing.assert_close(sampled_catalogue_loss(states, table, targets, 9, **extras), full)


@pytest.mark.parametrize("negatives", [300, 20])
def test_the_sampled_sum_of_exponentials_is_right_on_average(negatives):
    torch.manual_seed(0)
    scores, targets = torch.randn(400), torch.tensor([7, 100])
    sums = []
    for _ in range(2000):
        candidates, correction = sample_candidates(400, negatives, targets)
        sums.append((scores[candidates] + correction).exp().sum())
    spread = torch.stack(sums).std() / 2000**0.5
    assert abs(torch.stack(sums).mean() - scores.exp().sum()) < 4 * spread
