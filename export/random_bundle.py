"""A bundle with random weights, for measuring speed and memory at any size of catalogue.

``python -m lightrec.export.random_bundle --items 1000000 --out bundles/million`` writes one that answers as fast as a
trained student of its shape would; its answers mean nothing, and its manifest says so. ``--data`` takes the items'
ids and titles from a prepared data set instead.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import torch

from lightrec.bundle import Catalogue, Manifest, ModelRecord, write_catalogue, write_golden, write_manifest
from lightrec.data.dataset import Dataset
from lightrec.errors import ConfigError, LightrecError
from lightrec.export.golden_cases import golden_cases, tolerance
from lightrec.export.graphs.large_catalogue import TABLE_FILE
from lightrec.export.precision.calibrate import as_question
from lightrec.export.writers.large_table import Rows
from lightrec.export.writers.to_large import FEW, LARGE, to_large
from lightrec.export.writers.to_onnx import OPSET
from lightrec.export.writers.write_models import FORMAT_PRECISIONS, ONNX_FILE, Graphs
from lightrec.files.atomic import new_folder
from lightrec.models.students.sasrec import Sasrec, SasrecConfig
from lightrec.runtime.backends.registry import open_backend

MOST_TITLES = 1_000_000
"""A made-up catalogue with more items than this has no titles: they would take most of the memory."""


def random_bundle(catalogue: Catalogue, config: SasrecConfig, precision: str, out: Path, seed: int = 0) -> Manifest:
    """Write a bundle for ``catalogue`` around a student with random weights; returns its manifest.

    Args:
        catalogue: N items.
        config: configuration of the student, with N items.
        precision: a precision of ``lightrec export``.
        out: the folder to create.
        seed: seed of the weights.

    Raises:
        ConfigError: if ``out`` exists.
    """
    if out.exists():
        raise ConfigError(f"{out} exists: choose another folder for --out.")
    torch.manual_seed(seed)
    large = precision == "int8" and config.n_items >= LARGE
    record = ModelRecord("onnxruntime", precision, (ONNX_FILE, *((TABLE_FILE,) if large else ())), OPSET)
    manifest = Manifest(
        model_type=config.model_type,
        n_items=config.n_items,
        max_length=config.max_length,
        k_limit=min(100, config.n_items),
        hidden_size=config.hidden_size,
        models=(record,),
        lightrec_version=version("lightrec"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        training={"weights": "random", "seed": seed},
    )
    with new_folder(out) as folder:
        if large:
            # The table is never built in single precision: it may be larger than the memory.
            few = Sasrec(SasrecConfig(**{**config.to_dict(), "n_items": FEW}))
            few.config.n_items = config.n_items
            to_large(few.eval(), folder, ONNX_FILE, random_rows(config.hidden_size, seed))
        else:
            histories = np.random.default_rng(seed).integers(0, config.n_items, (16, config.max_length))
            graphs = Graphs(Sasrec(config).eval(), [as_question(history) for history in histories])
            onnx.save(graphs.smaller(precision), folder / ONNX_FILE)
        write_catalogue(folder, catalogue)
        cases = golden_cases(
            open_backend(folder, manifest),
            np.ones(config.n_items, dtype=np.int64),
            manifest.max_length,
            manifest.k_limit,
        )
        write_golden(folder, cases, tolerance(cases, precision, []))
        return write_manifest(folder, manifest)


def random_rows(width: int, seed: int) -> Rows:
    """Return a function that draws item vectors of about length one; the same range always gives the same vectors."""

    def rows(start: int, stop: int) -> np.ndarray:
        drawn = np.random.default_rng([seed, start]).standard_normal((stop - start, width), dtype=np.float32)
        return drawn / np.float32(width**0.5)

    return rows


def made_up(n_items: int) -> Catalogue:
    """Return a catalogue of ``n_items`` numbered items, with titles for at most :data:`MOST_TITLES` items."""
    names = [str(item) for item in range(n_items)]
    return Catalogue(names, np.arange(n_items), [f"Item {name}" for name in names] if n_items <= MOST_TITLES else None)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lightrec.export.random_bundle", description=__doc__)
    items = parser.add_mutually_exclusive_group(required=True)
    items.add_argument("--items", type=int, help="size of a made-up catalogue")
    items.add_argument("--data", type=Path, help="prepared data set whose items it has")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--precision", choices=FORMAT_PRECISIONS["onnx"], default="int8")
    sizes = {"hidden_size": 64, "intermediate_size": None, "num_layers": 2, "num_heads": 2, "max_length": 50}
    for name, default in sizes.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default)
    given = parser.parse_args(arguments)
    try:
        catalogue = made_up(given.items) if given.data is None else _of_data(given.data)
        config = SasrecConfig(n_items=len(catalogue.item_ids), **{name: getattr(given, name) for name in sizes})
        random_bundle(catalogue, config, given.precision, given.out)
    except (LightrecError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    return 0


def _of_data(path: Path) -> Catalogue:
    dataset = Dataset.open(path)
    return Catalogue(dataset.item_ids, np.arange(dataset.n_items), dataset.item_titles)


if __name__ == "__main__":
    sys.exit(main())
