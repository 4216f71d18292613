"""``--precision auto``: export in every precision, time and check each here, and choose the fastest accurate one."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightrec.bundle import PRECISION_REPORT, Manifest, ModelRecord
from lightrec.data.splits import Cases
from lightrec.errors import ModelError, ParityError
from lightrec.export.parity_gate import Parity, check_parity
from lightrec.export.writers.write_models import FORMAT_PRECISIONS, RUNTIMES, Graphs, write_models
from lightrec.files.atomic import write_json
from lightrec.machine.doctor import diagnose
from lightrec.models.students.student import Student
from lightrec.runtime.backends.base import Backend
from lightrec.runtime.backends.registry import open_backend

HISTORIES = 200
"""Largest number of validation histories used for timing, one per request, with their own lengths."""

ROUNDS = 15
"""Number of timing rounds. Each round times every candidate, so that other load on the machine affects them all."""

AS_FAST = 1.03
"""Times that differ by less than this factor count as equal; the smallest candidate is then chosen."""


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A model in one precision: its size, speed and accuracy."""

    backend: str
    """Name of the runtime."""
    precision: str
    """Precision of the weights."""
    bytes: int
    """Size of its files in bytes."""
    milliseconds: float | None
    """Time of one request to the graph: the smallest of the rounds' medians. None if the model was not written."""
    parity: Parity | None
    """Comparison with the trained model; None if the model was not written or the gate rejected its answers."""
    problem: str = ""
    """Reason why it cannot be chosen; empty if it can."""

    def to_json(self) -> dict[str, Any]:
        """Return the candidate as written in the report."""
        figures = {"parity": self.parity.to_json()} if self.parity else {}
        values = {field: getattr(self, field) for field in ("backend", "precision", "bytes", "milliseconds", "problem")}
        return {**values, **figures}


@dataclasses.dataclass(frozen=True)
class Speed:
    """Time of one request to a model and to its fp32 copy for the same runtime, timed alternately on this machine."""

    milliseconds: float
    """Time of the model."""
    milliseconds_fp32: float
    """Time of the fp32 copy."""

    def to_json(self) -> dict[str, Any]:
        """Return the speed as written in a manifest."""
        return {**dataclasses.asdict(self), "faster_than_fp32": self.faster}

    @property
    def faster(self) -> bool:
        """Whether the model is faster by more than :data:`AS_FAST`."""
        return self.milliseconds * AS_FAST < self.milliseconds_fp32


def write_best(
    graphs: Graphs,
    formats: Sequence[str],
    cases: Cases,
    manifest: Manifest,
    max_ndcg_drop: float,
    folder: Path,
    progress: Callable[[str], None],
) -> tuple[tuple[ModelRecord, ...], tuple[Parity, ...], tuple[Speed | None, ...]]:
    """Write the best model for each format, and the report ``precision.json``, into ``folder``.

    Args:
        graphs: inference graphs of the trained student.
        formats: some of :data:`~lightrec.export.writers.write_models.FORMATS`.
        cases: validation cases for timing and comparison.
        manifest: manifest of the bundle, without models.
        max_ndcg_drop: relative loss of NDCG@10 beyond which a copy may not be chosen.
        folder: an existing folder.
        progress: called with a short text at the beginning of each step.

    Returns:
        each model's record for the manifest, its comparison with the trained one, and its speed.
    """
    seen: list[Candidate] = []
    best, records, speeds = [], [], []
    for name in formats:
        with tempfile.TemporaryDirectory() as beside:
            opened: dict[str, Backend] = {}
            found = []
            for precision in FORMAT_PRECISIONS[name]:
                place = Path(beside, precision)
                place.mkdir()
                try:
                    written = write_models(graphs, [(name, precision)], place, progress)
                except ModelError as error:
                    found.append(Candidate(RUNTIMES[name], precision, 0, None, None, str(error)))
                else:
                    opened[precision] = open_backend(place, dataclasses.replace(manifest, models=written))
            progress(f"Timing and comparing the {name} models")
            sizes = [sum(file.stat().st_size for file in Path(beside, precision).iterdir()) for precision in opened]
            found += candidates(graphs.model, [*opened.values()], sizes, cases, manifest.k_limit, max_ndcg_drop)
            best.append(choose(found))
            seen += found
            speeds.append(speed_among(found, best[-1]))
            records.append(opened[best[-1].precision].record)
            for file in records[-1].files:
                shutil.copyfile(Path(beside, best[-1].precision, file), folder / file)
            opened.clear()  # before their files are deleted
    write_json(folder / PRECISION_REPORT, report(seen, best, max_ndcg_drop))
    return tuple(records), tuple(candidate.parity for candidate in best if candidate.parity), tuple(speeds)


