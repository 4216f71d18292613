"""Filters of events: sort by time, drop consecutive repeats, and drop users and items with too few events."""

from __future__ import annotations

import numpy as np

from lightrec.data.events import Events
from lightrec.errors import DataError


def sort_events(events: Events) -> Events:
    """Sort by user, then time, then position in the file (numpy's lexsort is stable)."""
    return events.take(np.lexsort((events.key, events.users)))


def filter_events(events: Events, k_core: int, drop_repeats: bool, file: str) -> tuple[Events, dict[str, int]]:
    """Drop repeats and apply the k-core until neither drops anything; also count what was dropped."""
    users, items, read = len(np.unique(events.users)), len(np.unique(events.items)), len(events)
    repeats, before = 0, -1
    while len(events) != before:
        before = len(events)
        if drop_repeats:
            events = events.take(~_repeats(events))
            repeats += before - len(events)
        events = events.take(_frequent(events.users, k_core) & _frequent(events.items, k_core))
    if not len(events):
        raise DataError(
            f"Nothing of {file} is left: no group of its {users:,} users and {items:,} items has {k_core} events "
            f"each ({read:,} interactions read, {repeats:,} of them repeats): give a smaller --k-core."
        )
    return events, {
        "consecutive_repeats": repeats,
        "interactions_by_k_core": read - repeats - len(events),
        "users_by_k_core": users - len(np.unique(events.users)),
        "items_by_k_core": items - len(np.unique(events.items)),
    }


def _repeats(events: Events) -> np.ndarray:
    """Mark the events that have the same user and item as the previous event."""
    same = (events.users[1:] == events.users[:-1]) & (events.items[1:] == events.items[:-1])
    return np.concatenate([[False], same])[: len(events)]


def _frequent(indices: np.ndarray, least: int) -> np.ndarray:
    """Mark the events that belong to a user (or item) with at least ``least`` events."""
    return np.bincount(indices)[indices] >= least
