"""Losses, worked out by hand and against torch's own."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from lightrec.training.losses import TeacherTargets, distillation_loss, soft_cross_entropy, teacher_confidence


def top_targets(logits: torch.Tensor, k: int, temperature: float) -> TeacherTargets:
    best, items = logits.topk(k, dim=1)
    others = logits.scatter(1, items, float("-inf"))
    return TeacherTargets(best, items, torch.logsumexp(others / temperature, dim=1))


def test_soft_cross_entropy_by_hand():
    """Teacher (3/4, 1/4), student (1/2, 1/2), temperature 1: the cross-entropy is log 2."""
    teacher = TeacherTargets(torch.tensor([[math.log(3), 0.0]]))
    assert soft_cross_entropy(torch.zeros(1, 2), teacher, 1.0).item() == pytest.approx(math.log(2))


def test_the_temperature_softens_and_scales():
    """At temperature 2, logits (2 log 3, 0) mean (3/4, 1/4); the loss carries the factor 2 squared."""
    teacher = TeacherTargets(torch.tensor([[2 * math.log(3), 0.0]]))
    student = torch.tensor([[2 * math.log(4), 0.0]])  # (4/5, 1/5)
    expected = 4 * (-3 / 4 * math.log(4 / 5) - 1 / 4 * math.log(1 / 5))
    assert soft_cross_entropy(student, teacher, 2.0).item() == pytest.approx(expected)


def test_its_gradient_is_that_of_the_kullback_leibler_divergence():
    torch.manual_seed(0)
    teacher, student = torch.randn(5, 7), torch.randn(5, 7, requires_grad=True)
    soft_cross_entropy(student, TeacherTargets(teacher), 3.0).mean().backward()
    ours, student.grad = student.grad, None
    divergence = F.kl_div(F.log_softmax(student / 3, 1), F.softmax(teacher / 3, 1), reduction="batchmean") * 9
    divergence.backward()
    torch.testing.assert_close(ours, student.grad)


def test_the_top_of_all_items_is_the_full_loss():
    """With K one less than N, the one item left is the rest: nothing is lost."""
    torch.manual_seed(0)
    teacher, student = torch.randn(5, 7), torch.randn(5, 7)
    full = soft_cross_entropy(student, TeacherTargets(teacher), 2.0)
    torch.testing.assert_close(soft_cross_entropy(student, top_targets(teacher, 6, 2.0), 2.0), full)


def test_top_targets_by_hand():
    """Teacher (1/2, 1/4, 1/8, 1/8), top 1: (1/2, rest 1/2); student uniform over 4: (1/4, rest 3/4)."""
    teacher = top_targets(torch.tensor([[1 / 2, 1 / 4, 1 / 8, 1 / 8]]).log(), 1, 1.0)
    expected = -1 / 2 * math.log(1 / 4) - 1 / 2 * math.log(3 / 4)
    assert soft_cross_entropy(torch.zeros(1, 4), teacher, 1.0).item() == pytest.approx(expected)


def test_confidence_by_hand():
    logits = torch.tensor([[1 / 2, 1 / 4, 1 / 4], [1 / 2, 1 / 4, 1 / 4]]).log()
    targets = torch.tensor([0, 2])
    assert teacher_confidence(TeacherTargets(logits), targets, 1.0).tolist() == pytest.approx([1 / 2, 1 / 4])
    assert teacher_confidence(top_targets(logits, 1, 1.0), targets, 1.0).tolist() == pytest.approx([1 / 2, 0])


def test_weights_mix_the_true_items_and_the_teachers():
    torch.manual_seed(0)
    logits, targets = torch.randn(4, 6), torch.tensor([0, 1, 2, 3])
    teachers = [TeacherTargets(torch.randn(4, 6)) for _ in range(2)]

    def loss(weight):
        return distillation_loss(logits, targets, teachers, temperature=2.0, weight=weight).item()

    hard = F.cross_entropy(logits, targets).item()
    soft = sum(soft_cross_entropy(logits, teacher, 2.0).mean().item() for teacher in teachers) / 2
    assert loss(0.0) == pytest.approx(hard)
    assert loss(1.0) == pytest.approx(soft)
    assert loss(0.3) == pytest.approx(0.7 * hard + 0.3 * soft)


def test_confidence_weights_have_mean_one():
    """A teacher equally sure everywhere changes nothing."""
    logits, targets = torch.randn(4, 6), torch.zeros(4, dtype=torch.int64)
    teacher = TeacherTargets(torch.tensor([[2.0, 1, 1, 1, 1, 1]]).repeat(4, 1))
    common = {"temperature": 1.0, "weight": 0.5}
    plain = distillation_loss(logits, targets, [teacher], **common)
    weighted = distillation_loss(logits, targets, [teacher], instance_weighting="confidence", **common)
    assert weighted.item() == pytest.approx(plain.item())
