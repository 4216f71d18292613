"""Verify a bundle: check its hashes, then replay its golden cases in every runtime that is installed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from lightrec.bundle import GoldenCase, Manifest, ModelRecord, read_catalogue, read_golden, verify_hashes
from lightrec.errors import BundleError
from lightrec.runtime.backends.base import Backend
from lightrec.runtime.backends.registry import BACKENDS, is_installed, open_backend
from lightrec.verify.compare import check_answers
from lightrec.verify.javascript import IN_CHROMIUM, IN_NODE, check_in_javascript
from lightrec.verify.python import replay, replay_candidates, replay_in_steps
from lightrec.verify.report import ModelCheck, VerifyReport


def verify_bundle(path: str | Path, node: bool = False, browser: bool = False) -> VerifyReport:
    """Check a bundle's hashes and replay its golden cases in every runtime that is installed here.

    Args:
        path: the bundle.
        node: whether to replay them in Node.js too, through lightrec.js.
        browser: whether to replay them in headless Chromium too, through lightrec.js.

    Raises:
        BundleError: if the bundle cannot be read; :class:`BundleIntegrityError` if a file is missing or differs.
            A model with wrong answers raises nothing: it is "failed" in the report.
    """
    path = Path(path)
    manifest = verify_hashes(path)
    read_catalogue(path, manifest, thorough=True)
    cases, tolerance = read_golden(path, manifest)
    checks = [_check(path, manifest, model, cases, tolerance) for model in manifest.models]
    if node:
        checks += check_in_javascript(IN_NODE, path, manifest, cases, tolerance)
    if browser:
        checks += check_in_javascript(IN_CHROMIUM, path, manifest, cases, tolerance)
    return VerifyReport(path, manifest, tolerance, tuple(checks))


def _check(path: Path, manifest: Manifest, model: ModelRecord, cases: list[GoldenCase], tolerance: float) -> ModelCheck:
    if model.backend not in BACKENDS:
        return ModelCheck(model.backend, model.precision, "absent", 0, None, "this lightrec does not know it")
    if not is_installed(model.backend):
        return ModelCheck(model.backend, model.precision, "absent", 0, None, f"pip install 'lightrec[{model.backend}]'")
    try:
        backend = open_backend(path, manifest, record=model)
        checks = [check_answers(model, cases, [replay(backend, case) for case in cases], tolerance)]
        if backend.parts is not None:
            in_steps = [replay_in_steps(backend.parts, case) for case in cases]
            checks.append(check_answers(model, cases, in_steps, tolerance, "in steps, "))
            candidates = [replay_candidates(backend.parts, case) for case in cases]
            checks.append(check_answers(model, cases, candidates, tolerance, "as candidates, "))
    except BundleError as error:
        return ModelCheck(model.backend, model.precision, "failed", 0, None, str(error))
    largest = max(check.max_score_difference or 0.0 for check in checks)
    worst = next((check for check in checks if check.status == "failed"), checks[0])
    detail = worst.detail or _left_out(backend)
    return dataclasses.replace(worst, max_score_difference=largest, detail=detail)


def _left_out(backend: Backend) -> str:
    """Return which checks were left out, because their files were deleted from the bundle."""
    if backend.parts is None and backend.record.parts:
        return "its graphs for sessions and candidates are not here, so that sessions read their whole history"
    return ""
