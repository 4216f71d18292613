"""Summarise in the manifest how popular items are, for benchmarks, and estimate each item's events from it."""

from __future__ import annotations

import numpy as np

from lightrec.bundle.manifest import Manifest
from lightrec.errors import BundleError


def summarise_events(counts: np.ndarray) -> dict[str, int] | None:
    """Summarise the popularity of N items for the manifest: how many events the most popular items have together.

    Args:
        counts: ``[N]``, the training events of each item, in any order.

    Returns:
        The total events of the r most popular items, by r: 1, 2, 4 and so on, and the number of items with any event,
        whose total is all events. None if there is no event.

    >>> summarise_events(np.array([0, 5, 1, 3]))
    {'1': 5, '2': 8, '3': 9}
    """
    ordered = np.sort(counts)[::-1]
    chosen = int((ordered > 0).sum())
    if not chosen:
        return None
    together = np.cumsum(ordered)
    ranks = [*(2**power for power in range((chosen - 1).bit_length())), chosen]
    return {str(rank): round(float(together[rank - 1])) for rank in ranks}


def events_by_rank(manifest: Manifest) -> np.ndarray | None:
    """Estimate the number of training events of each item, float64 ``[N]``, most popular first; it may end in zeros.

    Between two ranks in the manifest's summary, items share the events evenly. None if the manifest has no summary.

    Raises:
        BundleError: if ``item_events`` is not a result of :func:`summarise_events` for N items.
    """
    if manifest.item_events is None:
        return None
    try:
        told = sorted((int(rank), int(together)) for rank, together in manifest.item_events.items())
        points = np.array([(0, 0), *told], dtype=np.float64)
    except (AttributeError, TypeError, ValueError, OverflowError):
        points = np.zeros((1, 2))
    ranks, together = points.T
    rising = len(points) > 1 and (np.diff(ranks) > 0).all() and (np.diff(together) >= 0).all() and together[-1] > 0
    if not rising or ranks[-1] > manifest.n_items:
        raise BundleError(
            f"The manifest's item_events do not tell how many events the most popular of {manifest.n_items} items "
            "share: export again."
        )
    return np.diff(np.interp(np.arange(manifest.n_items + 1), ranks, together))
