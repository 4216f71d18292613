"""Runtimes for phones, LiteRT and ExecuTorch: graphs of fixed shapes that score all items for one history at a time.

This module does what a graph of free shapes does itself: it hides seen and excluded items, and takes the top k. On a
phone an app does the same in a few lines (docs/mobile.md). These backends check a model on the machine that exports it.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from pathlib import Path

import numpy as np

from lightrec.bundle import ModelRecord
from lightrec.extras import require_extra
from lightrec.runtime.backends.base import Backend, Settings


class FixedBackend(Backend):
    """Base class of both backends; calls from several threads wait for each other."""

    def __init__(self, record: ModelRecord, settings: Settings):
        super().__init__(record)
        self._window = settings.window
        self._lock = threading.Lock()

    @abstractmethod
    def _scores(self, history: np.ndarray, length: np.ndarray) -> np.ndarray:
        """Return scores float32 ``[1, N]`` for int32 ``history [1, L]``, padded with 0, and ``length [1]``."""

    def run(
        self, history: np.ndarray, length: np.ndarray, exclude: np.ndarray, k: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`Backend.run`."""
        rows = [self._row(*row) for row in zip(history, length, exclude, strict=True)]
        ranked = [np.argsort(-scores, kind="stable")[: int(k[0])] for scores in rows]
        best = np.stack([scores[items] for scores, items in zip(rows, ranked, strict=True)])
        remaining = int(np.isfinite(best).sum(axis=1).max())
        best, items = best[:, :remaining], np.stack(ranked)[:, :remaining]
        return np.where(np.isfinite(best), items, -1), best

    def _row(self, history: np.ndarray, length: int, exclude: np.ndarray) -> np.ndarray:
        """Return scores ``[N]`` for one user, minus infinity for items that must not be returned."""
        seen = history[:length]
        padded = np.zeros((1, self._window), dtype=np.int32)
        padded[0, :length] = seen
        with self._lock:
            scores = self._scores(padded, np.array([length], dtype=np.int32))[0].copy()
        scores[np.concatenate([seen, exclude[exclude >= 0]])] = -np.inf
        return scores


class LiteRtBackend(FixedBackend):
    """LiteRT, formerly TensorFlow Lite, in the ``litert`` extra."""

    name, module = "litert", "ai_edge_litert"

    def __init__(self, record: ModelRecord, file: Path, settings: Settings):
        require_extra("litert", "The LiteRT backend")
        from ai_edge_litert.interpreter import Interpreter

        super().__init__(record, settings)
        interpreter = Interpreter(model_path=str(file), num_threads=settings.threads)
        interpreter.allocate_tensors()
        self._interpreter = interpreter
        # Sorted by number of dimensions: the converter numbers the inputs and drops their names.
        self._history, self._length = sorted(
            (value["index"] for value in interpreter.get_input_details()),
            key=lambda index: -len(interpreter.get_tensor(index).shape),
        )
        self._output = interpreter.get_output_details()[0]["index"]

    def _scores(self, history: np.ndarray, length: np.ndarray) -> np.ndarray:
        self._interpreter.set_tensor(self._history, history)
        self._interpreter.set_tensor(self._length, length)
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output)


class ExecuTorchBackend(FixedBackend):
    """ExecuTorch, which runs on torch's tensors, in the ``executorch`` extra."""

    name = module = "executorch"

    def __init__(self, record: ModelRecord, file: Path, settings: Settings):
        require_extra("executorch", "The ExecuTorch backend")
        from executorch.runtime import Runtime

        super().__init__(record, settings)
        self._program = Runtime.get().load_program(str(file))
        self._method = self._program.load_method("forward")

    def _scores(self, history: np.ndarray, length: np.ndarray) -> np.ndarray:
        import torch

        (scores,) = self._method.execute([torch.from_numpy(history), torch.from_numpy(length)])
        return scores.numpy()
