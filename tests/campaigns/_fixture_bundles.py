"""Bundles of a small student with random weights, in every format that the environment writes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lightrec.models.students.sasrec import Sasrec

N_ITEMS, MAX_LENGTH, WIDTH = 24, 6, 16
IDS = [str(number) for number in range(N_ITEMS)]
TITLES = [f"Title {number}" if number % 5 else None for number in range(N_ITEMS)]
POPULARITY = [int(item) for item in np.random.default_rng(2).permutation(N_ITEMS)]


def student() -> Sasrec:
    """A student whose scores differ well; the same at every call."""
    import torch

    from lightrec.models.students.sasrec import Sasrec, SasrecConfig

    torch.manual_seed(1)
    sizes = {"hidden_size": WIDTH, "num_layers": 1, "num_heads": 2, "max_length": MAX_LENGTH}
    model = Sasrec(SasrecConfig(n_items=N_ITEMS, **sizes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=0.5)
    return model


def write_bundles(folder: Path, model: Sasrec) -> dict[str, tuple[Path, str]]:
    """ONNX with its parts, the same packed, ONNX Runtime's own format, and OpenVINO; each with its backend."""
    from campaigns._bundle_mutations import copy
    from mini_bundle import pack

    from lightrec.bundle import Catalogue, Manifest, write_catalogue, write_golden, write_manifest
    from lightrec.export.golden_cases import golden_cases, tolerance
    from lightrec.export.writers.to_parts import with_parts
    from lightrec.export.writers.write_models import PRECISIONS, Graphs, write_models
    from lightrec.runtime.backends.registry import open_backend

    graphs, written = Graphs(model), {}
    for name in ("onnx", "ort", "openvino"):
        path = folder / name
        path.mkdir(parents=True)
        records = with_parts(model, write_models(graphs, [(name, "fp32")], path, lambda _: None), PRECISIONS, path)
        sizes = (N_ITEMS, MAX_LENGTH, N_ITEMS, WIDTH)
        manifest = Manifest("lightrec-sasrec", *sizes, records, "0", "2026-01-01T00:00:00+00:00")
        write_catalogue(path, Catalogue(IDS, np.array(POPULARITY), TITLES))
        write_golden(path, [], 1e-3)
        manifest = write_manifest(path, manifest)
        cases = golden_cases(open_backend(path, manifest), np.ones(N_ITEMS, dtype=np.int64), MAX_LENGTH, N_ITEMS)
        write_golden(path, cases, tolerance(cases, "fp32", []))
        write_manifest(path, dataclasses.replace(manifest, files={}))
        written[name] = (path, records[0].backend)
    return {**written, "packed": (pack(copy(folder / "onnx", folder / "packed")), "onnxruntime")}
