"""Add items to a bundle: its item table gets new rows, and everything else stays unchanged."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightrec.bundle import Catalogue, Manifest, read_catalogue, read_golden, verify_hashes, write_catalogue
from lightrec.errors import DataError, ParityError
from lightrec.export.edit.changed_bundle import change_models, entry, finish, gate_record, open_models, require_place
from lightrec.export.edit.resize_graph import grow_onnx, grow_openvino
from lightrec.export.edit.resize_table import grow_table
from lightrec.export.golden_cases import answer
from lightrec.files.atomic import new_folder
from lightrec.runtime.backends.base import Backend
from lightrec.verify.compare import compare, score_difference


def add_items(
    bundle: str | Path,
    out: str | Path,
    item_ids: Sequence[str],
    vectors: np.ndarray,
    titles: Sequence[str | None] | None = None,
    source: Mapping[str, Any] | None = None,
) -> Manifest:
    """Write a copy of ``bundle`` that also contains ``item_ids``; return its manifest.

    Every model of the bundle grows in its own precision. Before the copy is moved to ``out``, it must answer the golden
    cases of the old bundle as before (with the new items excluded), and its own new ones.

    Args:
        bundle: the bundle to copy; it is not changed.
        out: the folder to write; a bundle already there is replaced at the end, and only if all went well.
        item_ids: n new ids.
        vectors: float ``[n, d]``, one per id, in the space of the student's item table.
        titles: one per id; they are added if the bundle holds titles.
        source: origin of the vectors, for the manifest.

    Raises:
        ConfigError: if ``out`` exists and is not a bundle.
        DataError: if ids, vectors or titles do not fit the bundle or each other.
        BundleError: if the bundle is damaged, or holds a model whose item table cannot grow.
        ParityError: if the ranking of old items would change. Nothing is written.
    """
    bundle, out = Path(bundle), Path(out)
    require_place(out)
    old = verify_hashes(bundle)
    catalogue = read_catalogue(bundle, old)
    vectors = np.asarray(vectors, dtype=np.float32)
    _check(item_ids, vectors, titles, catalogue)
    if vectors.shape[1] != old.hidden_size:
        raise DataError(f"The vectors are {vectors.shape[1]} wide, not {old.hidden_size} like the student.")
    with new_folder(out) as folder:
        change_models(
            bundle,
            folder,
            old,
            lambda graph: grow_onnx(graph, vectors, old.n_items),
            lambda source, target: grow_openvino(source, target, old.n_items, vectors),
            lambda source, target, files: grow_table(source, target, files, vectors),
        )
        write_catalogue(folder, _extended(catalogue, item_ids, titles))
        manifest = dataclasses.replace(old, n_items=old.n_items + len(item_ids))
        graphs = open_models(folder, manifest)
        gate = _require_old_answers(bundle, graphs, np.arange(old.n_items, manifest.n_items))
        added = entry(len(item_ids), gate=gate, **(source or {}))
        manifest = dataclasses.replace(manifest, additions=(*old.additions, added))
        manifest = finish(folder, manifest, graphs, _weights(old.n_items, len(item_ids)))
    return manifest


def _check(
    item_ids: Sequence[str], vectors: np.ndarray, titles: Sequence[str | None] | None, catalogue: Catalogue
) -> None:
    known: set[str] = set(catalogue.item_ids)
    for row, item in enumerate(item_ids, start=1):
        if item in known:
            there = "in the bundle already" if item in catalogue.item_ids else "among the new items twice"
            raise DataError(f"Item {item!r} (new item {row}) is {there}: leave it out; what is there keeps its vector.")
        known.add(item)
    if not len(item_ids):
        raise DataError("There are no new items: the file of new items has no row.")
    if vectors.ndim != 2 or len(vectors) != len(item_ids):
        raise DataError(f"The vectors have shape {vectors.shape} for {len(item_ids)} new items: give one row for each.")
    if not np.isfinite(vectors).all():
        row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
        raise DataError(f"The vector of item {item_ids[row]!r} (row {row + 1}) holds NaN or infinity: mend it.")
    if titles is not None and len(titles) != len(item_ids):
        raise DataError(f"There are {len(titles)} titles for {len(item_ids)} new items: give one for each.")


def _extended(catalogue: Catalogue, item_ids: Sequence[str], titles: Sequence[str | None] | None) -> Catalogue:
    """Append the new items to the catalogue. They are also last in popularity, because they have no events yet."""
    n_items = len(catalogue.item_ids)
    return Catalogue(
        [*catalogue.item_ids, *item_ids],
        np.concatenate([catalogue.popularity, np.arange(n_items, n_items + len(item_ids))]),
        None if catalogue.titles is None else [*catalogue.titles, *(titles or [None] * len(item_ids))],
    )


def _require_old_answers(bundle: Path, graphs: Sequence[Backend], new: np.ndarray) -> dict[str, Any]:
    """Check that the grown graphs, with the new items excluded, answer the old golden cases; return the gate record.

    Raises :class:`ParityError` if one does not.
    """
    cases, allowed = read_golden(bundle)
    differences: list[float] = []
    for graph in graphs:
        for number, case in enumerate(cases):
            items, scores = answer(graph, case.history, [*case.exclude, *new.tolist()], case.k)
            problem = compare(case, items, scores, allowed)
            if problem:
                raise ParityError(
                    f"With the new items the {graph.name} model answers golden case {number} otherwise than before "
                    f"({problem}): nothing was written; report this as a bug."
                )
            differences.append(score_difference(case, scores))
    return gate_record(differences)


def _weights(n_old: int, n_new: int) -> np.ndarray:
    """Return counts by which golden cases draw items, so that about half of the items in histories are new."""
    return np.concatenate([np.zeros(n_old, dtype=np.int64), np.full(n_new, max(0, n_old // n_new - 1))])
