"""The runtimes that can run a bundle's graph, behind one method."""

from __future__ import annotations

import functools
import importlib.util
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lightrec.bundle import Manifest, ModelRecord
from lightrec.errors import BundleError, ConfigError, LightrecError
from lightrec.files.untrusted import is_count
from lightrec.runtime.backends.base import INPUTS, OUTPUTS, Backend, Inputs, Settings
from lightrec.runtime.backends.failures import cannot_load, cannot_run, require_answer
from lightrec.runtime.backends.interface import INTERFACE, require_interface, require_plain
from lightrec.runtime.backends.openvino_backend import OpenVinoBackend
from lightrec.runtime.backends.parts import Parts, identities, open_late
from lightrec.runtime.backends.phone_backends import ExecuTorchBackend, LiteRtBackend
from lightrec.telemetry import silence_onnxruntime

if TYPE_CHECKING:
    from concurrent.futures import Future

    from onnxruntime import InferenceSession

__all__ = ["BACKENDS", "INPUTS", "OUTPUTS", "Backend", "OnnxRuntimeBackend", "OpenVinoBackend", "open_backend"]


MAX_THREADS = 1024
"""More would only be made, and wait."""
MAX_BYTES_LOADED_TWICE = 32 * 2**20
"""Models of more bytes are not loaded a second time for batches."""


