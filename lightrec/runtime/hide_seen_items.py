"""Hide what a request must not return: seen items, excluded items, and everything outside the candidates.

The inference graph hides the items in its inputs ``history`` and ``exclude``. These functions choose ``exclude``, and
the candidates that remain where the graph for few candidates answers instead.
"""

from __future__ import annotations

import numpy as np

from lightrec.runtime.requests import NO_ITEMS, Request


def items_to_exclude(request: Request, window: int, n_items: int) -> np.ndarray:
    """Return the items int64 to hide besides the last ``window`` items of the history, which the graph hides itself."""
    if len(request.history) <= window and request.candidates is None:
        return request.exclude
    hidden = [request.history[:-window], request.exclude]
    if request.candidates is not None:
        others = np.ones(n_items, dtype=bool)
        others[request.candidates] = False
        hidden.append(np.flatnonzero(others))
    hidden = [items for items in hidden if len(items)]
    return np.concatenate(hidden) if len(hidden) > 1 else hidden[0] if hidden else NO_ITEMS


def remaining_candidates(request: Request) -> np.ndarray:
    """Return the candidates of a request, sorted, without its seen and excluded items."""
    assert request.candidates is not None
    return np.setdiff1d(request.candidates, np.concatenate([request.history, request.exclude]))
