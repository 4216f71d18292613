"""Choose the histories of a benchmark: real users' or synthetic ones that resemble them, never constant ids."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lightrec.benchmarks.row_types import WorkloadFacts
from lightrec.bundle import Catalogue, Manifest, events_by_rank
from lightrec.data.dataset import Dataset
from lightrec.data.splits import Cases, make_split
from lightrec.errors import BundleError
from lightrec.evaluation.allowed_data import Provenance, check_data, choose_split

MAX_HISTORY = 1_000_000
"""The maximum length of a synthetic history; a manifest with longer ones is wrong."""


@dataclasses.dataclass(frozen=True)
class Workload:
    """The histories that all variants answer."""

    name: str
    """The data set's name, or ``synthetic``."""
    checksum: str | None
    """The data set's checksum; None for synthetic histories."""
    source: str
    """Where the histories come from, in words."""
    histories: list[np.ndarray]
    """Item indices, oldest first, in random order."""
    cases: Cases | None = None
    """The same histories with their true next items; None for synthetic ones."""
    popularity: np.ndarray | None = None
    """int ``[N]``: training events of each item; None for synthetic histories."""

    def to_json(self) -> WorkloadFacts:
        """Return the facts of the workload for rows."""
        lengths = [len(history) for history in self.histories]
        return {
            "name": self.name,
            "checksum": self.checksum,
            "source": self.source,
            "histories": len(lengths),
            "median_length": float(np.median(lengths)),
        }


def real_workload(
    data: str | Path, bundle: str | Path, manifest: Manifest, catalogue: Catalogue, cases: int, seed: int
) -> Workload:
    """Draw up to ``cases`` test cases of the prepared data set that the bundle was made from.

    Raises:
        DataError: if ``data`` is not a prepared data set.
        ModelError: if the bundle was made from other data.
    """
    dataset = Dataset.open(data)
    made_from = Provenance(str(bundle), manifest.training)
    check_data(made_from, dataset, catalogue.item_ids)
    split = make_split(dataset, *choose_split([made_from], None, None))
    drawn = split.test.take(np.random.default_rng(seed).permutation(len(split.test))[:cases])
    return Workload(
        name=dataset.name,
        checksum=dataset.checksum,
        source=f"test users, {split.name}",
        histories=[np.asarray(drawn.history(case), dtype=np.int64) for case in range(len(drawn))],
        cases=drawn,
        popularity=split.popularity(),
    )


def synthetic_workload(manifest: Manifest, catalogue: Catalogue, cases: int, seed: int) -> Workload:
    """Make ``cases`` histories whose items are as popular and whose lengths are distributed as in the manifest.

    Bundles of a format before 2.2 hold the order of popularity but no counts. Their items follow Zipf's law: the
    r-th most popular is drawn in proportion to 1 / r. Without a length distribution, lengths are uniform from 1 to
    the model's maximum.

    Raises:
        BundleError: if the manifest's ``item_events`` are malformed.
    """
    rng = np.random.default_rng(seed)
    if manifest.history_lengths is None:
        lengths, known = rng.integers(1, manifest.max_length + 1, cases), "even from 1 to the model's limit"
    else:
        lengths, known = _lengths(manifest.history_lengths, cases, rng), "distributed as in the manifest"
    events = events_by_rank(manifest)
    if events is None:
        events, law = 1 / np.arange(1, manifest.n_items + 1), "by Zipf's law over the bundle's popularity order"
    else:
        law = "by their training events, as the bundle's manifest tells them"
    shares = np.cumsum(events)
    places = np.searchsorted(shares, rng.random(int(lengths.sum())) * shares[-1])
    items = catalogue.popularity[places].astype(np.int64)
    return Workload(
        name="synthetic",
        checksum=None,
        source=f"made up: items {law}, lengths {known}",
        histories=np.split(items, np.cumsum(lengths)[:-1]),
    )


def _lengths(distribution: Mapping[str, Any], cases: int, rng: np.random.Generator) -> np.ndarray:
    """Draw lengths from quantiles ``{"p0": ..., "p50": ..., ...}``, interpolated linearly."""
    try:
        points = sorted((float(name[1:]), float(value)) for name, value in distribution.items() if name[:1] == "p")
        percents, values = np.array(points, dtype=np.float64).T
    except (TypeError, ValueError):
        percents = values = np.full(1, np.nan)
    if not (np.isfinite(percents).all() and (values >= 0).all() and (values <= MAX_HISTORY).all()):
        raise BundleError(
            f"The manifest's history_lengths are not quantiles such as p50, from 0 to {MAX_HISTORY:,} items: "
            "export the bundle again."
        )
    drawn = np.interp(100 * rng.random(cases), percents, values)
    return np.maximum(1, np.rint(drawn)).astype(np.int64)
