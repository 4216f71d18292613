"""Groups of cases that are reported separately: by the target's popularity and by the history's length."""

from __future__ import annotations

import numpy as np

from lightrec.data.splits import Cases


def popularity_slices(targets: np.ndarray, train_popularity: np.ndarray) -> dict[str, np.ndarray]:
    """Return the cases whose target is popular, of medium popularity, rare or new.

    Items are ordered by their number of training events, ties by index. An item is ``head``, ``torso`` or ``tail``
    if the items before it have less than a third, less than two thirds or more of all events, so each slice has
    about a third of the interactions. ``cold`` items have no training event.

    Args:
        targets: int ``[C]``.
        train_popularity: int ``[N]``, training events of each item.

    Returns:
        A boolean mask ``[C]`` for each slice, in the order head, torso, tail, cold.
    """
    order = np.argsort(-train_popularity, kind="stable")
    before = np.cumsum(train_popularity[order]) - train_popularity[order]
    total = max(1, int(train_popularity.sum()))
    third = np.empty(len(order), dtype=np.int64)
    third[order] = np.minimum(3 * before // total, 2)
    third[train_popularity == 0] = 3
    return {name: third[targets] == place for place, name in enumerate(("head", "torso", "tail", "cold"))}


def history_slices(cases: Cases) -> dict[str, np.ndarray]:
    """Return the cases with a short, medium and long history: terciles of the number of events in it.

    Cases of equal length stay in one slice, so the three are only about equal in size, and one may be empty.
    """
    lengths = cases.ends - cases.starts
    low, high = np.quantile(lengths, [1 / 3, 2 / 3], method="lower")
    return {"short": lengths <= low, "medium": (lengths > low) & (lengths <= high), "long": lengths > high}
