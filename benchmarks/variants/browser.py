"""Find the variants of a bundle that run in headless Chromium, by lightrec.js and onnxruntime-web."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from lightrec.benchmarks.variants.variant import Absent, Variant, catalogue_bytes
from lightrec.bundle import PACKED_ITEMS, Manifest

WORKER = (sys.executable, "-m", "lightrec.benchmarks.workers.run_browser")


def chromium() -> str | None:
    """Return the path of Chromium or Chrome; None if it is not on the PATH."""
    from lightrec.verify.chromium import find_chromium  # imports the whole of http

    return find_chromium()


def browser_variants(bundle: Path, manifest: Manifest, requested: bool = True) -> list[Variant | Absent]:
    """Return a variant for each single-file ONNX model; its size excludes ONNX Runtime's own 14 MB.

    Args:
        bundle: the folder.
        manifest: its manifest.
        requested: whether it is to be measured; if not, Chromium is absent, with the way to get it.
    """
    missing = _missing(manifest)
    if missing is None and not requested:
        missing = "ask for it with --browser"
    if missing is not None:
        return [Absent("Chromium", missing, requested)]
    size = catalogue_bytes(bundle, manifest)
    return [
        Variant(
            "browser",
            model.precision,
            size + manifest.files[model.files[0]].bytes,
            {"precision": model.precision},
            device="Chromium",
            command=WORKER,
            label=f"Chromium {model.precision}",
        )
        for model in manifest.models
        if model.backend == "onnxruntime" and len(model.files) == 1
    ]


def _missing(manifest: Manifest) -> str | None:
    if importlib.util.find_spec("playwright") is None:
        return "not installed: pip install playwright"
    if chromium() is None:
        return "not installed: put Chromium or Chrome on the PATH"
    if PACKED_ITEMS[0] in manifest.files:
        return "the catalogue is too large for a page"
    return None