class OnnxRuntimeBackend(Backend):
    """ONNX Runtime; part of the base installation. On the CPU unless other providers are asked for."""

    name = module = "onnxruntime"

    def __init__(self, record: ModelRecord, file: Path, settings: Settings):
        import onnxruntime

        silence_onnxruntime()
        super().__init__(record)
        providers = _require_providers(settings.providers)

        beside = {*record.files, *record.parts.values()}

        def open_graph(file: Path, threads: int = settings.threads) -> onnxruntime.InferenceSession:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            options.inter_op_num_threads = 1
            options.log_severity_level = 4  # what fails is raised as well
            require_plain(file, beside)
            # Its fallback would print to standard output and open the model once more, with the same result.
            return onnxruntime.InferenceSession(file, options, providers=providers, enable_fallback=0)

        models = [file.parent / name for name in record.files]
        if record.parts and all((file.parent / name).is_file() for name in record.parts.values()):
            self.parts = Parts({part: file.parent / name for part, name in record.parts.items()}, models, open_graph)
        self._threads, self._known, self._opening = settings.threads, identities(models), threading.Lock()
        self._file, self._open_graph = file, open_graph
        self._bytes = sum(known[1] for known in self._known.values() if known is not None)
        self._several: Callable[[Iterable[Inputs]], Iterator[tuple[np.ndarray, np.ndarray]]] | None = None
        self._session = open_graph(file)
        require_interface(self._session, file, INTERFACE)
        # One whose libraries are not there is left out without a word.
        missing = [name for name in providers if name not in self._session.get_providers()]
        if missing:
            raise ConfigError(f"ONNX Runtime cannot start its {missing[0]}: install the libraries that it needs.")

    def survive_fork(self) -> bool:
        """See :meth:`Backend.survive_fork`: only without threads of its own, which a child does not have."""
        if self._threads > 1 or self._session.get_providers() != ["CPUExecutionProvider"]:
            return False
        self._opening = threading.Lock()
        if self.parts is not None:
            self.parts.survive_fork()
        return True

    def run(
        self, history: np.ndarray, length: np.ndarray, exclude: np.ndarray, k: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`Backend.run`."""
        return self._run(self._session, (history, length, exclude, k))

    def run_many(self, asked: Iterable[Inputs]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """With several threads, as many runs at a time with one thread each, for which the model is loaded once more.

        The steps of a small model are too short to be shared out; a large one is not held twice. Nor is one whose file
        has been replaced meanwhile.
        """
        if self._threads == 1 or self._bytes > MAX_BYTES_LOADED_TWICE:
            return super().run_many(asked)
        with self._opening:
            if self._several is None:
                self._several = self._open_several()
        return super().run_many(asked) if self._several is None else self._several(asked)

    def _run(self, session: InferenceSession, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
        try:
            items, scores = session.run(OUTPUTS, dict(zip(INPUTS, inputs, strict=True)))
        except Exception as error:  # those of ONNX Runtime have no base of their own
            raise cannot_run(self.name, self._file, error) from None
        require_answer(items, scores, len(inputs[0]), int(inputs[3][0]), self._file)
        return items, scores

    def _open_several(self) -> Callable[[Iterable[Inputs]], Iterator[tuple[np.ndarray, np.ndarray]]] | None:
        from concurrent.futures import ThreadPoolExecutor  # for one thread nothing of it is imported

        session, run = open_late(self._file, self._known, functools.partial(self._open_graph, threads=1)), self._run
        if session is None:
            return None

        pool = ThreadPoolExecutor(self._threads, "lightrec")

        def several(asked: Iterable[Inputs]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
            waiting: deque[Future[tuple[np.ndarray, np.ndarray]]] = deque()
            for inputs in asked:
                waiting.append(pool.submit(run, session, inputs))
                if len(waiting) > 2 * self._threads:  # what is asked next is only then put together
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

        return several


def _require_providers(asked: Sequence[str] | None) -> list[str]:
    import onnxruntime

    if isinstance(asked, str):
        raise ConfigError(f"providers is the string {asked!r}: give a list, such as [{asked!r}].")
    providers, found = list(asked or ["CPUExecutionProvider"]), onnxruntime.get_available_providers()
    unknown = [name for name in providers if name not in found]
    if unknown:
        raise ConfigError(f"ONNX Runtime has no {unknown[0]} here: choose from {', '.join(found)}.")
    return providers


Kind = type[OnnxRuntimeBackend] | type[OpenVinoBackend] | type[LiteRtBackend] | type[ExecuTorchBackend]
BACKENDS: dict[str, Kind] = {
    "onnxruntime": OnnxRuntimeBackend,
    "openvino": OpenVinoBackend,
    "litert": LiteRtBackend,
    "executorch": ExecuTorchBackend,
}
"""By name; where a bundle holds several, ONNX Runtime goes before the others."""


def is_installed(backend: str) -> bool:
    """Whether the runtime ``backend`` can be imported here."""
    return importlib.util.find_spec(BACKENDS[backend].module) is not None


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
            or ONNX Runtime where the bundle has a model for it.
        threads: compute threads; one if None, which is fastest for single requests to a small model.
        precision: "fp32", "fp16", "int8", "int8-static" or "int4"; the first in the bundle if None.
        device: OpenVINO's device; the CPU if None.
        compute: what OpenVINO computes in, "f32" (if None), "bf16" or "f16".
        providers: ONNX Runtime's execution providers, the preferred first; the CPU's if None.
        cache: whether OpenVINO keeps compiled models under lightrec's cache folder.
        record: the model itself, where it has been chosen already.

    Raises:
        BundleError: if the bundle holds no such model, or it cannot be loaded.
        ConfigError: if an option is not one of the backend's, or what it names is not here.
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
    except Exception as error:  # those of ONNX Runtime have no base of their own
        raise cannot_load(record.backend, file, error) from None


def _kept_models() -> Path:
    from lightrec.files.download import cache_folder  # imports the whole of http: a third of a start

    return cache_folder() / "openvino"


def meant_backend(
    backend: str | None, device: str | None, compute: str | None, providers: Sequence[str] | None
) -> str | None:
    """The backend that is named, or whose options are given; None where neither is."""
    if backend is not None and not isinstance(backend, str):
        raise ConfigError(f"There is no backend {backend!r}: choose one of {', '.join(BACKENDS)}.")
    named = [(backend, backend), ("openvino", device), ("openvino", compute), ("onnxruntime", providers)]
    meant = {name for name, option in named if option is not None}
    if len(meant) > 1:
        raise ConfigError("device and compute are options of openvino, providers of onnxruntime: give those of one.")
    return meant.pop() if meant else None
