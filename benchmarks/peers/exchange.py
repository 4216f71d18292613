"""Train other libraries' models in their own interpreters, and rank with their vectors by lightrec's protocol.

A peer needs other versions of what lightrec needs, so it lives in a virtual environment of its own. Its worker (one
file, ``worker_*.py``, that imports nothing of lightrec) reads the training sequences and the histories from a .npz
file and writes vectors back: one for each history, one for each item; a score is their product.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightrec.data.splits import Cases, Split
from lightrec.errors import ModelError

SEED_OF_CASES = 0
"""Draws the validation cases where there are more than ``most``: the same for every trial and seed."""

KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "-1", "MALLOC_TOP_PAD_": str(256 * 2**20)}
"""Makes glibc keep what a step frees for the next one. Logits over a whole catalogue are hundreds of megabytes, and to
fetch them from the system at every step took half of RecTools' time: a peer should be at its best."""


class PeerScorer:
    """A :class:`~lightrec.evaluation.protocol.Scorer` over the vectors that a worker wrote.

    Args:
        answer: the worker's .npz file, with ``items`` ``[N, d]`` (NaN where the peer never saw the item) and
            ``states`` ``[C, d]``.
        cases: the C cases whose histories it was asked about.
    """

    def __init__(self, answer: Mapping[str, np.ndarray], cases: Sequence[np.ndarray]):
        self.items = answer["items"]
        self.n_items = len(self.items)
        self._unknown = np.isnan(self.items).any(axis=1)
        self._states = {history.tobytes(): state for history, state in zip(cases, answer["states"], strict=True)}

    def score(self, histories: Sequence[np.ndarray]) -> np.ndarray:
        """Return scores float32 ``[B, N]`` of the histories; minus infinity for an unknown item."""
        states = np.stack([self._states[as_history(history).tobytes()] for history in histories])
        scores = (states @ np.nan_to_num(self.items).T).astype(np.float32)
        scores[:, self._unknown] = -np.inf
        return scores


def as_history(history: np.ndarray) -> np.ndarray:
    """Return a history in the form in which workers receive it, int64."""
    return np.ascontiguousarray(history, dtype=np.int64)


def sampled(cases: Cases, most: int) -> Cases:
    """Draw at most ``most`` of the cases; 0 takes all."""
    if not most or len(cases) <= most:
        return cases
    return cases.take(np.sort(np.random.default_rng(SEED_OF_CASES).choice(len(cases), most, replace=False)))


def write_request(path: Path, split: Split, validation: Cases, test: Cases) -> list[np.ndarray]:
    """Write what a worker needs; the test targets are not in it. Returns the histories in the order of its states."""
    histories = [as_history(cases.history(case)) for cases in (validation, test) for case in range(len(cases))]
    np.savez(
        path,
        n_items=split.n_items,
        train_items=split.train_items,
        train_offsets=split.train_offsets,
        histories=np.concatenate(histories),
        history_offsets=np.cumsum([0, *map(len, histories)]),
        targets=validation.targets,  # the first histories are the validation cases'
    )
    return histories


def ask(python: Path, worker: Path, request: Path, answer: Path, options: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Run ``worker`` with the interpreter ``python`` and return the arrays that it wrote to ``answer``.

    What it prints goes where our own output goes: a long training is seen to move.

    Args:
        python: an interpreter with the peer installed.
        worker: the worker's file.
        request: see :func:`write_request`.
        answer: where it writes.
        options: sizes and hyper-parameters; ``threads`` of them go to its libraries too.

    Raises:
        ModelError: if the worker fails; its last words are in the message.
    """
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(options["threads"]))
    environment = {**KEEP_MEMORY, **os.environ, **threads}
    # Isolated: the folder of the worker holds modules whose names are those of other packages.
    command = [str(python), "-I", str(worker), str(request), str(answer), json.dumps(dict(options))]
    try:
        done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True)
    except OSError as error:
        raise ModelError(f"The interpreter {python} cannot be started ({error.strerror}): check its path.") from None
    if done.returncode:
        words = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ModelError(f"{worker.name} failed under {python}: {words}")
    with np.load(answer) as arrays:
        return dict(arrays)
