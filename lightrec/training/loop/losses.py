"""Losses over the whole catalogue: cross-entropy with the true items and with a teacher's distribution.

The scores of a batch for every item are the largest array in training: [R, N] numbers, far more than fit in a cache.
They are never stored as a whole. For one small chunk of rows at a time, scores are turned into probabilities and then
into gradients, and only the gradients by states and item vectors remain.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

CHUNK_BYTES = {"cpu": 4 << 20, "cuda": 256 << 20}
"""Bytes of one chunk of scores: about a CPU's cache, or enough to fill a GPU."""


class TeacherTargets(NamedTuple):
    """A teacher's outputs at R positions.

    They are either full logits (``items`` None), ``logits [R, N]``, or the top K: ``logits [R, K]`` of ``items
    [R, K]``, and ``rest [R]``, the log of the summed exponentials of all other logits, each divided by the temperature.
    A row whose logits are all minus infinity has no teacher and is learnt from the true item alone.
    """

    logits: Tensor
    items: Tensor | None = None
    rest: Tensor | None = None

    def rows(self, part: slice) -> TeacherTargets:
        """Return the targets of the rows in ``part``."""
        return TeacherTargets(*(None if field is None else field[part] for field in self))  # type: ignore[arg-type]


class Distillation(NamedTuple):
    """The way a teacher enters the loss; see :class:`~lightrec.settings.DistillSettings`."""

    weight: float
    """The teacher's share, 0 to 1."""
    temperature: float = 1.0
    """Temperature of both teacher and student."""
    by_confidence: bool = False
    """Weight each row by the teacher's probability of the true item, scaled to mean one over the batch (DLLM2Rec,
    arXiv 2405.00338)."""


def catalogue_loss(
    states: Tensor,
    table: Tensor,
    targets: Tensor,
    *,
    bias: Tensor | None = None,
    correction: Tensor | None = None,
    teacher: TeacherTargets | None = None,
    distillation: Distillation | None = None,
) -> Tensor:
    """Return the row mean of (1 - w) x cross-entropy with the true item + w x soft cross-entropy with the teacher.

    The soft cross-entropy is taken between distributions softened by the temperature t, and multiplied by t squared,
    so that the gradient's size does not depend on t (Hinton et al., arXiv 1503.02531, section 2). It differs from
    the Kullback-Leibler divergence by the teacher's entropy, which has no gradient. With top-K targets the items
    outside the K count as one: their total mass is compared, not their order.

    Under autocast, or with states of lower precision, the products are computed in that precision; probabilities, the
    loss and the sums that become the gradients of ``table`` and ``bias`` stay in float32.

    Args:
        states: ``[R, d]``.
        table: item vectors ``[N, d]``; the scores are ``states @ table.T + bias``.
        targets: the true items, int64 ``[R]``.
        bias: ``[N]`` or None.
        correction: ``[N]`` or None: added to the softened scores of both student and teacher, if the items are a sample
            of the catalogue (:func:`sample_candidates`).
        teacher: targets for the same rows, or None.
        distillation: the teacher's weight and temperature; if None, the teacher is ignored.
    """
    if distillation is None or teacher is None or distillation.weight == 0:
        teacher, distillation = None, None
    return _CatalogueLoss.apply(states, table, bias, correction, targets, teacher, distillation)


def sample_candidates(
    n_items: int, negatives: int, targets: Tensor, teacher: TeacherTargets | None = None
) -> tuple[Tensor, Tensor]:
    """Return candidates for a softmax over a part of a large catalogue, with their logQ correction.

    The true items of the batch (and a teacher's top items) are always included; ``negatives`` further items are drawn
    uniformly without replacement and shared by all rows. Adding the correction to the scores makes the sum of
    exponentials over the candidates an unbiased estimate of that over the catalogue (Horvitz-Thompson; the logQ
    correction of Bengio and Senecal 2008).

    Returns:
        ``candidates`` int64 ``[C]``, ascending, and ``correction`` float ``[C]``: minus the logarithm of each one's
        probability of being drawn.
    """
    certain = (
        targets if teacher is None or teacher.items is None else torch.cat([targets, teacher.items.long().ravel()])
    )
    certain = torch.unique(certain)
    others = n_items - len(certain)
    if negatives >= others:
        return torch.arange(n_items, device=targets.device), torch.zeros(n_items, device=targets.device)
    ranks = _draw_distinct(others, negatives, targets.device)
    # The r-th item that is not certain is r plus the number of certain items at or before it.
    gaps = certain - torch.arange(len(certain), device=targets.device)
    drawn = ranks + torch.searchsorted(gaps, ranks, right=True)
    candidates, order = torch.sort(torch.cat([certain, drawn]))
    correction = torch.zeros(len(candidates), device=targets.device)
    correction[len(certain) :] = torch.log(torch.tensor(others / negatives))
    return candidates, correction[order]