def speed_among(candidates: Sequence[Candidate], chosen: Candidate) -> Speed | None:
    """Return the speed of ``chosen``; None if no fp32 candidate was timed with it."""
    exact = next((candidate.milliseconds for candidate in candidates if candidate.precision == "fp32"), None)
    return None if exact is None or chosen.milliseconds is None else Speed(chosen.milliseconds, exact)


def speed_beside_fp32(graphs: Graphs, graph: Backend, cases: Cases, manifest: Manifest) -> Speed:
    """Time ``graph`` and a temporary fp32 copy for the same runtime."""
    name = next(name for name, runtime in RUNTIMES.items() if runtime == graph.name)
    with tempfile.TemporaryDirectory() as beside:
        written = write_models(graphs, [(name, "fp32")], Path(beside), lambda step: None)
        exact = open_backend(beside, dataclasses.replace(manifest, models=written))
        speed = Speed(*time_graphs([graph, exact], cases, manifest.max_length))
        del exact  # before its file is deleted
    return speed


def candidates(
    model: Student, graphs: Sequence[Backend], sizes: Sequence[int], cases: Cases, k_limit: int, max_ndcg_drop: float
) -> list[Candidate]:
    """Time the graphs of one runtime and compare each with ``model``.

    Args:
        model: the trained student.
        graphs: the exported copies, opened.
        sizes: size of the files of each, in bytes.
        cases: validation cases.
        k_limit: the longest ranking that is compared.
        max_ndcg_drop: relative loss of NDCG@10 beyond which a copy may not be chosen.
    """
    found = []
    times = time_graphs(graphs, cases, model.config.max_length)
    for graph, size, milliseconds in zip(graphs, sizes, times, strict=True):
        name = (graph.name, graph.record.precision)
        try:
            parity = check_parity(model, graph, cases, precision=name[1], k_limit=k_limit, max_ndcg_drop=1)
        except ParityError as error:
            found.append(Candidate(*name, size, milliseconds, None, str(error)))
            continue
        lost = f"{' '.join(name)} loses {parity.ndcg_drop:.2%} of NDCG@10, {max_ndcg_drop:.2%} are allowed."
        found.append(Candidate(*name, size, milliseconds, parity, lost if parity.ndcg_drop > max_ndcg_drop else ""))
    return found


def time_graphs(graphs: Sequence[Backend], cases: Cases, max_length: int, seed: int = 0) -> list[float]:
    """Return the milliseconds of one request to each of ``graphs``, timed alternately on the same real histories."""
    drawn = np.random.default_rng(seed).choice(len(cases), min(HISTORIES, len(cases)), replace=False)
    questions = [_question(cases.history(int(case)), max_length) for case in drawn]
    medians = np.empty((ROUNDS + 1, len(graphs)))
    for row in medians:
        for place, graph in enumerate(graphs):
            row[place] = np.median([_milliseconds(graph, question) for question in questions])
    return [float(value) for value in medians[1:].min(axis=0)]  # the first round warms up


def choose(candidates: Sequence[Candidate]) -> Candidate:
    """Return the smallest of the candidates that may be chosen and are as fast as the fastest (:data:`AS_FAST`).

    Raises:
        ParityError: if none may be chosen, with the reason for each.
    """
    fitting = [candidate for candidate in candidates if not candidate.problem]
    if not fitting:
        raise ParityError(" ".join(candidate.problem for candidate in candidates))
    limit = AS_FAST * min(_time(candidate) for candidate in fitting)
    return min((c for c in fitting if _time(c) <= limit), key=lambda candidate: candidate.bytes)


def _time(candidate: Candidate) -> float:
    assert candidate.milliseconds is not None, "what was not written has a problem"
    return candidate.milliseconds


def report(candidates: Sequence[Candidate], chosen: Sequence[Candidate], max_ndcg_drop: float) -> dict[str, Any]:
    """Return the content of precision.json: the machine, the candidates and the chosen ones."""
    machine = diagnose()
    return {
        "max_ndcg_drop": max_ndcg_drop,
        "machine": {"processor": machine.processor, "cores": machine.usable_cores, "threads": 1},
        "chosen": [{"backend": candidate.backend, "precision": candidate.precision} for candidate in chosen],
        "candidates": [candidate.to_json() for candidate in candidates],
    }


def _question(history: np.ndarray, max_length: int) -> tuple[np.ndarray, ...]:
    recent, older = history[-max_length:], history[:-max_length]
    parts = ([recent], [len(recent)], [older if len(older) else [-1]], [10])
    return tuple(np.array(part, dtype=np.int64) for part in parts)


def _milliseconds(graph: Backend, question: tuple[np.ndarray, ...]) -> float:
    start = time.perf_counter()
    graph.run(*question)
    return (time.perf_counter() - start) * 1e3
