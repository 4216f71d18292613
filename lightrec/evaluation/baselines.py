"""Baselines without gradient descent; every one is a Scorer and learns from the training events alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from lightrec.data.dataset import Dataset
from lightrec.data.splits import Split
from lightrec.errors import ConfigError, DataError
from lightrec.evaluation.protocol import Scorer

BASELINES = ("popularity", "recent-popularity", "item-knn")
"""The names that :func:`make_baseline` knows."""

CHUNK = 8_000_000
"""Most co-occurrences, and most cells of the similarity matrix, held at once."""


def make_baseline(name: str, dataset: Dataset, split: Split) -> Scorer:
    """The baseline ``name``, fitted to the training events of ``split``.

    Raises:
        ConfigError: if the name is not one of :data:`BASELINES`.
        DataError: for recent popularity on data whose times are only positions.
    """
    if name == "popularity":
        return Popularity(split)
    if name == "item-knn":
        return ItemKnn(split)
    if name != "recent-popularity":
        raise ConfigError(f"There is no baseline {name!r}: choose one of {', '.join(BASELINES)}.")
    if dataset.order_only:
        raise DataError(
            f"{dataset.name} is marked order-only: its times are positions in a user's history, so no event is "
            "known to be recent. Use the baseline popularity."
        )
    return RecentPopularity(split)


class Popularity:
    """Every user is shown the items with the most training events."""

    def __init__(self, split: Split):
        self.n_items = split.n_items
        self._scores = split.popularity().astype(np.float32)

    def score(self, histories: Sequence[np.ndarray]) -> np.ndarray:
        """The same scores for every history: float32 ``[B, N]``, a read-only view."""
        return np.broadcast_to(self._scores, (len(histories), self.n_items))


class RecentPopularity(Popularity):
    """Every user is shown the items with the most events in the last stretch of the training time.

    Args:
        split: its training events must carry times, not positions.
        window: the stretch, as a share of the time between the first and the last training event.
            Items level there are ordered by their events in the whole time.
    """

    def __init__(self, split: Split, window: float = 0.2):
        super().__init__(split)
        times = split.train_timestamps
        recent = times >= times.max() - window * (times.max() - times.min())
        counts = np.bincount(split.train_items[recent], minlength=split.n_items)
        self._scores = (counts + self._scores / (self._scores.sum() + 1)).astype(np.float32)


class ItemKnn:
    """Items that share users with the items of the history (Sarwar et al., WWW 2001), recent ones counting more.

    The similarity of items i and j is the cosine of their columns in the binary user-item matrix, damped where
    few users vouch for it: ``c_ij / (sqrt(n_i n_j) + shrinkage)``, with c_ij users who have both. An item's
    score is the sum of its similarities to the items of the history, the last one weighted 1, the one before it
    ``decay``, then ``decay ** 2``, and so on. Items without a neighbour in the history follow by popularity.

    The defaults were chosen on the leave-one-out validation users of ML-100K, ML-1M and Amazon Beauty together: each
    is within a tenth of its own best NDCG@10, and ``decay`` matters most (1 gives less than two thirds on ML-100K).

    Args:
        split: its training events are counted.
        neighbours: how many of its most similar items each item votes for.
        shrinkage: damping, in users.
        decay: weight of each event relative to the next, at most 1; 1 forgets the order.
    """

    def __init__(self, split: Split, neighbours: int = 100, shrinkage: float = 10.0, decay: float = 0.5):
        self.n_items = split.n_items
        self.decay = decay
        popularity = split.popularity()
        self._fallback = popularity / (popularity.sum() + 1) - 1  # below every similarity
        width = min(neighbours, split.n_items)
        self._neighbours = np.empty((split.n_items, width), dtype=np.int64)
        self._similarities = np.empty((split.n_items, width), dtype=np.float32)
        for first, similar in _similarities(split, shrinkage):
            rows = slice(first, first + len(similar))
            best = np.argpartition(similar, self.n_items - width, axis=1)[:, self.n_items - width :]
            self._neighbours[rows] = best
            self._similarities[rows] = np.take_along_axis(similar, best, axis=1)

    def score(self, histories: Sequence[np.ndarray]) -> np.ndarray:
        """See :meth:`lightrec.evaluation.protocol.Scorer.score`."""
        return np.stack([self._score(history) for history in histories])

    def _score(self, history: np.ndarray) -> np.ndarray:
        weights = self.decay ** np.arange(len(history))[::-1]
        votes = weights[:, None] * self._similarities[history]
        scores = np.bincount(self._neighbours[history].ravel(), weights=votes.ravel(), minlength=self.n_items)
        return np.where(scores > 0, scores, self._fallback).astype(np.float32)


def _similarities(split: Split, shrinkage: float) -> Iterator[tuple[int, np.ndarray]]:
    """The rows of the similarity matrix in order, some at a time: the first row's index and float32 ``[R, N]``.

    Each row's own item has similarity 0. Memory stays bounded by :data:`CHUNK`, whatever the catalogue.
    """
    n_items = split.n_items
    users, items = _distinct_pairs(split)
    sizes = np.bincount(users, minlength=len(split.train_offsets) - 1)
    starts = np.cumsum(sizes) - sizes
    counts = np.bincount(items, minlength=n_items)
    by_item = np.argsort(items, kind="stable")
    ends = np.cumsum(counts)
    for first, last in _row_chunks(np.bincount(items, weights=sizes[users], minlength=n_items), n_items):
        events = by_item[ends[first] - counts[first] : ends[last - 1]]
        # For each user of an item of the chunk, all items of that user: one co-occurrence each.
        together = items[_ranges(starts[users[events]], sizes[users[events]])]
        rows = np.repeat(items[events] - first, sizes[users[events]])
        shared = np.bincount(rows * n_items + together, minlength=(last - first) * n_items)
        scale = np.sqrt(np.outer(counts[first:last], counts)) + max(shrinkage, 1e-9)
        similar = (shared.reshape(last - first, n_items) / scale).astype(np.float32)
        similar[np.arange(last - first), np.arange(first, last)] = 0
        yield first, similar


def _distinct_pairs(split: Split) -> tuple[np.ndarray, np.ndarray]:
    """The users and items of the training events, int64, sorted, each pair once."""
    users = np.repeat(np.arange(len(split.train_offsets) - 1), np.diff(split.train_offsets))
    pairs = np.unique(users * split.n_items + split.train_items)
    return np.divmod(pairs, split.n_items)


def _row_chunks(work: np.ndarray, n_items: int) -> Iterator[tuple[int, int]]:
    """Ranges of items, each with at most :data:`CHUNK` co-occurrences and matrix cells (or one item)."""
    cost = np.cumsum(work + n_items)
    first = 0
    while first < n_items:
        before = cost[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(cost, before + CHUNK, side="right")))
        yield first, last
        first = last


def _ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The numbers ``start, start + 1, ...`` of each range, one range after the other.

    >>> _ranges(np.array([5, 0]), np.array([2, 3]))
    array([5, 6, 0, 1, 2])
    """
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(lengths.sum())