def sampled_catalogue_loss(
    states: Tensor,
    table: Tensor,
    targets: Tensor,
    negatives: int,
    *,
    bias: Tensor | None = None,
    teacher: TeacherTargets | None = None,
    distillation: Distillation | None = None,
) -> Tensor:
    """Return :func:`catalogue_loss` over the candidates of :func:`sample_candidates`, not over the whole catalogue."""
    candidates, correction = sample_candidates(len(table), negatives, targets, teacher)
    if teacher is not None:
        if teacher.items is None:
            teacher = TeacherTargets(teacher.logits[:, candidates])
        else:
            teacher = teacher._replace(items=torch.searchsorted(candidates, teacher.items.long()))
    return catalogue_loss(
        states,
        table[candidates],
        torch.searchsorted(candidates, targets),
        bias=None if bias is None else bias[candidates],
        correction=correction,
        teacher=teacher,
        distillation=distillation,
    )


class _CatalogueLoss(torch.autograd.Function):
    """Autograd function that computes loss and gradients in one pass over chunks of rows."""

    @staticmethod
    def forward(ctx: Any, states, table, bias, correction, targets, teacher, distillation):  # type: ignore[override]
        dtype = _product_type(states)
        with torch.autocast(states.device.type, enabled=False):
            total, grad_states, *others = _CatalogueLoss._all_rows(
                states.to(dtype), table, bias, correction, targets, teacher, distillation
            )
        ctx.gradients = (grad_states.to(states.dtype), *others)
        return total

    @staticmethod
    def _all_rows(states, table, bias, correction, targets, teacher, distillation):
        """Return the loss and its gradients by states, table and bias; products are computed in the states' dtype."""
        rows, n_items = len(states), len(table)
        items = table.to(states.dtype)
        step = max(16, CHUNK_BYTES.get(states.device.type, 64 << 20) // (4 * n_items))
        hard, soft = _row_weights(targets, teacher, distillation)
        grad_states, grad_table = torch.empty_like(states), torch.zeros_like(table)
        grad_bias = None if bias is None else torch.zeros_like(bias)
        # All chunks reuse one buffer: a new allocation costs more than a product.
        buffer = states.new_empty(min(step, rows), n_items)
        wide = buffer if buffer.dtype == torch.float32 else buffer.new_empty(buffer.shape, dtype=torch.float32)
        total = states.new_zeros((), dtype=torch.float32)
        for first in range(0, rows, step):
            part = slice(first, min(first + step, rows))
            x = states[part]
            product = torch.mm(x, items.T, out=buffer[: len(x)])
            scores = product if wide is buffer else wide[: len(x)].copy_(product)
            if bias is not None:
                scores += bias
            answer = None if teacher is None else teacher.rows(part)
            temperature = 1.0 if distillation is None else distillation.temperature
            if answer is None:
                loss, gradient = _cross_entropy_and_gradient(scores, targets[part], correction)
            else:
                loss, gradient = _loss_and_gradient(
                    scores, targets[part], correction, answer, hard[part], soft[part], temperature
                )
            total += loss
            if grad_bias is not None:
                grad_bias += gradient.sum(0)
            if wide is not buffer:
                gradient = product.copy_(gradient)
            torch.mm(gradient, items, out=grad_states[part])
            if grad_table.dtype == gradient.dtype:
                grad_table.addmm_(gradient.T, x)
            else:
                grad_table += gradient.T @ x
        for sums in (total, grad_states, grad_table, *(() if grad_bias is None else (grad_bias,))):
            sums /= rows
        return total, grad_states, grad_table, grad_bias

    @staticmethod
    def backward(ctx: Any, upstream: Tensor):  # type: ignore[override]
        found = tuple(None if g is None else g.mul_(upstream.to(g.dtype)) for g in ctx.gradients)
        del ctx.gradients
        return (*found, None, None, None, None)


def _product_type(states: Tensor) -> torch.dtype:
    kind = states.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else states.dtype


def _row_weights(
    targets: Tensor, teacher: TeacherTargets | None, distillation: Distillation | None
) -> tuple[Tensor, Tensor]:
    """Return the weights ``[R]`` of the true item and of the teacher; the latter is 0 in a row without a teacher."""
    hard = torch.ones(len(targets), device=targets.device)
    if teacher is None or distillation is None:
        return hard, torch.zeros_like(hard)
    answered = _answered(teacher)
    soft = answered.float() * distillation.weight
    hard = hard - soft
    if distillation.by_confidence:
        confidence = _confidence(teacher, targets, distillation.temperature)
        soft = soft * confidence / confidence.mean().clamp(min=1e-8)
    return hard, soft


def _answered(teacher: TeacherTargets) -> Tensor:
    return torch.isfinite(teacher.logits.amax(dim=1))


def _cross_entropy_and_gradient(scores: Tensor, targets: Tensor, correction: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the summed cross-entropy of a chunk with the true items, and its gradient ``[r, N]``.

    The gradient overwrites the scores on a CPU.
    """
    if correction is not None:
        scores += correction
    # In place on a CPU, where a second array would push the first one out of the cache.
    q = torch.softmax(scores, dim=1, out=scores if scores.device.type == "cpu" else None)
    places = torch.arange(len(targets), device=targets.device)
    loss = -_log(q[places, targets]).sum()
    q[places, targets] -= 1
    return loss, q


def _loss_and_gradient(
    scores: Tensor,
    targets: Tensor,
    correction: Tensor | None,
    teacher: TeacherTargets,
    hard: Tensor,
    soft: Tensor,
    temperature: float,
) -> tuple[Tensor, Tensor]:
    """Return the summed weighted loss of a chunk with true items and teacher, and its gradient ``[r, N]`` by scores."""
    places = torch.arange(len(targets), device=targets.device)
    q = torch.softmax(scores if correction is None else scores + correction, dim=1)
    loss = -(hard * _log(q[places, targets])).sum()
    softened = q
    if temperature != 1:
        softened = scores / temperature if correction is None else scores / temperature + correction
        softened = torch.softmax(softened, dim=1)
    soft = soft * temperature**2
    if teacher.items is None:
        normaliser = scores[places, targets] / temperature - _log(softened[places, targets])
        if correction is not None:
            normaliser = normaliser + correction[targets]
        p = _teacher_probabilities(teacher, temperature, correction)
        loss = loss + (soft * (normaliser - torch.linalg.vecdot(p, scores) / temperature)).sum()
        pull = (softened - p).mul_(soft[:, None] / temperature)
    else:
        each, pull = _top_loss_and_pull(softened, teacher, soft / temperature, temperature)
        loss = loss + (soft * each).sum()
    gradient = pull.addcmul_(q, hard[:, None])
    gradient[places, targets] -= hard
    return loss, gradient


def _top_loss_and_pull(q: Tensor, teacher: TeacherTargets, weight: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return the soft cross-entropy ``[r]`` with top-K targets and its weighted gradient ``[r, N]``.

    All other items count as one. The gradient is by the softened scores. With P the teacher's mass on its top K, m the
    student's mass there and p the rest, it is q (P - p m/(1-m)), and q - p_k on the K items.
    """
    assert teacher.items is not None
    items = teacher.items.long()
    p = _teacher_probabilities(teacher, temperature)
    top, rest = p[:, :-1], p[:, -1:]
    q_top = q.gather(1, items)
    mass = q_top.sum(dim=1, keepdim=True).clamp(max=1 - 1e-6)
    each = -(top * _log(q_top)).sum(dim=1) - (rest * torch.log1p(-mass)).squeeze(1)
    pull = q * (weight[:, None] * (1 - rest - rest * mass / (1 - mass)))
    pull.scatter_(1, items, (q_top - top) * weight[:, None])
    return each, pull


def _teacher_probabilities(teacher: TeacherTargets, temperature: float, correction: Tensor | None = None) -> Tensor:
    """Return softened probabilities: ``[R, N]``, or ``[R, K + 1]`` with the rest last; zeros without a teacher."""
    logits = teacher.logits.float() / temperature
    if teacher.items is not None:
        assert teacher.rest is not None
        logits = torch.cat([logits, teacher.rest.float()[:, None]], dim=1)
    elif correction is not None:
        logits = logits + correction
    return torch.softmax(logits, dim=1).nan_to_num_(0.0)


def _confidence(teacher: TeacherTargets, targets: Tensor, temperature: float) -> Tensor:
    """Return the teacher's softened probability ``[R]`` of the true item; 0 if it is not in the top K."""
    p = _teacher_probabilities(teacher, temperature)
    if teacher.items is None:
        return p.gather(1, targets[:, None]).squeeze(1)
    return (p[:, :-1] * (teacher.items == targets[:, None])).sum(dim=1)


def _log(probability: Tensor) -> Tensor:
    return probability.clamp(min=1e-38).log()


def _draw_distinct(population: int, count: int, device: torch.device) -> Tensor:
    """Draw ``count`` distinct integers below ``population`` uniformly, without permuting a large population."""
    if population <= 16 * count:
        return torch.randperm(population, device=device)[:count]
    drawn = torch.unique(torch.randint(population, (count + count // 8 + 16,), device=device))
    while len(drawn) < count:
        drawn = torch.unique(torch.cat([drawn, torch.randint(population, (count,), device=device)]))
    return drawn[torch.randperm(len(drawn), device=device)[:count]]
