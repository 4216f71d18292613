"""Does a bundle still answer as it did when it was exported? Hashes, then golden vectors in every runtime present."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from lightrec.bundle import (
    PACKED_ITEMS,
    GoldenCase,
    Manifest,
    ModelRecord,
    read_catalogue,
    read_golden,
    verify_hashes,
)
from lightrec.errors import BundleError, MissingExtraError
from lightrec.runtime.backends.parts import Parts
from lightrec.runtime.backends.registry import BACKENDS, Backend, OnnxRuntimeBackend, is_installed, open_backend
from lightrec.verify.node import PACKAGES, replay_in_node

Status = Literal["passed", "failed", "absent"]


@dataclasses.dataclass(frozen=True)
class ModelCheck:
    """What came of replaying the golden cases through one model of the bundle."""

    backend: str
    """The runtime."""
    precision: str
    """As in the manifest."""
    status: Status
    """"absent" where the runtime is not installed or does not read such a model, so that nothing could be replayed."""
    cases: int
    """Golden cases replayed."""
    max_score_difference: float | None
    """Largest difference from a recorded score; None where nothing was replayed."""
    detail: str
    """What is wrong, or how to get what is absent; empty where all is well."""


@dataclasses.dataclass(frozen=True)
class VerifyReport:
    """The outcome of :func:`verify_bundle`; the hashes have all been found right."""

    path: Path
    """The bundle."""
    manifest: Manifest
    """What it says of itself."""
    tolerance: float
    """Scores may differ from the golden ones by so much."""
    models: tuple[ModelCheck, ...]
    """One per model of the bundle; in Node.js and in a browser, where they were asked for, one per ONNX model again."""

    @property
    def passed(self) -> bool:
        """True if at least one model was replayed and none failed."""
        statuses = {check.status for check in self.models}
        return "passed" in statuses and "failed" not in statuses

    def require(self) -> None:
        """Raise :class:`BundleError` unless :attr:`passed`."""
        failed = [check for check in self.models if check.status == "failed"]
        wrong = [f"{check.backend} {check.precision}: {check.detail.rstrip('.')}" for check in failed]
        if wrong:
            raise BundleError(f"The bundle {self.path} does not answer as recorded ({'; '.join(wrong)}): export again.")
        if not self.passed:
            raise BundleError(
                f"No golden case of {self.path} could be replayed: install a runtime that it holds a model for."
            )


def verify_bundle(path: str | Path, node: bool = False, browser: bool = False) -> VerifyReport:
    """Check a bundle's hashes and replay its golden cases in every runtime that is installed here.

    Args:
        path: the bundle.
        node: also in Node.js, through lightrec.js.
        browser: also in headless Chromium, through lightrec.js.

    Raises:
        BundleError: if the bundle cannot be read; :class:`BundleIntegrityError` if a file is missing or differs.
            A model that answers wrongly does not raise: it is "failed" in the report.
    """
    path = Path(path)
    manifest = verify_hashes(path)
    read_catalogue(path, manifest, thorough=True)
    cases, tolerance = read_golden(path, manifest)
    checks = [_check(path, manifest, model, cases, tolerance) for model in manifest.models]
    if node:
        checks += _check_in_javascript(IN_NODE, path, manifest, cases, tolerance)
    if browser:
        checks += _check_in_javascript(IN_CHROMIUM, path, manifest, cases, tolerance)
    return VerifyReport(path, manifest, tolerance, tuple(checks))


def compare(case: GoldenCase, items: np.ndarray, scores: np.ndarray, tolerance: float) -> str | None:
    """What is wrong with an answer to a golden case; None if it is right.

    Args:
        case: the question and the recorded answer.
        items: the items answered, best first, without -1.
        scores: their scores.
        tolerance: scores may differ by so much, and items whose recorded scores are no further apart than that
            from a neighbour's may have changed places with it.
    """
    if len(items) != len(case.items):
        return f"{len(items)} items instead of {len(case.items)}"
    expected = np.array(case.scores, dtype=np.float64)
    difference = score_difference(case, scores)
    if not difference <= tolerance:  # also where it is not a number
        return f"scores differ by {difference:.2g}, more than {tolerance:.2g}"
    gaps = np.concatenate([[np.inf], -np.diff(expected)])
    # The last item may have changed places with the one that just missed the list.
    tied = (gaps <= tolerance) | (np.append(gaps[1:], 0) <= tolerance)
    wrong = np.flatnonzero((items != np.array(case.items)) & ~tied)
    return f"item {items[wrong[0]]} instead of {case.items[wrong[0]]} at rank {wrong[0] + 1}" if len(wrong) else None


def _check(path: Path, manifest: Manifest, model: ModelRecord, cases: list[GoldenCase], tolerance: float) -> ModelCheck:
    if model.backend not in BACKENDS:
        return ModelCheck(model.backend, model.precision, "absent", 0, None, "this lightrec does not know it")
    if not is_installed(model.backend):
        return ModelCheck(model.backend, model.precision, "absent", 0, None, f"pip install 'lightrec[{model.backend}]'")
    try:
        backend = open_backend(path, manifest, record=model)
        checks = [_judged(model, cases, [_replay(backend, case) for case in cases], tolerance)]
        if backend.parts is not None:
            in_steps = [replay_in_steps(backend.parts, case) for case in cases]
            checks.append(_judged(model, cases, in_steps, tolerance, "in steps, "))
            candidates = [replay_candidates(backend.parts, case) for case in cases]
            checks.append(_judged(model, cases, candidates, tolerance, "as candidates, "))
    except BundleError as error:
        return ModelCheck(model.backend, model.precision, "failed", 0, None, str(error))
    largest = max(check.max_score_difference or 0.0 for check in checks)
    worst = next((check for check in checks if check.status == "failed"), checks[0])
    detail = worst.detail or _left_out(backend)
    return dataclasses.replace(worst, max_score_difference=largest, detail=detail)


def _left_out(backend: Backend) -> str:
    """What the model was not checked for, as its files were deleted from the bundle."""
    if backend.parts is None and backend.record.parts:
        return "its graphs for sessions and candidates are not here, so that sessions read their whole history"
    return ""


@dataclasses.dataclass(frozen=True)
class _JavaScript:
    """A place where lightrec.js runs."""

    name: str
    """What it is called where it is absent."""
    replay: Callable[[Path, str], tuple[str, list[tuple[list[int], list[float]]]]]
    """Given the bundle and a precision, which runtime answered and how."""
    reads_packed: bool
    """Whether it reads the files of a large catalogue."""


def _replay_in_chromium(path: Path, precision: str) -> tuple[str, list[tuple[list[int], list[float]]]]:
    from lightrec.verify.chromium import replay_in_chromium  # imports the whole of http

    return replay_in_chromium(path, precision)


IN_NODE = _JavaScript(PACKAGES[0], replay_in_node, reads_packed=False)
IN_CHROMIUM = _JavaScript("chromium", _replay_in_chromium, reads_packed=True)  # as packaged, which writes lists


def _check_in_javascript(
    place: _JavaScript, path: Path, manifest: Manifest, cases: list[GoldenCase], tolerance: float
) -> Iterator[ModelCheck]:
    for model in manifest.models:
        if model.backend != OnnxRuntimeBackend.name:
            continue
        reason = _unread(place, manifest, model)
        if reason is None:
            yield _check_elsewhere(place, path, model, cases, tolerance)
        else:
            yield ModelCheck(place.name, model.precision, "absent", 0, None, reason)


def _unread(place: _JavaScript, manifest: Manifest, model: ModelRecord) -> str | None:
    """Why lightrec.js does not read such a bundle there; None if it does."""
    if len(model.files) > 1:
        return f"lightrec.js reads models of one file, not of {len(model.files)}: export in another precision"
    if PACKED_ITEMS[0] in manifest.files and not place.reads_packed:
        return "lightrec.js reads no packed catalogue: verify what  lightrec package BUNDLE --for web  writes"
    return None


def _check_elsewhere(
    place: _JavaScript, path: Path, model: ModelRecord, cases: list[GoldenCase], tolerance: float
) -> ModelCheck:
    try:
        runtime, answers = place.replay(path, model.precision)
    except MissingExtraError as error:
        return ModelCheck(place.name, model.precision, "absent", 0, None, str(error))
    except BundleError as error:
        return ModelCheck(place.name, model.precision, "failed", 0, None, str(error))
    if len(answers) != len(cases):
        reason = f"it answered {len(answers)} of {len(cases)} golden cases"
        return ModelCheck(runtime, model.precision, "failed", 0, None, reason)
    arrays = [(np.array(items, dtype=np.int64), np.array(scores, dtype=np.float64)) for items, scores in answers]
    return _judged(model, cases, arrays, tolerance, runtime=runtime)


def _judged(
    model: ModelRecord,
    cases: list[GoldenCase],
    answers: list[tuple[np.ndarray, np.ndarray]],
    tolerance: float,
    way: str = "",
    runtime: str | None = None,
) -> ModelCheck:
    """Compare the answers of a model with the golden ones; ``way`` says in a failure how it was asked."""
    problem, largest = None, 0.0
    for number, (case, (items, scores)) in enumerate(zip(cases, answers, strict=True)):
        found = compare(case, items, scores, tolerance)
        problem = problem or (found and f"{way}golden case {number}: {found}")
        largest = max(largest, score_difference(case, scores))
    status: Status = "failed" if problem else "passed"
    return ModelCheck(runtime or model.backend, model.precision, status, len(cases), largest, problem or "")


def _replay(backend: Backend, case: GoldenCase) -> tuple[np.ndarray, np.ndarray]:
    items, scores = backend.run(
        np.array([case.history], dtype=np.int64),
        np.array([len(case.history)], dtype=np.int64),
        np.array([case.exclude or [-1]], dtype=np.int64),
        np.array([case.k], dtype=np.int64),
    )
    return items[0], scores[0]


def replay_in_steps(parts: Parts, case: GoldenCase) -> tuple[np.ndarray, np.ndarray]:
    """The answer of a session to which the history came item by item."""
    history = np.array(case.history, dtype=np.int64)
    past = parts.start()
    for place in range(len(history)):
        state, past = parts.step(history[place : place + 1], past)
    length, exclude = np.array([len(history)], dtype=np.int64), np.array([case.exclude or [-1]], dtype=np.int64)
    items, scores = parts.score(state, history[None], length, exclude, np.array([case.k], dtype=np.int64))
    return items[0], scores[0]


def replay_candidates(parts: Parts, case: GoldenCase) -> tuple[np.ndarray, np.ndarray]:
    """The recorded items with the scores that the graph for few candidates gives them, in their recorded order."""
    history, items = np.array(case.history, dtype=np.int64), np.array(case.items, dtype=np.int64)
    if not len(items):
        return items, np.empty(0, dtype=np.float32)
    state, _ = parts.step(history, parts.start())
    return items, parts.score_candidates(state, history, items)


def score_difference(case: GoldenCase, scores: np.ndarray) -> float:
    """The largest difference of two scores at one rank, over the ranks that both answers have."""
    length = min(len(scores), len(case.scores))
    return float(np.abs(scores[:length] - np.array(case.scores[:length])).max(initial=0.0))
