"""What every runtime of a bundle's graph has in common."""

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
    """How a model is to be run; each backend reads what concerns it."""

    threads: int = 1
    """Compute threads on the CPU."""
    window: int = 0
    """Most items of a history that the graph reads; 0 if not known."""
    device: str | None = None
    """OpenVINO's device: "CPU", "GPU", "GPU.1", "NPU"; the CPU if None."""
    compute: str = "f32"
    """The numbers that OpenVINO computes in: "f32", "bf16" or "f16"."""
    providers: Sequence[str] | None = None
    """ONNX Runtime's execution providers, the preferred first; the CPU's if None."""
    cache: Path | None = None
    """Where OpenVINO keeps compiled models; nowhere if None."""


class Backend(ABC):
    """One model, loaded and ready; safe to use from several threads at once."""

    name: str
    """As in the manifest."""
    module: str
    """The module that it needs."""

    def __init__(self, record: ModelRecord):
        self.record = record
        """The model that was opened."""
        self.parts: Parts | None = None
        """The graphs beside it, for sessions and few candidates; None where the bundle has none for this runtime."""
        self.lost = False
        """Whether this process was forked after the model was opened, so that it must be opened anew."""
        _OPENED.add(self)

    def survive_fork(self) -> bool:
        """Make this usable in a process that was forked after it was opened; False if it must be opened anew there."""
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
            k: int64 ``[1]``, how many items are asked for.

        Returns:
            ``items`` int64 ``[B, K]`` and ``scores`` float32 ``[B, K]``, best first; K is ``k`` clamped to what
            remains, and a row with fewer ends in item -1 with score minus infinity.
        """

    def run_many(self, asked: Iterable[Inputs]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """What :meth:`run` answers to each of ``asked``, in their order; some backends run several at a time."""
        return (self.run(*inputs) for inputs in asked)


_OPENED: weakref.WeakSet[Backend] = weakref.WeakSet()


def _after_fork() -> None:
    """In a forked process: models whose runtime had started threads are lost, for a fork takes no threads along.

    They are never freed, as that would wait for their threads.
    """
    for backend in list(_OPENED):
        if not backend.survive_fork():
            backend.lost = True
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(backend))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
