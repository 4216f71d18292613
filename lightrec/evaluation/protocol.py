"""The evaluation protocol: rank the full catalogue for each case, and report the ranks of the true next items.

Every item of the catalogue is ranked (no sampled negatives). Items of the history are left out (``filter_seen``).
Equal scores count against the model. A target that the seen filter hides is a miss, and the share of such targets is
reported.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from lightrec import metrics
from lightrec.data.splits import Cases
from lightrec.errors import ConfigError, DataError, DivergedError, ModelError
from lightrec.evaluation.intervals import Interval, bootstrap_means
from lightrec.evaluation.ranking import Ties, best_items, hide, ranks_in_lists, target_ranks
from lightrec.evaluation.slices import history_slices, popularity_slices

RANK_LIMIT = 100
"""Number of items requested from a :class:`TopKRanker`, unless its own limit is lower: its MRR is MRR@100."""

MOST_SCORES = 32_000_000
"""Most scores in memory at once: large catalogues are evaluated in smaller batches."""


@runtime_checkable
class Scorer(Protocol):
    """A ranker that scores the whole catalogue, such as a torch model or a baseline."""

    n_items: int

    def score(self, histories: Sequence[np.ndarray]) -> np.ndarray:
        """Return the scores float32 ``[B, N]`` of every item as the next one of B whole histories, without masking."""
        ...


@runtime_checkable
class TopKRanker(Protocol):
    """A ranker that returns only its best items, such as an exported bundle.

    ONNX Runtime orders equal scores by lowest index; OpenVINO promises no order among them.
    """

    n_items: int
    k_limit: int

    def top_k(self, histories: Sequence[np.ndarray], k: int, filter_seen: bool) -> np.ndarray:
        """Return the best ``k`` items of B histories, int64 ``[B, k]``, best first, -1 where there are fewer."""
        ...


@dataclasses.dataclass(frozen=True)
class Slice:
    """The metrics of a subset of the cases."""

    cases: int
    """Number of cases."""
    metrics: dict[str, Interval]
    """As in :class:`Evaluation`, without coverage."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The results of an evaluation, for each case and on average."""

    cases: Cases
    """The C cases that were evaluated."""
    ranks: np.ndarray
    """float64 ``[C]``: the rank of each target, infinity for a miss."""
    lists: np.ndarray
    """int64 ``[C, K]``: the best items of each case, K the largest of ``ks``; -1 where there are fewer."""
    hidden: np.ndarray
    """bool ``[C]``: whether the target is in the history and was filtered, which makes it a miss."""
    ks: tuple[int, ...]
    """The list lengths of the metrics."""
    rank_limit: int | None
    """Ranks beyond it are misses; None where the whole catalogue was ranked."""
    filter_seen: bool
    """Whether items of the history were left out."""
    ties: Ties
    """The rule for equal scores."""
    metrics: dict[str, Interval]
    """``hr@10``, ``ndcg@10``, ``mrr`` (``mrr@100`` with a rank limit), ``coverage@10`` and so on."""
    slices: dict[str, dict[str, Slice]]
    """``popularity``: head, torso, tail, cold; ``history``: short, medium, long. Empty slices are left out."""

    def to_json(self) -> dict[str, Any]:
        """Return the results without the individual cases, ready for JSON."""
        hidden = int(self.hidden.sum())
        return {
            "cases": len(self.cases),
            "users": len(np.unique(self.cases.users)),
            "hidden_targets": {"cases": hidden, "share": hidden / len(self.cases)},
            "filter_seen": self.filter_seen,
            "ties": self.ties,
            "rank_limit": self.rank_limit,
            "metrics": _intervals_to_json(self.metrics),
            "slices": {
                kind: {
                    name: {"cases": part.cases, "metrics": _intervals_to_json(part.metrics)}
                    for name, part in parts.items()
                }
                for kind, parts in self.slices.items()
            },
        }


