"""Choose one of a bundle's models and open it with the backend that runs it."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lightrec.bundle import Manifest, ModelRecord
from lightrec.errors import BundleError, ConfigError, LightrecError
from lightrec.files.untrusted import is_count
from lightrec.runtime.backends.base import Backend, Settings
from lightrec.runtime.backends.failures import cannot_load
from lightrec.runtime.backends.onnxruntime_backend import OnnxRuntimeBackend
from lightrec.runtime.backends.openvino_backend import OpenVinoBackend
from lightrec.runtime.backends.phone_backends import ExecuTorchBackend, LiteRtBackend

MAX_THREADS = 1024
"""The most compute threads; more would only be created and wait."""

Kind = type[OnnxRuntimeBackend] | type[OpenVinoBackend] | type[LiteRtBackend] | type[ExecuTorchBackend]
BACKENDS: dict[str, Kind] = {
    "onnxruntime": OnnxRuntimeBackend,
    "openvino": OpenVinoBackend,
    "litert": LiteRtBackend,
    "executorch": ExecuTorchBackend,
}
"""The backends by name; if a bundle has models for several, ONNX Runtime is preferred."""


def is_installed(backend: str) -> bool:
    """Return whether the runtime ``backend`` can be imported here."""
    return importlib.util.find_spec(BACKENDS[backend].module) is not None


def choose_model(path: str | Path, manifest: Manifest, backend: str | None, precision: str | None) -> ModelRecord:
    """Return the first model of the bundle that matches; None matches all, and ONNX Runtime is preferred.

    Raises:
        ConfigError: if ``backend`` is not a backend of lightrec.
        BundleError: if the bundle holds no such model; the message lists the models it holds.
    """
    if backend is not None and backend not in BACKENDS:
        raise ConfigError(f"There is no backend {backend!r}: choose one of {', '.join(BACKENDS)}.")
    fitting = [
        model
        for model in manifest.models
        if model.backend in BACKENDS and backend in (None, model.backend) and precision in (None, model.precision)
    ]
    if not fitting:
        asked = " ".join(str(word) for word in (precision, "model for", backend or "any backend known here") if word)
        held = ", ".join(f"{model.backend} {model.precision}" for model in manifest.models)
        raise BundleError(f"The bundle {path} holds no {asked}: it holds {held}.")
    return next((model for model in fitting if model.backend == OnnxRuntimeBackend.name), fitting[0])


def open_backend(
    path: str | Path,
    manifest: Manifest,
    backend: str | None = None,
    threads: int | None = None,
    precision: str | None = None,
    *,
    device: str | None = None,
    compute: str | None = None,
    providers: Sequence[str] | None = None,
    cache: bool = False,
    record: ModelRecord | None = None,
) -> Backend:
    """Load a model of the bundle at ``path``.

    Args:
        path: the bundle.
        manifest: its manifest.
        backend: one of :data:`BACKENDS`; if None, the one that ``device``, ``compute`` or ``providers`` belongs to,
            or else ONNX Runtime if the bundle has a model for it.
        threads: compute threads; one if None, which is fastest for single requests to a small model.
        precision: "fp32", "fp16", "int8", "int8-static" or "int4"; the first in the bundle if None.
        device: OpenVINO's device; the CPU if None.
        compute: the number type that OpenVINO computes in, "f32" (if None), "bf16" or "f16".
        providers: ONNX Runtime's execution providers, the preferred first; the CPU's if None.
        cache: whether OpenVINO stores compiled models under lightrec's cache folder.
        record: the model to load, if it has been chosen already.

    Raises:
        BundleError: if the bundle holds no such model, or it cannot be loaded.
        ConfigError: if an option belongs to another backend, or its device or provider is not available.
        MissingExtraError: if the backend is not installed.
    """
    record = record or choose_model(path, manifest, meant_backend(backend, device, compute, providers), precision)
    threads = 1 if threads is None else int(threads) if isinstance(threads, np.integer) else threads
    if not is_count(threads, 1, MAX_THREADS):
        raise ConfigError(f"threads is {threads!r}: it must be a whole number from 1 to {MAX_THREADS}.")
    file = Path(path) / record.files[0]
    if not file.is_file():
        raise BundleError(f"{file} is missing: copy or export the bundle again.")
    kept = _kept_models() if cache and record.backend == OpenVinoBackend.name else None
    settings = Settings(threads, manifest.max_length, device, compute or "f32", providers, kept)
    try:
        return BACKENDS[record.backend](record, file, settings)
    except LightrecError:
        raise
    except Exception as error:  # ONNX Runtime's exceptions share no base class
        raise cannot_load(record.backend, file, error) from None


def _kept_models() -> Path:
    from lightrec.files.download import cache_folder  # imports all of http, a third of the start time

    return cache_folder() / "openvino"


def meant_backend(
    backend: str | None, device: str | None, compute: str | None, providers: Sequence[str] | None
) -> str | None:
    """Return the named backend, or the one whose options are given; None if there is neither."""
    if backend is not None and not isinstance(backend, str):
        raise ConfigError(f"There is no backend {backend!r}: choose one of {', '.join(BACKENDS)}.")
    named = [(backend, backend), ("openvino", device), ("openvino", compute), ("onnxruntime", providers)]
    meant = {name for name, option in named if option is not None}
    if len(meant) > 1:
        raise ConfigError("device and compute are options of openvino, providers of onnxruntime: give those of one.")
    return meant.pop() if meant else None
