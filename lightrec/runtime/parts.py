"""The graphs beside the inference graph, through ONNX Runtime: one step, scoring apart from it, few candidates."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lightrec.errors import BundleError
from lightrec.files import file_mark

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Identity = tuple[int, int, int]
"""Of a file: its number, its bytes and when it was written."""

Past = Mapping[str, np.ndarray]
"""What the encoder remembers of the items that it has read: arrays by the name of the input that takes them."""


class Parts:
    """The step, scoring and candidate graphs of a bundle, each opened when it is first used; safe for threads.

    The step and candidate graphs read the item table from the model's file, mapped into memory; the scoring graph
    holds it once more.

    Args:
        files: by the name of the part.
        model: the file that holds their weights.
        open_graph: loads a file.
    """

    def __init__(self, files: Mapping[str, Path], model: Path, open_graph: Callable[[Path], InferenceSession]):
        self._files = files
        self._known = {file: identity(file) for file in (model, *files.values())}
        self._open_graph = open_graph
        self._lock = threading.Lock()
        self._graphs: dict[str, InferenceSession] = {}

    def start(self) -> dict[str, np.ndarray]:
        """The past of an empty history."""
        inputs = self._graph("step").get_inputs()
        return {
            value.name: np.zeros([size if isinstance(size, int) else 0 for size in value.shape], dtype=np.float32)
            for value in inputs
            if value.name != "items"
        }

    def step(self, items: np.ndarray, past: Past) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Read the next items int64 ``[T]`` of one history; returns the state float32 ``[1, d]`` and the next past."""
        state, *present = self._graph("step").run(None, {"items": items[None], **past})
        return state, dict(zip(past, present, strict=True))

    def score(
        self, state: np.ndarray, history: np.ndarray, length: np.ndarray, exclude: np.ndarray, k: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """What :meth:`lightrec.runtime.backends.Backend.run` answers, from states float32 ``[B, d]``."""
        inputs = {"state": state, "history": history, "length": length, "exclude": exclude, "k": k}
        items, scores = self._graph("score").run(("items", "scores"), inputs)
        return items, scores

    def score_candidates(self, state: np.ndarray, history: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """The scores float32 ``[C]`` of the items int64 ``[C]`` under the state float32 ``[1, d]`` of a history.

        Only a graph whose items have neighbours reads the ``history`` int64 ``[T]``, at most the window.
        """
        graph = self._graph("candidates")
        inputs = {"state": state, "candidates": candidates[None]}
        if len(graph.get_inputs()) > len(inputs):
            inputs |= {"history": history[None], "length": np.array([len(history)], dtype=np.int64)}
        return graph.run(None, inputs)[0][0]

    def _open(self, file: Path) -> InferenceSession:
        for needed, known in self._known.items():
            require_same(needed, known)
        try:
            return self._open_graph(file)
        except Exception as error:  # those of ONNX Runtime have no base of their own
            reason = str(error).strip().splitlines()[0]
            raise BundleError(f"onnxruntime cannot load {file} ({reason}): copy or export the bundle again.") from None

    def _graph(self, part: str) -> InferenceSession:
        graph = self._graphs.get(part)
        if graph is None:
            with self._lock:
                graph = self._graphs.get(part) or self._open(self._files[part])
                self._graphs[part] = graph
        return graph


def identity(file: Path) -> Identity | None:
    """What tells a file from another that is put into its place; None if there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def require_same(file: Path, known: Identity | None) -> None:
    """Refuse to open ``file`` late if it is not the one that was there when the bundle was loaded.

    Raises:
        BundleError: if it has been replaced or deleted since.
    """
    if identity(file) != known:
        raise BundleError(f"{file} has been replaced since its bundle was loaded: load the bundle again.")
