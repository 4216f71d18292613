"""The interface of a backend: a loaded model with one method that runs it."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from lightrec.bundle import ModelRecord
from lightrec.runtime.backends.parts import Parts

INPUTS = ("history", "length", "exclude", "k")
OUTPUTS = ("items", "scores")

Inputs = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""``history``, ``length``, ``exclude`` and ``k`` of one run."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Options for running a model; each backend reads those that it supports."""

    threads: int = 1
    """Compute threads on the CPU."""
    window: int = 0
    """The maximum number of items of a history that the graph reads; 0 if not known."""
    device: str | None = None
    """OpenVINO's device: "CPU", "GPU", "GPU.1", "NPU"; the CPU if None."""
    compute: str = "f32"
    """The number type that OpenVINO computes in: "f32", "bf16" or "f16"."""
    providers: Sequence[str] | None = None
    """ONNX Runtime's execution providers, the preferred first; the CPU's if None."""
    cache: Path | None = None
    """The folder for OpenVINO's compiled models; they are not stored if None."""


class Backend(ABC):
    """One model, loaded and ready; safe to use from several threads at once."""

    name: str
    """The backend's name, as in the manifest."""
    module: str
    """The Python module that it needs."""

    def __init__(self, record: ModelRecord):
        self.record = record
        """The model that was opened."""
        self.parts: Parts | None = None
        """The graphs for sessions and few candidates; None if the bundle has none for this runtime."""
        self.lost = False
        """True if this process was forked after the model was opened, so that it must be opened again."""
        _OPENED.add(self)

    def survive_fork(self) -> bool:
        """Make the model usable in a forked process; return False if it must be opened again there."""
        return False

    @abstractmethod
    def run(
        self, history: np.ndarray, length: np.ndarray, exclude: np.ndarray, k: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Run the graph.

        Args:
            history: int64 ``[B, T]``, item indices, right-padded with anything; T at most the bundle's ``max_length``.
            length: int64 ``[B]``, how many of them are real, 1 to T.
            exclude: int64 ``[B, E]``, items never to return, padded with -1.
            k: int64 ``[1]``, how many items to return.

        Returns:
            ``items`` int64 ``[B, K]`` and ``scores`` float32 ``[B, K]``, best first; K is ``k`` clamped to what
            remains, and a row with fewer items is padded with item -1 and score minus infinity.
        """

    def run_many(self, inputs: Iterable[Inputs]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Run the graph for each of ``inputs``, in order; some backends run several at a time."""
        return (self.run(*one) for one in inputs)


_OPENED: weakref.WeakSet[Backend] = weakref.WeakSet()


def _after_fork() -> None:
    """Mark the models of a forked process as lost if their runtime had started threads, which a fork does not copy.

    They are never freed, because that would wait for those threads.
    """
    for backend in list(_OPENED):
        if not backend.survive_fork():
            backend.lost = True
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(backend))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
