"""What a teacher says about every training position: computed once, kept memory-mapped, read in batches.

The outputs lie in the teacher's run folder under ``outputs/<key>``; the key names the data, the split, the windows
and the form. A computation that was stopped goes on where it was. Layout of a folder::

    index.json    form, rows, catalogue size, temperature, batches done
    logits.npy    float16 [R, N] (form "full") or [R, K] (form "top")
    items.npy     int32 [R, K]   (form "top")
    rest.npy      float32 [R]    (form "top"): log of the summed exponentials of the other logits / temperature
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor

from lightrec.files import read_json, sha256_file, write_json
from lightrec.models.teacher import Teacher
from lightrec.training.losses import TeacherTargets
from lightrec.training.windows import Windows


@dataclasses.dataclass(frozen=True)
class OutputsPlan:
    """What is asked of the teacher, and where each answer stands.

    A causal teacher answers for every target of a window from the items before it. A masked teacher of a causal
    student does the same with one pass per target (the prefix and a mask), or its answers would know the future.
    A masked teacher of a masked student sees what the student sees: the window under each fixed pattern.
    """

    windows: Windows
    by_pattern: bool
    """Whether rows belong to the fixed patterns; otherwise to the targets of each window, in order."""
    patterns: np.ndarray | None
    """bool ``[W, P, T]`` for a masked student."""
    row_offsets: np.ndarray
    """int64: first row of each window (or ``[W, P]``: of each window's pattern)."""
    n_rows: int
    """R."""

    @classmethod
    def make(cls, windows: Windows, teacher_objective: str, patterns: np.ndarray | None) -> OutputsPlan:
        """Lay out the rows for a teacher and a student; ``patterns`` is None for a causal student."""
        by_pattern = teacher_objective == "masked" and patterns is not None
        counts = patterns.sum(axis=2).ravel() if by_pattern and patterns is not None else windows.lengths - 1
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        shape = patterns.shape[:2] if by_pattern and patterns is not None else (len(windows),)
        return cls(windows, by_pattern, patterns, offsets[:-1].reshape(shape), int(offsets[-1]))

    def rows(self, chosen: np.ndarray, pattern: np.ndarray | None) -> np.ndarray:
        """The rows for a batch's asked positions, window after window, in order."""
        parts = []
        for place, window in enumerate(chosen):
            if pattern is None:
                parts.append(self.row_offsets[window] + np.arange(self.windows.lengths[window] - 1))
                continue
            assert self.patterns is not None
            hidden = np.flatnonzero(self.patterns[window, pattern[place]])
            if self.by_pattern:
                parts.append(self.row_offsets[window, pattern[place]] + np.arange(len(hidden)))
            else:
                parts.append(self.row_offsets[window] + hidden - 1)
        return np.concatenate(parts)


class TeacherOutputs:
    """A teacher's answers on disk; see the module. Open one with :func:`prepare_outputs`."""

    def __init__(self, folder: Path, plan: OutputsPlan):
        self.plan = plan
        self.logits = np.load(folder / "logits.npy", mmap_mode="r", allow_pickle=False)
        is_full = read_json(folder / "index.json")["form"] == "full"
        self.items = None if is_full else np.load(folder / "items.npy", mmap_mode="r", allow_pickle=False)
        self.rest = None if is_full else np.load(folder / "rest.npy", mmap_mode="r", allow_pickle=False)

    def targets(self, chosen: np.ndarray, pattern: np.ndarray | None) -> TeacherTargets:
        """The answers for a batch of windows under ``pattern [B]`` (None for a causal student)."""
        rows = self.plan.rows(chosen, pattern)

        def read(array: np.ndarray) -> Tensor:
            return torch.from_numpy(np.asarray(array[rows]))

        if self.items is None or self.rest is None:
            return TeacherTargets(read(self.logits))
        return TeacherTargets(read(self.logits), read(self.items), read(self.rest))


def prepare_outputs(
    run: Path,
    load_teacher: Callable[[], Teacher],
    plan: OutputsPlan,
    *,
    n_items: int,
    temperature: float,
    max_bytes: float,
    top: int,
    context: dict[str, Any],
    device: str = "cpu",
    on_progress: Callable[[int, int], None] | None = None,
) -> TeacherOutputs:
    """Compute a teacher's outputs, or go on, or find them done.

    Args:
        run: the teacher's run folder.
        load_teacher: called only if something is left to compute.
        plan: what to ask.
        n_items: size of the catalogue, N.
        temperature: the student's; the remaining mass of form "top" depends on it.
        max_bytes: full logits are kept if they fit in here, the ``top`` best otherwise.
        context: further facts that the outputs depend on (data checksum, split, seed of the patterns).
        on_progress: called with (batches done, all batches).
    """
    full = plan.n_rows * n_items * 2 <= max_bytes
    facts = {
        **context,
        "weights": sha256_file(run / "model.safetensors"),
        "form": "full" if full else "top",
        "rows": plan.n_rows,
        "n_items": n_items,
        **({} if full else {"temperature": temperature, "top": min(top, n_items)}),
    }
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    folder = run / "outputs" / key
    batches = list(_batches(plan))
    done = read_json(folder / "index.json")["batches_done"] if (folder / "index.json").is_file() else 0
    if done < len(batches):
        arrays = _open_arrays(folder, facts, new=done == 0)
        write_json(folder / "index.json", {**facts, "batches_done": done})
        teacher = load_teacher().to(device).eval()
        for number in range(done, len(batches)):
            _fill(arrays, plan, batches[number], teacher, temperature, device)
            # Flushing after every batch would cost more than computing some again after a kill.
            if number % 16 == 15 or number == len(batches) - 1:
                for array in arrays.values():
                    array.flush()
                write_json(folder / "index.json", {**facts, "batches_done": number + 1})
            if on_progress:
                on_progress(number + 1, len(batches))
    return TeacherOutputs(folder, plan)


def _batches(plan: OutputsPlan, size: int = 128) -> Iterator[np.ndarray]:
    """Windows of like length together, in a fixed order."""
    order = np.argsort(plan.windows.lengths, kind="stable")
    for first in range(0, len(order), size):
        yield order[first : first + size]


def _open_arrays(folder: Path, facts: dict[str, Any], new: bool) -> dict[str, np.memmap]:
    folder.mkdir(parents=True, exist_ok=True)
    width = facts["n_items"] if facts["form"] == "full" else facts["top"]
    shapes: dict[str, tuple[tuple[int, ...], type]] = {"logits": ((facts["rows"], width), np.float16)}
    if facts["form"] == "top":
        shapes["items"] = ((facts["rows"], width), np.int32)
        shapes["rest"] = ((facts["rows"],), np.float32)
    if new:
        return {
            name: open_memmap(folder / f"{name}.npy", mode="w+", dtype=kind, shape=shape)
            for name, (shape, kind) in shapes.items()
        }
    return {name: np.load(folder / f"{name}.npy", mmap_mode="r+", allow_pickle=False) for name in shapes}


def _fill(
    arrays: dict[str, np.memmap],
    plan: OutputsPlan,
    chosen: np.ndarray,
    teacher: Teacher,
    temperature: float,
    device: str,
) -> None:
    """Ask the teacher about the windows ``chosen`` and write the answers at their rows."""
    for rows, logits in _ask(plan, chosen, teacher, device):
        if "items" not in arrays:
            arrays["logits"][rows] = logits.cpu().numpy().astype(np.float16)
            continue
        best, items = logits.topk(arrays["items"].shape[1], dim=1)
        others = logits.scatter(1, items, float("-inf"))
        arrays["logits"][rows] = best.cpu().numpy().astype(np.float16)
        arrays["items"][rows] = items.cpu().numpy().astype(np.int32)
        arrays["rest"][rows] = torch.logsumexp(others / temperature, dim=1).clamp(min=-1e4).cpu().numpy()


@torch.inference_mode()
def _ask(plan: OutputsPlan, chosen: np.ndarray, teacher: Teacher, device: str) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Rows and logits ``[rows, N]``, in pieces that fit in memory."""
    items, length = plan.windows.batch(chosen, padding=teacher.config.n_items)
    items, length = items.to(device), length.to(device)
    if plan.by_pattern:
        assert plan.patterns is not None
        for pattern in range(plan.patterns.shape[1]):
            masked = torch.from_numpy(plan.patterns[chosen, pattern][:, : items.shape[1]]).to(device)
            states = teacher.states(items, length, masked)[masked]
            yield plan.rows(chosen, np.full(len(chosen), pattern)), teacher.logits(states)
    elif teacher.objective == "causal":
        asked = torch.arange(items.shape[1] - 1, device=device)[None, :] < (length - 1)[:, None]
        yield plan.rows(chosen, None), teacher.logits(teacher.states(items[:, :-1])[asked])
    else:
        # One target a pass: the items before position t, and a mask at t.
        for t in range(1, items.shape[1]):
            inside = (length > t).nonzero().squeeze(1)
            prefix = items[inside, :t]
            scores = teacher.score(prefix, torch.full_like(inside, t))
            yield plan.row_offsets[chosen[inside.cpu().numpy()]] + t - 1, scores
