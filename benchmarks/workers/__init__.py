"""Programs that time one variant each, in a process that :mod:`lightrec.benchmarks.harness` starts."""

from __future__ import annotations

from pathlib import Path


def worker_file(name: str) -> Path:
    """Return the file of the worker ``name``, for an interpreter that cannot import lightrec."""
    return Path(__file__).with_name(f"{name}.py")
