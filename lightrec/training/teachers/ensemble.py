"""Ensemble of several teachers: a log-linear pool whose weights are fitted on validation cases.

The pool's logits are the weighted sum of its members' log-probabilities (a product of experts). The weights are at
least 0 and need not sum to 1, so they also set how sharp the pool's distribution is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lightrec import metrics
from lightrec.data.splits import Cases
from lightrec.errors import ModelError
from lightrec.evaluation.protocol import Scorer
from lightrec.evaluation.ranking import hide, target_ranks
from lightrec.training.teachers.output_cache import OutputsPlan, Voice

MOST_SCORES = 100_000_000
"""Most scores of all members together that a fit has in memory (two bytes each); if there are more, cases are drawn."""

BATCH = 256
"""Number of cases scored at once."""


class Pool:
    """A :class:`~lightrec.training.teachers.output_cache.Voice` that pools several teachers.

    Args:
        voices: the members.
        weights: one per member.
    """

    def __init__(self, voices: Sequence[Voice], weights: Sequence[float]):
        self.members = list(zip(voices, weights, strict=True))

    def answer(self, plan: OutputsPlan, chosen: np.ndarray, pattern: np.ndarray | None) -> Callable[[slice], Tensor]:
        """See :class:`~lightrec.training.teachers.output_cache.Voice`."""
        answers = [(voice.answer(plan, chosen, pattern), weight) for voice, weight in self.members]
        return lambda part: pool([answer(part) for answer, _ in answers], [weight for _, weight in answers])


class EnsembleScorer:
    """A :class:`~lightrec.evaluation.protocol.Scorer` that pools several scorers.

    Args:
        scorers: the members, whose scores are used as logits.
        weights: one per member.
    """

    def __init__(self, scorers: Sequence[Scorer], weights: Sequence[float]):
        self.scorers = list(scorers)
        self.weights = list(weights)
        self.n_items = self.scorers[0].n_items

    def score(self, histories: Sequence[np.ndarray]) -> np.ndarray:
        """Return the pool's scores float32 ``[B, N]`` of every item as the next one, without masking."""
        return pool([_tensor(scorer, histories) for scorer in self.scorers], self.weights).numpy()


def pool(logits: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Return the weighted sum of the log-probabilities (log-softmax) of each of ``logits [R, N]``."""
    parts = (weight * F.log_softmax(one.float(), dim=-1) for one, weight in zip(logits, weights, strict=True))
    return torch.stack(list(parts)).sum(dim=0)


@dataclasses.dataclass(frozen=True)
class PoolFit:
    """The weights of a pool, and their results on cases that they were not fitted to."""

    weights: tuple[float, ...]
    """One per member; fitted weights are rounded to three decimals."""
    fitted_cases: int
    """Number of validation cases that the weights were fitted to."""
    checked_cases: int
    """Number of other validation cases, on which ``ensemble`` and ``members`` are measured."""
    ensemble: float
    """NDCG@10 of the pool."""
    members: tuple[float, ...]
    """NDCG@10 of each member alone."""

    def to_json(self) -> dict[str, Any]:
        """Return the fields, ready for JSON."""
        return dataclasses.asdict(self) | {"weights": list(self.weights), "members": list(self.members)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> PoolFit:
        """Return the fit from the output of :meth:`to_json`."""
        return cls(**values | {"weights": tuple(values["weights"]), "members": tuple(values["members"])})


def fit_pool(
    scorers: Sequence[Scorer],
    cases: Cases,
    *,
    weights: Sequence[float] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> PoolFit:
    """Fit the weights of a pool by maximum likelihood of the true next items, with seen items left out.

    The problem is convex. Every other case is used for the fit and the rest for the check. Cases whose target is in
    the history are left out, because no ranker could find it. The outcome does not depend on any seed.

    Args:
        scorers: the members.
        cases: validation cases.
        weights: if given, these weights are only checked, not fitted.
        on_progress: called with (cases done, all cases) while the members score.

    Raises:
        ModelError: if fewer than two cases remain.
    """
    cases = cases.take(np.array([cases.targets[case] not in cases.history(case) for case in range(len(cases))]))
    if len(cases) < 2:
        raise ModelError(f"{len(cases)} validation cases are too few to weigh teachers by: give --teacher-weights.")
    most = max(2, MOST_SCORES // (len(scorers) * scorers[0].n_items))
    if len(cases) > most:
        cases = cases.take(np.sort(np.random.default_rng(0).choice(len(cases), most, replace=False)))
    scored = _log_probabilities(scorers, cases, on_progress)
    targets = torch.from_numpy(cases.targets)
    fitted = np.arange(len(cases)) % 2 == 0
    if weights is None:
        found = _most_likely(scored[:, fitted], targets[fitted])
        weights = [round(float(weight), 3) for weight in found]
    checked = scored[:, ~fitted]
    own = np.eye(len(scorers))
    return PoolFit(
        weights=tuple(weights),
        fitted_cases=int(fitted.sum()),
        checked_cases=int((~fitted).sum()),
        ensemble=_ndcg(checked, targets[~fitted], weights),
        members=tuple(_ndcg(checked, targets[~fitted], row) for row in own),
    )


def _log_probabilities(
    scorers: Sequence[Scorer], cases: Cases, on_progress: Callable[[int, int], None] | None
) -> Tensor:
    """Return log-probabilities float16 ``[members, C, N]``; items of a case's history have the lowest value."""
    result = torch.empty((len(scorers), len(cases), scorers[0].n_items), dtype=torch.float16)
    for first in range(0, len(cases), BATCH):
        part = slice(first, min(first + BATCH, len(cases)))
        histories = [cases.history(case) for case in range(part.start, part.stop)]
        for member, scorer in enumerate(scorers):
            scores = _tensor(scorer, histories)
            hide(scores.numpy(), histories)
            result[member, part] = F.log_softmax(scores, dim=-1).clamp(min=-1e4).half()
        if on_progress:
            on_progress(part.stop, len(cases))
    return result


def _most_likely(scored: Tensor, targets: Tensor) -> Tensor:
    """Return the weights ``[members]`` that make the targets most likely, by L-BFGS on their logarithms."""
    logarithms = torch.full((len(scored),), -float(np.log(len(scored))), requires_grad=True)
    optimizer = torch.optim.LBFGS([logarithms], max_iter=25, tolerance_change=1e-6, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        total = torch.zeros(())
        for part, log_probabilities in _parts(scored):
            pooled = torch.tensordot(logarithms.clamp(-7, 7).exp(), log_probabilities, dims=1)
            each = F.cross_entropy(pooled, targets[part], reduction="sum") / len(targets)
            each.backward()
            total += each.detach()
        return total

    optimizer.step(loss)
    return logarithms.detach().clamp(-7, 7).exp()


def _ndcg(scored: Tensor, targets: Tensor, weights: Sequence[float] | np.ndarray) -> float:
    ranks = []
    for part, log_probabilities in _parts(scored):
        pooled = torch.tensordot(torch.as_tensor(weights, dtype=torch.float32), log_probabilities, dims=1)
        ranks.append(target_ranks(pooled.numpy(), targets[part].numpy()))
    return float(metrics.ndcg(np.concatenate(ranks), 10).mean())


def _parts(scored: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield the cases in batches, float32 ``[members, batch, N]``."""
    for first in range(0, scored.shape[1], BATCH):
        part = slice(first, first + BATCH)
        yield part, scored[:, part].float()


def _tensor(scorer: Scorer, histories: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.array(scorer.score(histories), dtype=np.float32))