def evaluate(
    ranker: Scorer | TopKRanker,
    cases: Cases,
    *,
    train_popularity: np.ndarray,
    filter_seen: bool = True,
    ks: Sequence[int] = (1, 5, 10, 20),
    ties: Ties | None = None,
    rank_limit: int | None = None,
    batch_size: int = 256,
    bootstrap: int = 1000,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Rank the items for every case with ``ranker`` and measure the ranks of the true next items.

    Args:
        ranker: a :class:`Scorer` or a :class:`TopKRanker`.
        cases: the C cases to evaluate.
        train_popularity: int ``[N]``, training events of each item, which define the popularity slices.
        filter_seen: leave out the items of each history.
        ks: list lengths of HR, NDCG and coverage.
        ties: ``pessimistic`` (default for a Scorer) or ``lowest-index`` (the only rule of a TopKRanker; use it for
            a Scorer that is compared with a TopKRanker).
        rank_limit: ranks beyond it are misses; by default none for a Scorer, and for a TopKRanker
            :data:`RANK_LIMIT` or its own ``k_limit``, whichever is lower.
        batch_size: number of histories scored at once.
        bootstrap: number of resamples for the intervals; 0 computes no intervals, as for early stopping.
        seed: makes the resamples repeatable.
        progress: called after every batch with the number of cases done and C.

    Raises:
        DataError: if there are no cases.
        ConfigError: if the ranker does not support ``ks``, ``ties`` or ``rank_limit``.
        ModelError: if the ranker has another catalogue, or returns NaN or the wrong shape.
    """
    ks = tuple(sorted(set(ks)))
    ties, rank_limit = _agree(ranker, ks, ties, rank_limit)
    _check(ranker, cases, train_popularity)
    answers = []
    for batch in _batches(len(cases), min(batch_size, max(1, MOST_SCORES // ranker.n_items))):
        answers.append(_ask(ranker, cases.take(batch), ks[-1], rank_limit, ties, filter_seen))
        if progress is not None:
            progress(int(batch[-1]) + 1, len(cases))
    ranks = np.concatenate([ranks for ranks, _ in answers])
    lists = np.concatenate([lists for _, lists in answers])

    def summary(mask: np.ndarray) -> dict[str, Interval]:
        columns = case_metrics(ranks[mask], ks, rank_limit)
        intervals = bootstrap_means(np.stack(list(columns.values()), axis=1), cases.users[mask], bootstrap, seed)
        return dict(zip(columns, intervals, strict=True))

    slices = {
        "popularity": popularity_slices(cases.targets, train_popularity),
        "history": history_slices(cases),
    }
    return Evaluation(
        cases=cases,
        ranks=ranks,
        lists=lists,
        hidden=_in_history(cases) if filter_seen else np.zeros(len(cases), dtype=bool),
        ks=ks,
        rank_limit=rank_limit,
        filter_seen=filter_seen,
        ties=ties,
        # Coverage grows with the number of users, so resampling users gives no valid interval for it.
        metrics=summary(np.ones(len(cases), dtype=bool))
        | {f"coverage@{k}": Interval(metrics.coverage(lists[:, :k], ranker.n_items)) for k in ks},
        slices={
            kind: {name: Slice(int(mask.sum()), summary(mask)) for name, mask in masks.items() if mask.any()}
            for kind, masks in slices.items()
        },
    )


def shared_rules(rankers: Sequence[Scorer | TopKRanker]) -> tuple[Ties, int | None]:
    """Return the tie rule and the rank limit under which all of ``rankers`` can be compared.

    If there is a :class:`TopKRanker`, all follow its rules; Scorers alone are ranked without a limit.
    """
    limits = [min(RANK_LIMIT, ranker.k_limit, ranker.n_items) for ranker in rankers if not isinstance(ranker, Scorer)]
    return ("lowest-index", min(limits)) if limits else ("pessimistic", None)


def case_metrics(ranks: np.ndarray, ks: Sequence[int], rank_limit: int | None) -> dict[str, np.ndarray]:
    """Return the metrics of each case, float64 ``[C]``, by the names used in :attr:`Evaluation.metrics`."""
    mrr = "mrr" if rank_limit is None else f"mrr@{rank_limit}"
    return (
        {f"hr@{k}": metrics.hit_rate(ranks, k) for k in ks}
        | {f"ndcg@{k}": metrics.ndcg(ranks, k) for k in ks}
        | {mrr: metrics.reciprocal_rank(ranks, rank_limit)}
    )


def _ask(
    ranker: Scorer | TopKRanker, cases: Cases, k: int, rank_limit: int | None, ties: Ties, filter_seen: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rank of each target, ``[B]``, and the best ``k`` items, ``[B, k]``, of B cases."""
    histories = [cases.history(case) for case in range(len(cases))]
    if isinstance(ranker, Scorer):
        scores = _scores(ranker, histories)
        if filter_seen:
            hide(scores, histories)
        ranks, lists = target_ranks(scores, cases.targets, ties), best_items(scores, k)
    else:
        lists = _lists(ranker, histories, max(k, rank_limit or k), filter_seen)
        ranks, lists = ranks_in_lists(lists, cases.targets), lists[:, :k]
    ranks[ranks > (rank_limit or np.inf)] = np.inf
    return ranks, lists


def _scores(scorer: Scorer, histories: list[np.ndarray]) -> np.ndarray:
    scores = np.array(scorer.score(histories), dtype=np.float32)  # a copy: it is masked later
    if scores.shape != (len(histories), scorer.n_items):
        raise ModelError(
            f"The scorer answered {len(histories)} histories with shape {scores.shape}: it must be "
            f"({len(histories)}, {scorer.n_items}), one score for each item."
        )
    if np.isnan(scores).any():
        raise DivergedError(
            "The scorer returned NaN: the model has diverged; train it again with a lower learning rate."
        )
    return scores


def _lists(ranker: TopKRanker, histories: list[np.ndarray], k: int, filter_seen: bool) -> np.ndarray:
    lists = np.asarray(ranker.top_k(histories, k, filter_seen))
    if lists.shape != (len(histories), k):
        raise ModelError(f"The ranker answered with shape {lists.shape}: it must be ({len(histories)}, {k}).")
    return lists


def _agree(
    ranker: Scorer | TopKRanker, ks: tuple[int, ...], ties: Ties | None, rank_limit: int | None
) -> tuple[Ties, int | None]:
    """Return the tie rule and the rank limit to use; raise ConfigError if the ranker does not support them."""
    if not ks or ks[0] < 1:
        raise ConfigError(f"k is {', '.join(map(str, ks)) or 'missing'}: ask for list lengths of 1 and more.")
    if isinstance(ranker, Scorer):
        return ties or "pessimistic", rank_limit
    if ties == "pessimistic":
        raise ConfigError("A bundle orders equal scores by lowest index: evaluate it with the tie rule lowest-index.")
    limit = rank_limit or min(RANK_LIMIT, ranker.k_limit, ranker.n_items)
    if max(limit, ks[-1]) > ranker.k_limit < ranker.n_items:
        raise ConfigError(f"k is {max(limit, ks[-1])}, but this bundle ranks {ranker.k_limit} items: ask for fewer.")
    return "lowest-index", limit


def _check(ranker: Scorer | TopKRanker, cases: Cases, train_popularity: np.ndarray) -> None:
    if len(cases) == 0:
        raise DataError("There is no case to evaluate: no user of this split has a history and a next item.")
    if ranker.n_items != len(train_popularity):
        raise ModelError(
            f"The model ranks {ranker.n_items} items, the data set has {len(train_popularity)}: "
            "evaluate it on the data that it was made for."
        )


def _batches(n_cases: int, size: int) -> Iterator[np.ndarray]:
    for start in range(0, n_cases, size):
        yield np.arange(start, min(start + size, n_cases))


def _in_history(cases: Cases) -> np.ndarray:
    return np.array([target in cases.history(case) for case, target in enumerate(cases.targets)])


def _intervals_to_json(intervals: dict[str, Interval]) -> dict[str, dict[str, float | None]]:
    return {name: interval.to_json() for name, interval in intervals.items()}
