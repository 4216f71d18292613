"""The report of a verification: one check for each model and runtime."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

from lightrec.bundle import Manifest
from lightrec.errors import BundleError

Status = Literal["passed", "failed", "absent"]


@dataclasses.dataclass(frozen=True)
class ModelCheck:
    """The result of replaying the golden cases with one model of the bundle."""

    backend: str
    """The runtime."""
    precision: str
    """The model's precision, as in the manifest."""
    status: Status
    """The result; "absent" if the runtime is not installed or cannot read such a model, so nothing was replayed."""
    cases: int
    """Number of golden cases replayed."""
    max_score_difference: float | None
    """Largest difference from a recorded score; None if nothing was replayed."""
    detail: str
    """What is wrong, or how to install what is missing; empty if the model passed."""


@dataclasses.dataclass(frozen=True)
class VerifyReport:
    """The outcome of :func:`verify_bundle`, for a bundle whose hashes are all right."""

    path: Path
    """The bundle."""
    manifest: Manifest
    """The bundle's manifest."""
    tolerance: float
    """The maximum difference of a score from the recorded one."""
    models: tuple[ModelCheck, ...]
    """One per model of the bundle, and one more per ONNX model for each of Node.js and the browser, if requested."""

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
