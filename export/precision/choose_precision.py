"""``--precision auto``: export in every precision, time and measure each here, keep the fastest that is good enough."""

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
"""Validation histories that are timed, one at a time, with the lengths that they have."""

ROUNDS = 15
"""Every candidate is timed so often, in turns, so that what else the machine does meets all of them."""

AS_FAST = 1.03
"""Times that differ by less than this factor count as equal: then the smaller file is taken."""


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One precision of a model: what it costs and what it keeps."""

    backend: str
    """The runtime."""
    precision: str
    """How its weights are stored."""
    bytes: int
    """Size of its files."""
    milliseconds: float | None
    """Median time of one request to the graph: of the rounds' medians, the smallest. None if it was not written."""
    parity: Parity | None
    """How it compares with the trained model; None if it is not a fair copy at all."""
    problem: str = ""
    """Why it cannot be chosen; empty if it can."""

    def to_json(self) -> dict[str, Any]:
        """As it stands in the report."""
        figures = {"parity": self.parity.to_json()} if self.parity else {}
        values = {field: getattr(self, field) for field in ("backend", "precision", "bytes", "milliseconds", "problem")}
        return {**values, **figures}


@dataclasses.dataclass(frozen=True)
class Speed:
    """One request to a model beside one to its copy in fp32 for the same runtime, timed in turns on this machine."""

    milliseconds: float
    """Of the model."""
    milliseconds_fp32: float
    """Of the copy in fp32."""

    def to_json(self) -> dict[str, Any]:
        """As it stands in a manifest."""
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
    """Write the best model for each format into ``folder``, and the report of the choice, ``precision.json``.

    Args:
        graphs: of the trained student.
        formats: which of :data:`~lightrec.export.writers.write_models.FORMATS`.
        cases: validation cases, to time and to compare on.
        manifest: that of the bundle, without its models.
        max_ndcg_drop: relative loss of NDCG@10 beyond which a copy may not be chosen.
        folder: an existing folder.
        progress: called with a few words at the beginning of each step.

    Returns:
        what the manifest says of each model, how it compares with the trained one, and its speed.
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
            opened.clear()  # before their files go
    write_json(folder / PRECISION_REPORT, report(seen, best, max_ndcg_drop))
    return tuple(records), tuple(candidate.parity for candidate in best if candidate.parity), tuple(speeds)


def speed_among(candidates: Sequence[Candidate], chosen: Candidate) -> Speed | None:
    """The speed of ``chosen``; None where no candidate in fp32 was timed beside it."""
    exact = next((candidate.milliseconds for candidate in candidates if candidate.precision == "fp32"), None)
    return None if exact is None or chosen.milliseconds is None else Speed(chosen.milliseconds, exact)


def speed_beside_fp32(graphs: Graphs, graph: Backend, cases: Cases, manifest: Manifest) -> Speed:
    """Time ``graph`` beside a copy in fp32 that is written for its runtime and thrown away."""
    name = next(name for name, runtime in RUNTIMES.items() if runtime == graph.name)
    with tempfile.TemporaryDirectory() as beside:
        written = write_models(graphs, [(name, "fp32")], Path(beside), lambda step: None)
        exact = open_backend(beside, dataclasses.replace(manifest, models=written))
        speed = Speed(*time_graphs([graph, exact], cases, manifest.max_length))
        del exact  # before its file goes
    return speed


def candidates(
    model: Student, graphs: Sequence[Backend], sizes: Sequence[int], cases: Cases, k_limit: int, max_ndcg_drop: float
) -> list[Candidate]:
    """Time the graphs of one runtime and compare each with ``model``.

    Args:
        model: the trained student.
        graphs: its copies, opened.
        sizes: bytes of the files of each.
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
    """Milliseconds of one request to each of ``graphs``, timed in turns on the same real histories."""
    drawn = np.random.default_rng(seed).choice(len(cases), min(HISTORIES, len(cases)), replace=False)
    questions = [_question(cases.history(int(case)), max_length) for case in drawn]
    medians = np.empty((ROUNDS + 1, len(graphs)))
    for row in medians:
        for place, graph in enumerate(graphs):
            row[place] = np.median([_milliseconds(graph, question) for question in questions])
    return [float(value) for value in medians[1:].min(axis=0)]  # the first round warms up


def choose(candidates: Sequence[Candidate]) -> Candidate:
    """The fastest that may be chosen; of those as fast, the smallest.

    Raises:
        ParityError: if none may be chosen, naming what is wrong with each.
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
    """What was chosen from what, on which machine; for precision.json."""
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
