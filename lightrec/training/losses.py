"""Losses: cross-entropy with the true items, and with what teachers say, over the full catalogue."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class TeacherTargets(NamedTuple):
    """What one teacher says at R positions.

    Either full logits (``items`` None): ``logits [R, N]``. Or the top K: ``logits [R, K]`` of ``items [R, K]``, and
    ``rest [R]``, the log of the summed exponentials of all other logits, each divided by the temperature.
    """

    logits: Tensor
    items: Tensor | None = None
    rest: Tensor | None = None


def soft_cross_entropy(student: Tensor, teacher: TeacherTargets, temperature: float) -> Tensor:
    """Cross-entropy ``[R]`` between softened teacher and student distributions, times the squared temperature.

    It differs from the Kullback-Leibler divergence by the teacher's entropy, which has no gradient. With top-K
    targets the items outside the K count as one (their mass is compared, not their order). The factor keeps the
    gradient's size independent of the temperature (Hinton et al., arXiv 1503.02531, section 2).

    Args:
        student: logits ``[R, N]``.
        teacher: targets at the same R positions.
        temperature: softens both.
    """
    log_q = F.log_softmax(student / temperature, dim=-1)
    if teacher.items is None:
        p = F.softmax(teacher.logits.float() / temperature, dim=-1)
        return -(p * log_q).sum(dim=-1) * temperature**2
    assert teacher.rest is not None
    top = teacher.logits.float() / temperature
    p = F.softmax(torch.cat([top, teacher.rest[:, None]], dim=1), dim=1)
    log_q_top = log_q.gather(1, teacher.items.long())
    mass = log_q_top.exp().sum(dim=1)
    log_q_rest = torch.log1p(-mass.clamp(max=1 - 1e-6))
    cross = -(p[:, :-1] * log_q_top).sum(dim=1) - p[:, -1] * log_q_rest
    return cross * temperature**2


def teacher_confidence(teacher: TeacherTargets, targets: Tensor, temperature: float) -> Tensor:
    """The teacher's softened probability ``[R]`` of the true item; 0 where it lies outside the top K."""
    if teacher.items is None:
        p = F.softmax(teacher.logits.float() / temperature, dim=-1)
        return p.gather(1, targets[:, None]).squeeze(1)
    assert teacher.rest is not None
    top = teacher.logits.float() / temperature
    p = F.softmax(torch.cat([top, teacher.rest[:, None]], dim=1), dim=1)[:, :-1]
    return (p * (teacher.items == targets[:, None])).sum(dim=1)


def distillation_loss(
    logits: Tensor,
    targets: Tensor,
    teachers: list[TeacherTargets],
    *,
    temperature: float,
    weight: float,
    instance_weighting: str = "none",
) -> Tensor:
    """(1 - weight) x cross-entropy with the true items + weight x the teachers' soft cross-entropy.

    Args:
        logits: the student's ``[R, N]``.
        targets: the true items, int64 ``[R]``.
        teachers: one set of targets each; they count equally.
        temperature: see :func:`soft_cross_entropy`.
        weight: the teachers' share, 0 to 1.
        instance_weighting: ``confidence`` weights the soft part by the teacher's probability of the true item,
            scaled so that the weights of a batch have mean one (DLLM2Rec, arXiv 2405.00338).
    """
    hard = F.cross_entropy(logits, targets)
    if weight == 0 or not teachers:
        return hard
    soft = torch.zeros((), device=logits.device)
    for teacher in teachers:
        each = soft_cross_entropy(logits, teacher, temperature)
        if instance_weighting == "confidence":
            confidence = teacher_confidence(teacher, targets, temperature)
            each = each * confidence / confidence.mean().clamp(min=1e-8)
        soft = soft + each.mean() / len(teachers)
    return (1 - weight) * hard + weight * soft
