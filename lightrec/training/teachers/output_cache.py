"""Cache of teacher outputs at every training position: computed once, memory-mapped, read in batches.

Several teachers are combined into one :class:`Voice`, so that a step reads one set of targets for any number of
teachers. The outputs are in a folder ``<key>`` in the outputs folder of the first teacher's run; the key is a hash of
the weights, the data, the split, the windows and the form. An interrupted computation resumes where it stopped. Layout
of a folder::

    index.json    form, rows, catalogue size, temperature, batches done, and at the end SHA-256 of the others
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
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from lightrec.files.atomic import read_json
from lightrec.files.locks import locked
from lightrec.files.write_failures import writing
from lightrec.models.students.student import Student
from lightrec.models.teachers.teacher import Teacher
from lightrec.training.loop.losses import TeacherTargets
from lightrec.training.loop.windows import Windows
from lightrec.training.teachers.output_files import OutputFiles

MOST_SCORES = 100_000_000
"""Most scores that a batch of windows may need: windows of a large catalogue are processed in smaller batches."""

CHUNK = 8_000_000
"""Most scores in memory at once for each teacher."""


@dataclasses.dataclass(frozen=True)
class OutputsPlan:
    """The positions whose teacher outputs are needed, and the row of each in the arrays.

    A causal teacher predicts every target of a window from the items before it. A masked teacher of a causal student
    does the same with one pass per target (the prefix and a mask), because its outputs must not depend on later items.
    A masked teacher of a masked student reads the same input as the student: the window under each fixed pattern.
    """

    windows: Windows
    by_pattern: bool
    """Whether rows are for the hidden items of the fixed patterns; else for the targets of each window, in order."""
    patterns: np.ndarray | None
    """bool ``[W, P, T]`` for a masked student, else None."""
    row_offsets: np.ndarray
    """int64: first row of each window ``[W]``, or of each pattern of each window ``[W, P]``."""
    n_rows: int
    """Number of rows, R."""

    @classmethod
    def make(cls, windows: Windows, teacher_objective: str, patterns: np.ndarray | None) -> OutputsPlan:
        """Lay out the rows for teachers and a student.

        Args:
            windows: the student's windows.
            teacher_objective: ``masked`` if all teachers are masked, else ``causal``.
            patterns: fixed masks of a masked student; None for a causal student.
        """
        by_pattern = teacher_objective == "masked" and patterns is not None
        counts = patterns.sum(axis=2).ravel() if by_pattern and patterns is not None else windows.lengths - 1
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        shape = patterns.shape[:2] if by_pattern and patterns is not None else (len(windows),)
        return cls(windows, by_pattern, patterns, offsets[:-1].reshape(shape), int(offsets[-1]))

    def rows(self, chosen: np.ndarray, pattern: np.ndarray | None) -> np.ndarray:
        """Return the rows of a batch's target positions, window after window, in order."""
        parts = []
        for window, drawn, steps in self._asked(chosen, pattern):
            if self.by_pattern:
                parts.append(self.row_offsets[window, drawn] + np.arange(len(steps)))
            else:
                parts.append(self.row_offsets[window] + steps - 1)
        return np.concatenate(parts)

    def events(self, chosen: np.ndarray, pattern: np.ndarray | None) -> np.ndarray:
        """Return the training event, an index into ``windows.items``, that is the target of each of these rows."""
        return np.concatenate(
            [self.windows.starts[window] + steps for window, _, steps in self._asked(chosen, pattern)]
        )

    def _asked(self, chosen: np.ndarray, pattern: np.ndarray | None) -> Iterator[tuple[int, int | None, np.ndarray]]:
        """Yield each window, its pattern, and the steps of its targets."""
        for place, window in enumerate(chosen):
            if pattern is None:
                yield window, None, np.arange(1, self.windows.lengths[window])
            else:
                assert self.patterns is not None
                yield window, pattern[place], np.flatnonzero(self.patterns[window, pattern[place]])


class Voice(Protocol):
    """A teacher, or several combined, that gives logits for the rows of a plan."""

    def answer(self, plan: OutputsPlan, chosen: np.ndarray, pattern: np.ndarray | None) -> Callable[[slice], Tensor]:
        """Read windows ``chosen``; return a function that gives logits ``[r, N]`` of a part of ``plan.rows(...)``."""
        ...


class ModelVoice:
    """The :class:`Voice` of a teacher model, or of a student used as a teacher.

    Args:
        model: the model, which is put into evaluation mode.
        device: the device to compute on.
    """

    def __init__(self, model: Teacher | Student, device: str = "cpu"):
        self.model: Any = model.to(device).eval()  # type: ignore[arg-type]
        self.device = device

    def answer(self, plan: OutputsPlan, chosen: np.ndarray, pattern: np.ndarray | None) -> Callable[[slice], Tensor]:
        """See :class:`Voice`."""
        states = self._states(plan, chosen, pattern)
        return lambda part: self.model.logits(states[part])

    def _states(self, plan: OutputsPlan, chosen: np.ndarray, pattern: np.ndarray | None) -> Tensor:
        """Return the state ``[r, E]`` of each row."""
        items, length = plan.windows.batch(chosen, padding=self.model.config.n_items)
        items, length = items.to(self.device), length.to(self.device)
        if pattern is not None:
            assert plan.patterns is not None
            masked = torch.from_numpy(plan.patterns[chosen, pattern][:, : items.shape[1]]).to(self.device)
            return self.model.states(items, length, masked)[masked]
        asked = torch.arange(items.shape[1] - 1, device=self.device)[None, :] < (length - 1)[:, None]
        if self.model.objective == "causal":
            return self.model.states(items[:, :-1])[asked]
        # One target per pass: the items before step t, and a mask at t.
        steps = [self.model.last_state(items[:, :t], (length - 1).clamp(max=t)) for t in range(1, items.shape[1])]
        return torch.stack(steps, dim=1)[asked]


