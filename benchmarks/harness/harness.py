"""Start the workers of a run, with the request files that they share."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightrec.benchmarks.agreement import rank_limit
from lightrec.benchmarks.harness.scenarios import Timings
from lightrec.benchmarks.harness.worker_process import WorkerProcess
from lightrec.benchmarks.harness.workload import Workload
from lightrec.benchmarks.plan import Plan
from lightrec.benchmarks.row_types import Row
from lightrec.benchmarks.variants.variant import Variant
from lightrec.bundle import read_catalogue, read_manifest

LAYERS, HEADS = 2, 2
"""Layers and heads of a peer's model, if the bundle does not record its own."""

COLD_ANSWERS = 100
"""Histories that a new process answers before its memory is read."""


@dataclasses.dataclass(frozen=True)
class Running:
    """A variant whose worker runs and is warm."""

    variant: Variant
    """The variant."""
    worker: WorkerProcess
    """Its process."""
    timings: Timings
    """The worker's times so far."""


class Harness:
    """Start workers that share a bundle, histories and settings, which are written to files of a folder.

    Args:
        bundle: the bundle.
        workload: the histories.
        plan: the settings.
        folder: for requests and rankings; the caller deletes it.
    """

    def __init__(self, bundle: Path, workload: Workload, plan: Plan, folder: Path):
        self.bundle, self.workload, self.plan, self.folder = bundle, workload, plan, folder
        self.manifest = read_manifest(bundle)
        self.rank_limit = rank_limit(self.manifest.k_limit, self.manifest.n_items)
        """How many items the workers rank."""
        self._catalogue = read_catalogue(bundle, self.manifest)
        self._first = self._raw(workload.histories[:COLD_ANSWERS])
        np.save(folder / "histories.npy", np.concatenate(workload.histories))
        np.save(folder / "cuts.npy", np.cumsum([len(history) for history in workload.histories])[:-1])

    def start_worker(
        self, variant: Variant, threads: int | None = None, batches: Sequence[int] | None = None
    ) -> WorkerProcess:
        """Start a worker of ``variant``.

        Args:
            variant: the variant that it runs.
            threads: its compute threads; if None, the plan's, and it also writes its rankings of all histories.
            batches: the batch sizes that can be requested; the plan's if None.
        """
        check, threads = threads is None, threads or self.plan.threads
        if batches is None:
            batches = self.plan.batches if self.plan.asks_for("offline") else ()
        request = {
            "histories": str(self.folder / "histories.npy"),
            "cuts": str(self.folder / "cuts.npy"),
            "rankings": str(self._rankings(variant)),
            "rank_limit": max(self.rank_limit, min(self.plan.k, self.manifest.n_items)),
            "check": check and not variant.peer,
            # The torch student is not the exported model: its scores differ by more than a golden case allows.
            "golden": "run" not in variant.how,
            "batches": batches,
            **(self._peer_request() if variant.peer else {}),
        }
        file = self._write(variant, request | {"threads": threads}, f"request-{threads}")
        return WorkerProcess(variant.name, [*variant.command, file], threads, self.plan.limits)

    def cold_command(self, variant: Variant) -> list[str] | None:
        """Return a command that answers the first histories in a new process; None for peers and browsers."""
        if variant.peer or variant.backend == "browser":
            return None
        return [*variant.command, self._write(variant, {"first_histories": self._first}, "cold")]

    def rankings(self, variant: Variant) -> np.ndarray | None:
        """Return the rankings that a worker wrote, int64 ``[C, rank_limit]``; None for peers."""
        file = self._rankings(variant)
        return np.load(file) if file.exists() else None

    def _peer_request(self) -> dict[str, Any]:
        """Return the shape of the bundle's model, and what a worker that cannot read bundles needs."""
        config = self.manifest.training.get("config", {})
        ids = list(self._catalogue.item_ids)
        lists = {
            "histories": self._raw(self.workload.histories),
            "item_ids": ids,
            "titles": list(self._catalogue.titles or [None] * len(ids)),
        }
        for name, values in lists.items():
            (self.folder / f"{name}.json").write_text(json.dumps(values), encoding="utf-8")
        return {
            "hidden_size": self.manifest.hidden_size,
            "max_length": self.manifest.max_length,
            "num_layers": config.get("num_layers", LAYERS),
            "num_heads": config.get("num_heads", HEADS),
            **{name: str(self.folder / f"{name}.json") for name in lists},
        }

    def _raw(self, histories: Sequence[np.ndarray]) -> list[list[str]]:
        ids = self._catalogue.item_ids
        return [[ids[item] for item in history] for history in histories]

    def _write(self, variant: Variant, request: Row, kind: str) -> str:
        common = {"bundle": str(self.bundle.resolve()), "threads": self.plan.threads, "k": self.plan.k}
        file = self.folder / f"{_file_name(variant)}-{kind}.json"
        file.write_text(json.dumps({**common, **request, **variant.how}), encoding="utf-8")
        return str(file)

    def _rankings(self, variant: Variant) -> Path:
        return self.folder / f"{_file_name(variant)}.npy"


def _file_name(variant: Variant) -> str:
    return re.sub(r"\W+", "-", variant.name)
