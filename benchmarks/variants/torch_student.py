"""Run the torch student as a backend of :class:`Recommender`, as its exports run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lightrec.benchmarks.variants.variant import Absent, Variant, catalogue_bytes
from lightrec.bundle import Manifest, ModelRecord, read_catalogue, read_manifest
from lightrec.errors import ModelError
from lightrec.extras import missing_modules
from lightrec.files.atomic import read_object
from lightrec.runtime.backends.base import Backend
from lightrec.runtime.loaded_bundle import LoadedBundle
from lightrec.runtime.recommender import Recommender

if TYPE_CHECKING:
    from lightrec.models.students.student import Student

SAME = ("seed", "validation")
"""What run.json and a bundle made from that run say alike, and other runs hardly ever."""


class TorchBackend(Backend):
    """Torch in eager mode, or compiled; it uses the threads of the whole process."""

    name = "torch"

    def __init__(self, model: Student, threads: int, device: str = "cpu", compiled: bool = False):
        import torch

        super().__init__(ModelRecord("torch", "fp32", ("model.safetensors", "config.json")))
        torch.set_num_threads(threads)
        model = model.to(device)
        self.model = torch.compile(model, dynamic=True) if compiled else model
        """The student, in evaluation mode."""
        self.device = device
        """Where it runs."""

    def run(
        self, history: np.ndarray, length: np.ndarray, exclude: np.ndarray, k: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`Backend.run`."""
        import torch

        inputs = [torch.from_numpy(value).to(self.device) for value in (history, length, exclude)]
        with torch.inference_mode():
            items, scores = self.model(*inputs, torch.from_numpy(k))
        return items.cpu().numpy(), scores.cpu().numpy()


def torch_variants(
    run: Path, bundle: Path, manifest: Manifest, *, compiled: bool, devices: Sequence[str]
) -> list[Variant | Absent]:
    """Return the student of ``run``, from which ``bundle`` was exported, in eager mode on each device.

    Args:
        run: the run folder.
        bundle: the bundle.
        manifest: its manifest.
        compiled: also with torch.compile.
        devices: ``CPU``, ``CUDA``.

    Raises:
        ModelError: if ``run`` is no finished student, or not the one that the bundle was made from.
    """
    if missing_modules("train"):
        return [Absent("torch fp32", "not installed: pip install 'lightrec[train]'")]
    _check_origin(run, _read_run(run), bundle, manifest)
    files = [run / "config.json", *run.glob("*.safetensors")]
    size = catalogue_bytes(bundle, manifest) + sum(file.stat().st_size for file in files)
    backends = ("torch", "torch.compile") if compiled else ("torch",)
    found: list[Variant | Absent] = [
        Variant(
            backend=backend,
            precision="fp32",
            size_bytes=size,
            how={"run": str(run), "device": device.lower(), "compiled": backend != "torch"},
            device=device,
        )
        for device in devices
        for backend in backends
    ]
    skipped = Absent("torch.compile fp32", "it takes minutes to compile: ask for it with --compile", requested=False)
    return found if compiled else [*found, skipped]


def load_torch(request: Mapping[str, Any]) -> Recommender:
    """Load the student that a worker's request names: ``run``, ``bundle``, ``threads``, ``device``, ``compiled``."""
    from lightrec.models.load import load_model
    from lightrec.models.students.student import Student

    run, bundle = Path(request["run"]), Path(request["bundle"])
    model, _ = load_model(run)
    if not isinstance(model, Student):
        raise ModelError(f"{run} holds a teacher: give with --run the student that {bundle} was exported from.")
    manifest = read_manifest(bundle)
    backend = TorchBackend(model, request["threads"], request["device"], request["compiled"])
    return Recommender(LoadedBundle(manifest, read_catalogue(bundle, manifest), backend))


def _read_run(run: Path) -> Mapping[str, Any]:
    """Read the run's record without torch, which only the worker needs."""
    if not (run / "run.json").is_file():
        raise ModelError(f"{run} is not a run (it holds no run.json): give the --out folder of a finished training.")
    return read_object(run / "run.json", {"dataset": dict, "dataset.checksum": str}, ModelError)


def _check_origin(run: Path, record: Mapping[str, Any], bundle: Path, manifest: Manifest) -> None:
    made_from = manifest.training
    same_data = record["dataset"]["checksum"] == made_from.get("dataset", record["dataset"]).get("checksum")
    if not same_data or any(name in made_from and made_from[name] != record.get(name) for name in SAME):
        raise ModelError(f"{bundle} was not exported from {run}: give with --run the run that it was made from.")
