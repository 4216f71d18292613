"""ONNX Runtime: on the CPU, or with the requested execution providers."""

from __future__ import annotations

import functools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lightrec.bundle import ModelRecord
from lightrec.errors import ConfigError
from lightrec.runtime.backends.base import INPUTS, OUTPUTS, Backend, Inputs, Settings
from lightrec.runtime.backends.failures import cannot_run, require_answer
from lightrec.runtime.backends.interface import INTERFACE, require_interface, require_plain
from lightrec.runtime.backends.parts import Parts, identities, open_late
from lightrec.telemetry import silence_onnxruntime

if TYPE_CHECKING:
    from concurrent.futures import Future

    from onnxruntime import InferenceSession

MAX_BYTES_LOADED_TWICE = 32 * 2**20
"""A larger model is not loaded a second time for batches."""


class OnnxRuntimeBackend(Backend):
    """ONNX Runtime, part of the base installation; it runs on the CPU unless other providers are requested."""

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
            options.log_severity_level = 4  # failures are raised anyway
            require_plain(file, beside)
            # Its fallback would print to standard output and open the model again, with the same result.
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
        # ONNX Runtime silently drops a provider whose libraries are missing.
        missing = [name for name in providers if name not in self._session.get_providers()]
        if missing:
            raise ConfigError(f"ONNX Runtime cannot start its {missing[0]}: install the libraries that it needs.")

    def survive_fork(self) -> bool:
        """See :meth:`Backend.survive_fork`: possible only if the session has started no threads."""
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

    def run_many(self, inputs: Iterable[Inputs]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Run one input per thread, each with a single compute thread; this loads the model a second time.

        The operators of a small model are too short to split between threads. A large model is not loaded twice, nor a
        model whose file has been replaced since.
        """
        if self._threads == 1 or self._bytes > MAX_BYTES_LOADED_TWICE:
            return super().run_many(inputs)
        with self._opening:
            if self._several is None:
                self._several = self._open_several()
        return super().run_many(inputs) if self._several is None else self._several(inputs)

    def _run(self, session: InferenceSession, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
        try:
            items, scores = session.run(OUTPUTS, dict(zip(INPUTS, inputs, strict=True)))
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            raise cannot_run(self.name, self._file, error) from None
        require_answer(items, scores, len(inputs[0]), int(inputs[3][0]), self._file)
        return items, scores

    def _open_several(self) -> Callable[[Iterable[Inputs]], Iterator[tuple[np.ndarray, np.ndarray]]] | None:
        from concurrent.futures import ThreadPoolExecutor  # not imported if there is only one thread

        session, run = open_late(self._file, self._known, functools.partial(self._open_graph, threads=1)), self._run
        if session is None:
            return None

        pool = ThreadPoolExecutor(self._threads, "lightrec")

        def several(asked: Iterable[Inputs]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
            waiting: deque[Future[tuple[np.ndarray, np.ndarray]]] = deque()
            for inputs in asked:
                waiting.append(pool.submit(run, session, inputs))
                if len(waiting) > 2 * self._threads:  # only then prepare further inputs
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
