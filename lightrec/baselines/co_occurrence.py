"""Counts of the users that two items share, for item-kNN and EASE, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lightrec.data.splits import Split

CHUNK = 8_000_000
"""Most co-occurrences, and most cells of the matrix, in memory at once."""


def co_occurrences(split: Split) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the rows of the co-occurrence matrix in order, R at a time: the first row's index and int64 ``[R, N]``.

    Cell (i, j) counts the users who have both items in their training events, (i, i) those who have item i.
    :data:`CHUNK` bounds the memory for every size of catalogue.
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
        # All items of each user of an item in the chunk, each of which is one co-occurrence.
        together = items[_ranges(starts[users[events]], sizes[users[events]])]
        rows = np.repeat(items[events] - first, sizes[users[events]])
        shared = np.bincount(rows * n_items + together, minlength=(last - first) * n_items)
        yield first, shared.reshape(last - first, n_items)


def users_of_items(split: Split) -> np.ndarray:
    """Return int64 ``[N]``: how many users have each item in their training events, the diagonal of the matrix."""
    return np.bincount(_distinct_pairs(split)[1], minlength=split.n_items)


def _distinct_pairs(split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Return the users and items of the training events, int64, sorted, each pair once."""
    users = np.repeat(np.arange(len(split.train_offsets) - 1), np.diff(split.train_offsets))
    pairs = np.unique(users * split.n_items + split.train_items)
    return np.divmod(pairs, split.n_items)


def _row_chunks(work: np.ndarray, n_items: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of items, each with at most :data:`CHUNK` co-occurrences and matrix cells (or one item)."""
    cost = np.cumsum(work + n_items)
    first = 0
    while first < n_items:
        before = cost[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(cost, before + CHUNK, side="right")))
        yield first, last
        first = last


def _ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the numbers ``start, start + 1, ...`` of each range, one range after the other.

    >>> _ranges(np.array([5, 0]), np.array([2, 3]))
    array([5, 6, 0, 1, 2])
    """
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(lengths.sum())
