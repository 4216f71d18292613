"""The runtimes that can run a bundle's graph, behind one method."""

from __future__ import annotations

import importlib.util
import threading
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np

from lightrec.bundle import Manifest, ModelRecord
from lightrec.errors import BundleError, ConfigError, MissingExtraError
from lightrec.extras import require_extra
from lightrec.runtime.parts import Parts

INPUTS = ("history", "length", "exclude", "k")
OUTPUTS = ("items", "scores")


class Backend(ABC):
    """One model, loaded and ready; safe to use from several threads at once."""

    name: str
    """As in the manifest."""

    def __init__(self, record: ModelRecord):
        self.record = record
        """The model that was opened."""
        self.parts: Parts | None = None
        """The graphs beside it, for sessions and few candidates; None where the bundle has none for this runtime."""

    @abstractmethod
    def run(
        self, history: np.ndarray, length: np.ndarray, exclude: np.ndarray, k: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Run the graph.

        Args:
            history: int64 ``[B, T]``, item indices, right-padded with anything; T at most the bundle's ``max_length``.
            length: int64 ``[B]``, how many of them are real, 1 to T.
            exclude: int64 ``[B, E]``, items never to return, padded with -1.
            k: int64 ``[1]``, how many items are asked for.

        Returns:
            ``items`` int64 ``[B, K]`` and ``scores`` float32 ``[B, K]``, best first; K is ``k`` clamped to what
            remains, and a row with fewer ends in item -1 with score minus infinity.
        """


class OnnxRuntimeBackend(Backend):
    """ONNX Runtime on the CPU; part of the base installation."""

    name = "onnxruntime"

    def __init__(self, record: ModelRecord, file: Path, threads: int):
        import onnxruntime

        super().__init__(record)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only

        def open_graph(file: Path) -> onnxruntime.InferenceSession:
            return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

        self._session = open_graph(file)
        if record.parts and all((file.parent / name).is_file() for name in record.parts.values()):
            self.parts = Parts({part: file.parent / name for part, name in record.parts.items()}, open_graph)

    def run(
        self, history: np.ndarray, length: np.ndarray, exclude: np.ndarray, k: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`Backend.run`."""
        inputs = {"history": history, "length": length, "exclude": exclude, "k": k}
        items, scores = self._session.run(OUTPUTS, inputs)
        return items, scores


class OpenVinoBackend(Backend):
    """OpenVINO on the CPU, in the ``openvino`` extra."""

    name = "openvino"

    def __init__(self, record: ModelRecord, file: Path, threads: int):
        require_extra("openvino", "The OpenVINO backend")
        import openvino

        super().__init__(record)
        options = {
            "INFERENCE_PRECISION_HINT": "f32",  # on some processors the default is bf16, which changes rankings
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
        }
        self._model = openvino.Core().compile_model(file, "CPU", options)
        self._local = threading.local()

    def run(
        self, history: np.ndarray, length: np.ndarray, exclude: np.ndarray, k: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`Backend.run`."""
        # An inference request belongs to one thread at a time.
        if not hasattr(self._local, "request"):
            self._local.request = self._model.create_infer_request()
        answer = self._local.request.infer({"history": history, "length": length, "exclude": exclude, "k": k})
        return answer["items"], answer["scores"]


BACKENDS: dict[str, type[OnnxRuntimeBackend] | type[OpenVinoBackend]] = {
    backend.name: backend for backend in (OnnxRuntimeBackend, OpenVinoBackend)
}
"""By name; the name is also that of the module that it needs."""


def is_installed(backend: str) -> bool:
    """Whether the runtime ``backend`` can be imported here."""
    return importlib.util.find_spec(backend) is not None


def choose_model(path: str | Path, manifest: Manifest, backend: str | None, precision: str | None) -> ModelRecord:
    """The first model of the bundle that fits; None fits all, and ONNX Runtime goes before the others.

    Raises:
        ConfigError: if ``backend`` is no backend of lightrec.
        BundleError: if the bundle holds no such model; the message lists those it holds.
    """
    if backend is not None and backend not in BACKENDS:
        raise ConfigError(f"There is no backend {backend!r}: choose one of {', '.join(BACKENDS)}.")
    fitting = [
        model
        for model in manifest.models
        if model.backend in BACKENDS and backend in (None, model.backend) and precision in (None, model.precision)
    ]
    if not fitting:
        asked = " ".join(word for word in (precision, "model for", backend or "any backend known here") if word)
        held = ", ".join(f"{model.backend} {model.precision}" for model in manifest.models)
        raise BundleError(f"The bundle {path} holds no {asked}: it holds {held}.")
    return next((model for model in fitting if model.backend == OnnxRuntimeBackend.name), fitting[0])


def open_backend(
    path: str | Path,
    manifest: Manifest,
    backend: str | None = None,
    threads: int | None = None,
    precision: str | None = None,
) -> Backend:
    """Load a model of the bundle at ``path``.

    Args:
        path: the bundle.
        manifest: its manifest.
        backend: "onnxruntime" or "openvino"; ONNX Runtime where the bundle has a model for it, if None.
        threads: compute threads; one if None, which is fastest for single requests to a small model.
        precision: "fp32", "fp16" or "int8"; the first in the bundle if None.

    Raises:
        BundleError: if the bundle holds no such model, or it cannot be loaded.
        MissingExtraError: if the backend is not installed.
    """
    record = choose_model(path, manifest, backend, precision)
    if threads is not None and threads < 1:
        raise ConfigError(f"threads is {threads}: it must be at least 1.")
    file = Path(path) / record.files[0]
    if not file.is_file():
        raise BundleError(f"{file} is missing: copy or export the bundle again.")
    try:
        return BACKENDS[record.backend](record, file, threads or 1)
    except MissingExtraError:
        raise
    except Exception as error:  # those of ONNX Runtime have no base of their own
        reason = str(error).strip().splitlines()[0]
        raise BundleError(f"{record.backend} cannot load {file} ({reason}): copy or export the bundle again.") from None
