"""The ways to run one student: each model of a bundle in its runtime, and the torch student it was exported from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from lightrec.bundle import MANIFEST, TITLE_FILES, Manifest, ModelRecord
from lightrec.evaluation.protocol import Scorer, TopKRanker
from lightrec.runtime.backends import BACKENDS, is_installed
from lightrec.runtime.recommender import Recommender

NAMES = {"torch": "torch", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
"""The backends as people write them."""


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way to run the student."""

    backend: str
    """``torch``, ``onnxruntime`` or ``openvino``."""
    precision: str
    """``fp32``, ``fp16`` or ``int8``."""
    size_bytes: int
    """Size on disk of what it needs; titles, which are for people alone, are left out."""
    load: Callable[[], Recommender]
    """Read the files and get ready to answer."""
    ranker: Callable[[Recommender], Scorer | TopKRanker] = lambda recommender: recommender
    """From the loaded variant to what its quality is measured with."""

    @property
    def name(self) -> str:
        """``ONNX Runtime int8``, for tables."""
        return f"{NAMES.get(self.backend, self.backend)} {self.precision}"


@dataclasses.dataclass(frozen=True)
class Absent:
    """A variant that cannot run here."""

    name: str
    """As of a :class:`Variant`."""
    reason: str
    """Why, and how to get it."""


def bundle_variants(
    bundle: Path, manifest: Manifest, threads: int, device: str | None = None
) -> list[Variant | Absent]:
    """One for each model of the bundle, those of ONNX Runtime first; OpenVINO's on ``device``, the CPU if None."""
    models = sorted(manifest.models, key=lambda model: model.backend != "onnxruntime")
    return [_variant(bundle, manifest, model, threads, device) for model in models]


def catalogue_bytes(bundle: Path, manifest: Manifest) -> int:
    """Size of what every variant needs beside its model: the ids, the popularity order, the manifest."""
    models = {name for model in manifest.models for name in model.files}
    names = [name for name in manifest.files if name not in models and name not in TITLE_FILES]
    return sum((bundle / name).stat().st_size for name in (MANIFEST, *names))


def _variant(
    bundle: Path, manifest: Manifest, model: ModelRecord, threads: int, device: str | None
) -> Variant | Absent:
    backend, precision = model.backend, model.precision
    if backend not in BACKENDS:
        return Absent(f"{backend} {precision}", "this lightrec does not know it: upgrade lightrec")
    if not is_installed(backend):
        return Absent(f"{NAMES[backend]} {precision}", f"not installed: pip install 'lightrec[{backend}]'")
    chosen = device if backend == "openvino" else None
    return Variant(
        backend=backend,
        precision=precision,
        size_bytes=catalogue_bytes(bundle, manifest) + sum(manifest.files[name].bytes for name in model.files),
        # Without compiled models that earlier runs may have left.
        load=lambda: Recommender.load(bundle, backend, threads, precision, device=chosen, cache=False),
    )
