"""The torch student as a backend, so that it answers through the same :class:`Recommender` as its exports."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lightrec.benchmarks.variants import Absent, Variant, catalogue_bytes
from lightrec.bundle import Manifest, ModelRecord, read_catalogue
from lightrec.errors import ModelError
from lightrec.evaluation.protocol import Scorer
from lightrec.extras import missing_modules
from lightrec.runtime.backends import Backend
from lightrec.runtime.recommender import Recommender

if TYPE_CHECKING:
    from lightrec.models.student import Student

SAME = ("seed", "validation")
"""What run.json and a bundle made from that run say alike, and other runs hardly ever."""


class TorchBackend(Backend):
    """Torch in eager mode on the CPU. Its number of threads is that of the whole process."""

    name = "torch"

    def __init__(self, model: Student, threads: int):
        import torch

        super().__init__(ModelRecord("torch", "fp32", ("model.safetensors", "config.json")))
        torch.set_num_threads(threads)
        self.model = model
        """The student, in evaluation mode."""

    def run(
        self, history: np.ndarray, length: np.ndarray, exclude: np.ndarray, k: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`Backend.run`."""
        import torch

        with torch.inference_mode():
            items, scores = self.model(*map(torch.from_numpy, (history, length, exclude, k)))
        return items.numpy(), scores.numpy()


def torch_variant(run: Path, bundle: Path, manifest: Manifest, threads: int) -> Variant | Absent:
    """The student in the run folder ``run``, from which ``bundle`` was exported.

    Raises:
        ModelError: if ``run`` is no finished student, or not the one that the bundle was made from.
    """
    if missing_modules("train"):
        return Absent("torch fp32", "not installed: pip install 'lightrec[train]'")
    from lightrec.models.load import read_run

    _check_origin(run, read_run(run), bundle, manifest)
    files = [run / "config.json", *run.glob("*.safetensors")]
    return Variant(
        backend=TorchBackend.name,
        precision="fp32",
        size_bytes=catalogue_bytes(bundle, manifest) + sum(file.stat().st_size for file in files),
        load=lambda: _load(run, bundle, manifest, threads),
        ranker=_scorer,
    )


def _load(run: Path, bundle: Path, manifest: Manifest, threads: int) -> Recommender:
    from lightrec.models.load import load_model
    from lightrec.models.student import Student

    model, _ = load_model(run)
    if not isinstance(model, Student):
        raise ModelError(f"{run} holds a teacher: give with --run the student that {bundle} was exported from.")
    return Recommender(manifest, read_catalogue(bundle, manifest), TorchBackend(model, threads))


def _scorer(recommender: Recommender) -> Scorer:
    """Scores of the whole catalogue: torch's own top-k promises no order among equal scores."""
    from lightrec.models.scoring import ModelScorer

    assert isinstance(recommender.backend, TorchBackend)
    return ModelScorer(recommender.backend.model)


def _check_origin(run: Path, record: Mapping[str, Any], bundle: Path, manifest: Manifest) -> None:
    made_from = manifest.training
    same_data = record["dataset"]["checksum"] == made_from.get("dataset", record["dataset"]).get("checksum")
    if not same_data or any(name in made_from and made_from[name] != record.get(name) for name in SAME):
        raise ModelError(f"{bundle} was not exported from {run}: give with --run the run that it was made from.")
