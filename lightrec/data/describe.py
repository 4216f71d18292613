"""Statistics of a prepared data set."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np

from lightrec.data.dataset import Dataset

QUANTILES = {"min": 0.0, "q25": 0.25, "median": 0.5, "q75": 0.75, "q90": 0.9, "q99": 0.99, "max": 1.0}
EDGES = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)


def describe(dataset: Dataset) -> dict[str, Any]:
    """Return counts, distributions and oddities of a data set, ready for JSON, and the names of its damaged files."""
    lengths = np.diff(dataset.offsets)
    popularity = np.bincount(dataset.items, minlength=dataset.n_items)
    return {
        "name": dataset.name,
        "users": dataset.n_users,
        "items": dataset.n_items,
        "interactions": len(dataset.items),
        "density": len(dataset.items) / max(1, dataset.n_users * dataset.n_items),
        "order_only": dataset.order_only,
        "history_length": distribution(lengths),
        "item_popularity": distribution(popularity)
        | {"gini": gini(popularity), "top_1_percent_share": top_share(popularity, 0.01)},
        "repeats": _repeats(dataset),
        "times": None if dataset.order_only else _times(dataset),
        "text": _text(dataset),
        "checksum": dataset.checksum,
        "damaged_files": dataset.damaged_files(),
        **{key: dataset.description[key] for key in ("source", "options", "dropped") if key in dataset.description},
    }


def distribution(values: np.ndarray) -> dict[str, Any]:
    """Return mean and quantiles of counts, and a histogram: ``[lower edge, count]`` per bin.

    The bins run from the first to the last that is not empty. A bin ends before the next lower edge; the last bin
    has no end.
    """
    if not len(values):
        return {"mean": None, **dict.fromkeys(QUANTILES), "histogram": []}
    points = np.quantile(values, list(QUANTILES.values()), method="lower")
    counts = np.bincount(np.searchsorted(EDGES, values, side="right") - 1, minlength=len(EDGES))
    used = np.flatnonzero(counts)
    return {
        "mean": float(np.mean(values)),
        **{name: int(point) for name, point in zip(QUANTILES, points, strict=True)},
        "histogram": [[EDGES[place], int(counts[place])] for place in range(used[0], used[-1] + 1)],
    }


def gini(counts: np.ndarray) -> float:
    """Return the Gini coefficient of counts: 0 if all are equal, close to 1 if one count holds everything.

    With the counts x sorted upwards, G = sum_i (2 i - n - 1) x_i / (n sum_i x_i) for i = 1..n.

    >>> gini(np.array([5, 5, 5]))
    0.0
    >>> gini(np.array([0, 0, 0, 8]))
    0.75
    """
    n, total = len(counts), int(counts.sum())
    if not total:
        return 0.0
    return float(np.sum((2 * np.arange(1, n + 1) - n - 1) * np.sort(counts)) / (n * total))


def top_share(counts: np.ndarray, share: float) -> float:
    """Return the part of all events that the most frequent ``share`` of the items (at least one) has.

    >>> top_share(np.array([1, 6, 1, 2]), 0.25)
    0.6
    """
    best = max(1, round(share * len(counts)))
    return float(np.sort(counts)[-best:].sum() / max(1, counts.sum()))


def _neighbours(dataset: Dataset) -> np.ndarray:
    """Mark each event, except the first, that has the same user as the previous event."""
    users = np.repeat(np.arange(dataset.n_users), np.diff(dataset.offsets))
    return users[1:] == users[:-1]


def _repeats(dataset: Dataset) -> dict[str, Any]:
    """Count events with the item of the user's previous event, and the share with an item of any earlier event."""
    items = np.asarray(dataset.items)
    users = np.repeat(np.arange(dataset.n_users), np.diff(dataset.offsets))
    pairs = len(np.unique(users * dataset.n_items + items))
    return {
        "consecutive": int(((items[1:] == items[:-1]) & _neighbours(dataset)).sum()),
        "share": 1 - pairs / max(1, len(items)),
    }


def _times(dataset: Dataset) -> dict[str, Any]:
    """Return first and last time, and the share of a user's consecutive events that have the same time."""
    times, neighbours = np.asarray(dataset.timestamps), _neighbours(dataset)
    tied = (times[1:] == times[:-1]) & neighbours
    return {
        "first": _iso(int(times.min())),
        "last": _iso(int(times.max())),
        "tied_share": float(tied.sum() / max(1, neighbours.sum())),
    }


def _iso(seconds: int) -> str:
    """Return a time as ISO 8601, or as the plain number outside the calendar."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return str(seconds)


def _text(dataset: Dataset) -> dict[str, Any]:
    texts = [text for text in dataset.item_texts if text is not None]
    return {
        "coverage": len(texts) / max(1, dataset.n_items),
        "items_without": dataset.n_items - len(texts),
        "distinct": len(set(texts)),
        "mean_words": sum(len(text.split()) for text in texts) / max(1, len(texts)),
        "example": texts[0] if texts else None,
    }
