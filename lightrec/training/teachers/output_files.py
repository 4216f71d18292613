"""Files of cached teacher outputs, with a record of how much is computed and checksums of the result.

``index.json`` is written after the arrays have been flushed to the disk, and contains their SHA-256 once all outputs
are computed. Outputs that are damaged, or were computed from other inputs, are computed again.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap

from lightrec.errors import ModelError
from lightrec.files.atomic import read_object, sha256_file, write_json

INDEX = "index.json"


class OutputFiles:
    """The arrays of one computation.

    Args:
        folder: the folder of the arrays.
        facts: what they depend on, including ``form``, ``rows``, ``n_items`` and, for form "top", ``top``.
    """

    def __init__(self, folder: Path, facts: dict[str, Any]):
        self.folder = folder
        self.facts = facts
        rows, full = facts["rows"], facts["form"] == "full"
        width = facts["n_items"] if full else facts["top"]
        self.shapes: dict[str, tuple[tuple[int, ...], type]] = {"logits": ((rows, width), np.float16)}
        if not full:
            self.shapes["items"] = ((rows, width), np.int32)
            self.shapes["rest"] = ((rows,), np.float32)

    def batches_done(self, batches: int) -> int:
        """Return how many of ``batches`` are computed and valid."""
        try:
            index = read_object(self.folder / INDEX, {"batches_done": int, "files": dict}, ModelError)
            self._open("r")
        except (ModelError, OSError, ValueError):
            return 0
        done = index.get("batches_done", 0)
        fits = 0 <= done <= batches and all(index.get(name) == value for name, value in self.facts.items())
        if not fits or (done == batches and not self._are_whole(index.get("files", {}))):
            return 0
        return done

    def open(self, new: bool) -> dict[str, np.memmap]:
        """Return the arrays for writing; the disk space of new ones is reserved at once.

        Raises:
            OSError: if the disk has too little space.
        """
        if not new:
            return self._open("r+")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        try:
            arrays = {name: self._made(name) for name in self.shapes}
        except OSError:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        self._write_index(0)
        return arrays

    def keep(self, arrays: dict[str, np.memmap], done: int, batches: int) -> None:
        """Flush the arrays to the disk and record how many batches are done."""
        for array in arrays.values():
            array.flush()
        files = {f"{name}.npy": sha256_file(self.folder / f"{name}.npy") for name in arrays} if done == batches else {}
        self._write_index(done, **({"files": files} if files else {}))

    def _write_index(self, done: int, **more: Any) -> None:
        write_json(self.folder / INDEX, {**self.facts, "batches_done": done, **more})

    def _made(self, name: str) -> np.memmap:
        shape, kind = self.shapes[name]
        file = self.folder / f"{name}.npy"
        array = open_memmap(file, mode="w+", dtype=kind, shape=shape)
        # With a sparse mapped file, a full disk would kill the process without an error message.
        if hasattr(os, "posix_fallocate"):
            with file.open("r+b") as opened:
                os.posix_fallocate(opened.fileno(), 0, max(1, file.stat().st_size))
        return array

    def _open(self, mode: Any) -> dict[str, np.memmap]:
        arrays = {}
        for name, (shape, kind) in self.shapes.items():
            arrays[name] = open_memmap(self.folder / f"{name}.npy", mode=mode)
            if arrays[name].shape != shape or arrays[name].dtype != kind:
                raise ValueError(f"{name}.npy is of another computation")
        return arrays

    def _are_whole(self, files: dict[str, str]) -> bool:
        """Return whether the arrays match their checksums; True for an older lightrec's arrays, which have none."""
        return all(
            sha256_file(self.folder / f"{name}.npy") == files.get(f"{name}.npy") for name in self.shapes if files
        )
