"""Remove items from a bundle: their rows leave its item table, and the other items are ranked as before.

The remaining items keep their order, but their indices change: to store items across bundles, store ids, as sessions
do. A removed item is unknown afterwards, also in histories. To hide an item but still use it in histories, block it at
call time instead.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightrec.bundle import (
    Catalogue,
    GoldenCase,
    Manifest,
    events_by_rank,
    read_catalogue,
    summarise_events,
    verify_hashes,
    write_catalogue,
)
from lightrec.errors import DataError, ParityError
from lightrec.export.edit.changed_bundle import change_models, entry, finish, gate_record, open_models, require_place
from lightrec.export.edit.resize_graph import shrink_onnx, shrink_openvino
from lightrec.export.edit.resize_table import shrink_table
from lightrec.export.golden_cases import answer, golden_cases, tolerance
from lightrec.files.atomic import new_folder
from lightrec.runtime.backends.base import Backend
from lightrec.verify.compare import compare, score_difference

FEWEST = 2
"""Smallest number of remaining items: one for the history and one to recommend."""


def remove_items(bundle: str | Path, out: str | Path, item_ids: Sequence[str]) -> Manifest:
    """Write a copy of ``bundle`` without ``item_ids``; return its manifest.

    Before the copy is moved to ``out``, each of its models must answer histories of remaining items as the old model
    does with the removed items excluded.

    Args:
        bundle: the bundle to copy; it is not changed.
        out: the folder to write; a bundle already there is replaced at the end, and only if all went well.
        item_ids: ids of the items to remove.

    Raises:
        ConfigError: if ``out`` exists and is not a bundle.
        DataError: if no id is given, an id is not in the bundle, or fewer than two items would remain.
        BundleError: if the bundle is damaged, or holds a model whose item table cannot be rewritten.
        ParityError: if the ranking of remaining items would change. Nothing is written.
    """
    bundle, out = Path(bundle), Path(out)
    require_place(out)
    old = verify_hashes(bundle)
    catalogue = read_catalogue(bundle, old)
    kept = np.setdiff1d(np.arange(old.n_items), _places(catalogue, item_ids, bundle))
    if len(kept) < FEWEST:
        raise DataError(f"Of the {old.n_items} items of {bundle} {len(kept)} would stay: keep at least {FEWEST}.")
    with new_folder(out) as folder:
        change_models(
            bundle,
            folder,
            old,
            lambda graph: shrink_onnx(graph, kept, old.n_items),
            lambda source, target: shrink_openvino(source, target, old.n_items, kept),
            lambda source, target, files: shrink_table(source, target, files, kept),
        )
        write_catalogue(folder, _without(catalogue, kept))
        manifest = dataclasses.replace(
            old,
            n_items=len(kept),
            k_limit=min(old.k_limit, len(kept)),
            item_events=_events_without(old, catalogue, kept),
        )
        graphs = open_models(folder, manifest)
        gate = _require_same_answers(open_models(bundle, old), graphs, manifest, kept, old.n_items)
        removed = entry(old.n_items - len(kept), gate=gate)
        manifest = dataclasses.replace(manifest, removals=(*old.removals, removed))
        manifest = finish(folder, manifest, graphs, np.zeros(len(kept), dtype=np.int64))
    return manifest


def _places(catalogue: Catalogue, item_ids: Sequence[str], bundle: Path) -> list[int]:
    found = catalogue.find(item_ids)
    unknown = [item for item, place in zip(item_ids, found, strict=True) if place is None]
    if unknown:
        raise DataError(f"{bundle} holds no item {unknown[0]!r} ({len(unknown)} such): leave out what is not there.")
    if not found:
        raise DataError("No item to remove is named: give its id.")
    return [place for place in found if place is not None]


def _without(catalogue: Catalogue, kept: np.ndarray) -> Catalogue:
    """Return the catalogue with only the items ``kept``, in their order."""
    places = np.full(len(catalogue.item_ids), -1, dtype=np.int64)
    places[kept] = np.arange(len(kept))
    popularity = places[catalogue.popularity]
    return Catalogue(
        _chosen(catalogue.item_ids, kept),
        popularity[popularity >= 0],
        None if catalogue.titles is None else _chosen(catalogue.titles, kept),
    )


def _events_without(old: Manifest, catalogue: Catalogue, kept: np.ndarray) -> dict[str, int] | None:
    """Estimate the events of the items ``kept``: a manifest records only totals for ranges of ranks."""
    events = events_by_rank(old)
    return None if events is None else summarise_events(events[np.isin(catalogue.popularity, kept)])


def _chosen(values: Sequence, kept: Iterable[int]) -> list:
    return [values[int(place)] for place in kept]


def _require_same_answers(
    old: Sequence[Backend], new: Sequence[Backend], manifest: Manifest, kept: np.ndarray, n_items: int
) -> dict[str, Any]:
    """Check that each new model ranks as the old one with removed items excluded; return the gate record.

    Raises :class:`ParityError` if one does not.
    """
    differences: list[float] = []
    removed = np.setdiff1d(np.arange(n_items), kept).tolist()
    for before, after in zip(old, new, strict=True):
        cases = golden_cases(after, np.zeros(len(kept), dtype=np.int64), manifest.max_length, manifest.k_limit, seed=1)
        allowed = tolerance(cases, after.record.precision, [])
        for case in cases:
            history, exclude, expected = (
                kept[np.array(v, dtype=np.int64)] for v in (case.history, case.exclude, case.items)
            )
            items, scores = answer(before, history.tolist(), [*exclude.tolist(), *removed], case.k)
            same = GoldenCase(history.tolist(), exclude.tolist(), case.k, expected.tolist(), case.scores)
            problem = compare(same, items[items >= 0], scores[items >= 0], allowed)
            if problem:
                raise ParityError(
                    f"Without the removed items the {after.name} model answers otherwise than before ({problem}): "
                    "nothing was written; report this as a bug."
                )
            differences.append(score_difference(same, scores[items >= 0]))
    return gate_record(differences)
