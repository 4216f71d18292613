"""Items held out of training entirely, to measure how a model ranks items that it never saw."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from lightrec.data.dataset import Dataset
from lightrec.data.splits import Cases, Split
from lightrec.errors import DataError


def draw_items(dataset: Dataset, share: float, seed: int) -> np.ndarray:
    """Draw ``share`` of the items that have a text, uniformly at random: bool ``[N]``.

    Raises:
        DataError: if the share is not 0 but rounds to no item.
    """
    described = np.flatnonzero([bool(text) for text in dataset.item_texts])
    count = round(share * len(described))
    if share and not count:
        raise DataError(
            f"{share:.1%} of the {len(described)} items of {dataset.name} that have a text are none: "
            "give a larger --hold-out-items, or prepare the data with --items."
        )
    held = np.zeros(dataset.n_items, dtype=bool)
    held[np.random.default_rng(seed).choice(described, count, replace=False)] = True
    return held


def held_out_items(dataset: Dataset, record: Mapping[str, Any]) -> np.ndarray:
    """Return the items that a run held out of its training, from its run.json: bool ``[N]``."""
    return draw_items(dataset, record.get("config", {}).get("hold_out_items", 0.0), record.get("seed", 0))


def without_items(split: Split, held: np.ndarray) -> Split:
    """Return ``split`` without any event of the items ``held`` (bool ``[N]``).

    They are removed from the training events and from the histories; cases whose target is one of them, or whose
    history becomes empty, are left out. Item indices do not change.
    """
    if not held.any():
        return split
    kept = ~held[split.train_items]
    return dataclasses.replace(
        split,
        train_items=split.train_items[kept],
        train_offsets=_places(kept)[split.train_offsets],
        train_timestamps=split.train_timestamps[kept],
        validation=_without(split.validation, held),
        test=_without(split.test, held),
    )


def _without(cases: Cases, held: np.ndarray) -> Cases:
    kept = ~held[cases.items]
    places = _places(kept)
    left = Cases(
        items=np.asarray(cases.items)[kept],
        users=cases.users,
        starts=places[cases.starts],
        ends=places[cases.ends],
        targets=cases.targets,
    )
    return left.take(~held[left.targets] & (left.ends > left.starts))


def _places(kept: np.ndarray) -> np.ndarray:
    """Map each event's position, and the end, to its position among the retained events: int64 ``[M + 1]``."""
    return np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