class TeacherOutputs:
    """Cached teacher outputs on disk; see the module. Open them with :func:`prepare_outputs`."""

    def __init__(self, folder: Path, plan: OutputsPlan):
        self.plan = plan
        self.logits = np.load(folder / "logits.npy", mmap_mode="r", allow_pickle=False)
        is_full = read_json(folder / "index.json")["form"] == "full"
        self.items = None if is_full else np.load(folder / "items.npy", mmap_mode="r", allow_pickle=False)
        self.rest = None if is_full else np.load(folder / "rest.npy", mmap_mode="r", allow_pickle=False)

    def targets(self, chosen: np.ndarray, pattern: np.ndarray | None) -> TeacherTargets:
        """Return the targets for a batch of windows under ``pattern [B]`` (None for a causal student)."""
        rows = self.plan.rows(chosen, pattern)

        def read(array: np.ndarray) -> Tensor:
            return torch.from_numpy(np.asarray(array[rows]))

        if self.items is None or self.rest is None:
            return TeacherTargets(read(self.logits))
        return TeacherTargets(read(self.logits), read(self.items), read(self.rest))


def prepare_outputs(
    outputs: Path,
    open_voice: Callable[[], Voice],
    plan: OutputsPlan,
    *,
    n_items: int,
    temperature: float,
    max_bytes: float,
    top: int,
    context: dict[str, Any],
    on_progress: Callable[[int, int], None] | None = None,
) -> TeacherOutputs:
    """Compute teacher outputs, or resume or reuse earlier ones; wait if another command is computing them.

    Args:
        outputs: the folder of the folders ``<key>``.
        open_voice: opens the teachers; called only if something remains to be computed.
        plan: the rows to compute.
        n_items: size of the catalogue, N.
        temperature: the temperature of distillation, on which the remaining mass of form "top" depends.
        max_bytes: full logits are cached if they fit into this size, else only the ``top`` best.
        top: number of best items in form "top", K.
        context: further facts that the outputs depend on (teachers' weights, data checksum, split, seed of the
            patterns).
        on_progress: called with (batches done, all batches).
    """
    full = plan.n_rows * n_items * 2 <= max_bytes
    facts = {
        **context,
        "form": "full" if full else "top",
        "rows": plan.n_rows,
        "n_items": n_items,
        **({} if full else {"temperature": temperature, "top": min(top, n_items)}),
    }
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    folder = outputs / key
    files, batches = OutputFiles(folder, facts), list(question_batches(plan, n_items))
    if files.batches_done(len(batches)) < len(batches):
        outputs.mkdir(parents=True, exist_ok=True)
        with writing(folder), locked(folder, wait=True):
            _compute(files, plan, batches, open_voice, n_items, temperature, on_progress)
    return TeacherOutputs(folder, plan)


def _compute(
    files: OutputFiles,
    plan: OutputsPlan,
    batches: list[np.ndarray],
    open_voice: Callable[[], Voice],
    n_items: int,
    temperature: float,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    """Compute the missing batches, unless another command has done so in the meantime."""
    done = files.batches_done(len(batches))
    if done == len(batches):
        return
    arrays = files.open(new=done == 0)
    voice = open_voice()
    for number in range(done, len(batches)):
        _fill(arrays, plan, batches[number], voice, n_items, temperature)
        # Flushing after every batch would cost more than recomputing some batches after a kill.
        if number % 16 == 15 or number == len(batches) - 1:
            files.keep(arrays, number + 1, len(batches))
        if on_progress:
            on_progress(number + 1, len(batches))


def question_batches(plan: OutputsPlan, n_items: int) -> Iterator[np.ndarray]:
    """Yield batches of windows of similar length, in a fixed order."""
    longest = int(plan.windows.lengths.max(initial=1))
    size = max(1, min(128, MOST_SCORES // (longest * n_items)))
    order = np.argsort(plan.windows.lengths, kind="stable")
    for first in range(0, len(order), size):
        yield order[first : first + size]


@torch.inference_mode()
def _fill(
    arrays: dict[str, np.memmap],
    plan: OutputsPlan,
    chosen: np.ndarray,
    voice: Voice,
    n_items: int,
    temperature: float,
) -> None:
    """Compute the outputs of the windows ``chosen`` and write them to their rows."""
    patterns = range(plan.patterns.shape[1]) if plan.by_pattern and plan.patterns is not None else (None,)
    step = max(1, CHUNK // n_items)
    for number in patterns:
        pattern = None if number is None else np.full(len(chosen), number)
        rows = plan.rows(chosen, pattern)
        answer = voice.answer(plan, chosen, pattern)
        for first in range(0, len(rows), step):
            part = slice(first, first + step)
            _write(arrays, rows[part], answer(part), temperature)


def _write(arrays: dict[str, np.memmap], rows: np.ndarray, logits: Tensor, temperature: float) -> None:
    if "items" not in arrays:
        arrays["logits"][rows] = logits.cpu().numpy().astype(np.float16)
        return
    best, items = logits.topk(arrays["items"].shape[1], dim=1)
    others = logits.scatter(1, items, float("-inf"))
    arrays["logits"][rows] = best.cpu().numpy().astype(np.float16)
    arrays["items"][rows] = items.cpu().numpy().astype(np.int32)
    arrays["rest"][rows] = torch.logsumexp(others / temperature, dim=1).clamp(min=-1e4).cpu().numpy()
