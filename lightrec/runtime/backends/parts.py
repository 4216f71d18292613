"""The graphs for sessions and few candidates: one step of the encoder, scoring its state, scoring some items."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lightrec.errors import BundleError
from lightrec.runtime.backends.failures import cannot_load, cannot_run, require_answer, wrong_answer
from lightrec.runtime.backends.interface import require_part_interface

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, NodeArg

Identity = tuple[int, int, int, int]
"""A file's inode number, size, time of writing and time of any change."""

Past = Mapping[str, np.ndarray]
"""The encoder's memory of the items that it has read: arrays by the name of the graph's input."""


class Parts:
    """The step, scoring and candidate graphs of a bundle, each opened when it is first used; safe for threads.

    The step and candidate graphs read the item table from the model's file, mapped into memory; the scoring graph
    holds another copy. When a graph is first used, the folder may hold another bundle or none; :meth:`ready` is then
    False, and the inference graph answers instead.

    Args:
        files: the file of each part, by name.
        models: the files of the model, which hold the parts' weights; the model is opened after this object is made.
        open_graph: loads a file.
    """

    def __init__(
        self, files: Mapping[str, Path], models: Sequence[Path], open_graph: Callable[[Path], InferenceSession]
    ):
        self._files = files
        self._known = identities((*models, *files.values()))
        self._open_graph = open_graph
        self._lock = threading.Lock()
        self._graphs: dict[str, InferenceSession] = {}

    def survive_fork(self) -> None:
        """Replace the lock in a forked process, where no thread is left that could release it."""
        self._lock = threading.Lock()

    def ready(self, *parts: str) -> bool:
        """Return whether these graphs are open or can be opened, because their files have not been replaced.

        Raises:
            BundleError: if the files are the same, but ONNX Runtime cannot read one.
        """
        return all(part in self._graphs or self._find(part) is not None for part in parts)

    def start(self) -> dict[str, np.ndarray]:
        """Return the past of an empty history."""
        return {
            value.name: np.zeros([size if isinstance(size, int) else 0 for size in value.shape], dtype=np.float32)
            for value in self._pasts()
        }

    def shapes_after(self, read: int) -> tuple[list[int], dict[str, list[int]]]:
        """Return the shape of the state, and the shapes of the past by name, after ``read`` items."""
        state, *present = [
            [size if isinstance(size, int) else read for size in value.shape]
            for value in self._graph("step").get_outputs()
        ]
        return state, dict(zip((value.name for value in self._pasts()), present, strict=True))

    def _pasts(self) -> list[NodeArg]:
        return [value for value in self._graph("step").get_inputs() if value.name != "items"]

    def step(self, items: np.ndarray, past: Past) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Read the next items int64 ``[T]`` of one history; return the state float32 ``[1, d]`` and the next past."""
        state, *present = self._run("step", None, {"items": items[None], **past})
        return state, dict(zip(past, present, strict=True))

    def score(
        self, state: np.ndarray, history: np.ndarray, length: np.ndarray, exclude: np.ndarray, k: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rank from states float32 ``[B, d]``; see :meth:`lightrec.runtime.backends.base.Backend.run`."""
        inputs = {"state": state, "history": history, "length": length, "exclude": exclude, "k": k}
        items, scores = self._run("score", ("items", "scores"), inputs)
        require_answer(items, scores, len(history), int(k[0]), self._files["score"])
        return items, scores

    def score_candidates(self, state: np.ndarray, history: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """Return scores float32 ``[C]`` of the items int64 ``[C]``, given a history's state float32 ``[1, d]``.

        Only a graph with item-item weights reads ``history``, int64 ``[T]``, T at most the window.
        """
        graph = self._graph("candidates")
        inputs = {"state": state, "candidates": candidates[None]}
        if len(graph.get_inputs()) > len(inputs):
            inputs |= {"history": history[None], "length": np.array([len(history)], dtype=np.int64)}
        scores = self._run("candidates", None, inputs)[0]
        if scores.shape != (1, len(candidates)):
            raise wrong_answer(self._files["candidates"], f"scores of the shape {scores.shape}")
        return scores[0]

    def _run(self, part: str, outputs: Sequence[str] | None, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        graph = self._graph(part)
        try:
            return graph.run(outputs, inputs)
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            raise cannot_run("onnxruntime", self._files[part], error) from None

    def _graph(self, part: str) -> InferenceSession:
        graph = self._graphs.get(part) or self._find(part)
        if graph is None:
            raise BundleError(
                f"{self._files[part]} has been replaced since its bundle was loaded: load the bundle again."
            )
        return graph

    def _find(self, part: str) -> InferenceSession | None:
        with self._lock:
            if part not in self._graphs:
                graph = open_late(self._files[part], self._known, self._open_graph)
                if graph is None:
                    return None
                require_part_interface(graph, self._files[part], part)
                self._graphs[part] = graph
            return self._graphs[part]


def identities(files: Iterable[Path]) -> dict[Path, Identity | None]:
    """Return what changes when a file is replaced or rewritten; None for a file that does not exist.

    The content is not read, so a file also counts as changed after ``touch`` or a change of its permissions.
    """
    return {file: _identity(file) for file in files}


def open_late(
    file: Path, known: Mapping[Path, Identity | None], open_graph: Callable[[Path], InferenceSession]
) -> InferenceSession | None:
    """Open a file of a bundle that was loaded earlier; None if it, or a file it reads, has been replaced since.

    Args:
        file: what to open.
        known: :func:`identities` of all files that are read, taken when the bundle was loaded.
        open_graph: loads a file.

    Raises:
        BundleError: if the files are the same but cannot be read.
    """
    if identities(known) != known:
        return None
    graph = problem = None
    try:
        graph = open_graph(file)
    except Exception as error:  # ONNX Runtime's exceptions share no base class
        problem = error if isinstance(error, BundleError) else cannot_load("onnxruntime", file, error)
    if identities(known) != known:  # replaced while it was being opened
        return None
    if problem is not None:
        raise problem
    return graph


def _identity(file: Path) -> Identity | None:
    try:
        found = file.stat()
    except OSError:
        return None
    # A new file can get a deleted one's inode, and a copy can keep its date, but no program can set the change time.
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
