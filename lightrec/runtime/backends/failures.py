"""Convert the exceptions of a runtime that loads or runs a model to errors of one sentence."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from lightrec.errors import BundleError

MIN_VERSIONS = {"onnxruntime": (1, 23), "openvino": (2025, 4)}
"""The oldest version of each runtime that supports all features of a bundle's models; the same as in pyproject.toml."""
MAX_REASON_CHARACTERS = 300
"""The most characters of a runtime's own message that are repeated."""


def cannot_load(backend: str, file: Path, error: Exception) -> BundleError:
    """Return the error for a ``file`` that ``backend`` cannot load; it names a runtime that is too old."""
    return BundleError(f"{backend} cannot load {file} ({reason(error)}): {_mend(backend)}.")


def cannot_run(backend: str, file: Path, error: Exception) -> BundleError:
    """Return the error for a loaded model that ``backend`` cannot run."""
    return BundleError(f"{backend} cannot run {file} ({reason(error)}): {_mend(backend)}.")


def wrong_answer(file: Path, problem: str) -> BundleError:
    """Return the error for an answer that the format does not allow."""
    return BundleError(
        f"{file} answers with {problem}, which no model of a bundle does: copy or export the bundle again."
    )


def require_answer(items: np.ndarray, scores: np.ndarray, rows: int, k: int, file: Path) -> None:
    """Raise an error unless an answer has one row of at most ``k`` items and scores for each of ``rows`` users."""
    if items.shape != scores.shape or items.ndim != 2 or len(items) != rows or items.shape[1] > k:
        raise wrong_answer(file, f"items of the shape {items.shape} and scores of the shape {scores.shape}")


def reason(error: Exception) -> str:
    """Return the first line of a runtime's message, without control characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = "".join(letter if letter.isprintable() else " " for letter in (lines or [type(error).__name__])[0])
    return text if len(text) <= MAX_REASON_CHARACTERS else f"{text[:MAX_REASON_CHARACTERS]}..."


def too_old(backend: str) -> str | None:
    """Return which version is installed and which is needed; None if it is new enough or unknown."""
    needed = MIN_VERSIONS.get(backend)
    try:
        found = version(backend) if needed else ""
    except PackageNotFoundError:  # the package may have another name, such as onnxruntime-gpu
        return None
    numbers = tuple(map(int, re.findall(r"\d+", found)[:2]))
    if not needed or len(numbers) < 2 or numbers >= needed:
        return None
    return f"{backend} {found} is installed, and {'.'.join(map(str, needed))} or newer is needed"


def _mend(backend: str) -> str:
    old = too_old(backend)
    return "copy or export the bundle again" if old is None else f"{old}: pip install --upgrade {backend}"
