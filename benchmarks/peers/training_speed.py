"""Time a training epoch of SASRec in lightrec, RecTools and RePlay, with equal size and threads.

``python -m lightrec.benchmarks.peers.training_speed prepared/ml-1m --rectools A/bin/python --replay B/bin/python --out
rows.jsonl`` trains each for a few epochs with full-catalogue cross-entropy, interleaved, and adds a row of kind
``training-speed`` each. Only epochs are timed, no validation and no start; the first of each round warms up and is not
counted. All see the same events: the last ``--max-length`` + 1 of each user, which are all that the others train on.
With ``--precision fp32 bf16`` each library trains in both, the others by what Lightning calls ``bf16-mixed``.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from lightrec.benchmarks.argument_types import count
from lightrec.benchmarks.peers.exchange import ask, write_request
from lightrec.benchmarks.rows import append_rows, machine, software
from lightrec.benchmarks.workers import worker_file
from lightrec.data.dataset import Dataset, write_dataset
from lightrec.data.splits import Split, make_split
from lightrec.errors import ConfigError, LightrecError

WORKERS = {"RecTools": "train_rectools", "RePlay": "train_replay"}


class EpochClock:
    """Record the seconds of each epoch, as a progress reporter."""

    def __init__(self, epochs: int):
        self.epochs = epochs
        self.marks: list[float] = []

    def start(self, what: str, total: int, done: int = 0) -> None:
        """Training begins."""
        self.steps = total // self.epochs
        self.marks = [time.perf_counter()]

    def advance(self, done: int) -> None:
        """A step is done."""
        if done % self.steps == 0:
            self.marks.append(time.perf_counter())

    def note(self, text: str) -> None:
        """Nothing to time."""

    def stop(self) -> None:
        """Nothing to time."""

    @property
    def seconds(self) -> list[float]:
        """Return the seconds of each epoch."""
        return np.diff(self.marks).tolist()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    given = _parser().parse_args(arguments)
    try:
        rows = measure(given)
        append_rows(given.out, rows)
    except (LightrecError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    for row in rows:
        print(
            f"{row['label']}, {row['settings']['precision']}: {row['seconds_per_epoch']:.2f} s an epoch of "
            f"{row['targets_per_epoch']:,} targets, {row['seconds_per_million_targets']:.1f} s for a million; "
            f"{row['parameters']:,} parameters"
        )
    return 0


def measure(given: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row for each library and precision, lightrec first, interleaved over ``rounds`` rounds."""
    from lightrec.training.loop.precision import resolve_precision

    if given.epochs < 2:
        raise ConfigError(f"--epochs is {given.epochs}: the first one is not counted, so at least 2 are needed.")
    for precision in given.precision:
        resolve_precision(precision, "cpu")
    dataset = Dataset.open(given.data)
    peers = {name: python for name, python in (("RecTools", given.rectools), ("RePlay", given.replay)) if python}
    size = {name: getattr(given, name) for name in ("hidden_size", "num_layers", "num_heads", "max_length")}
    options = {**size, "batch_size": given.batch_size, "epochs": given.epochs, "threads": given.threads}
    options |= {"dropout": 0.5, "learning_rate": 1e-3, "seed": 0}
    # The others' feed-forward blocks are as wide inside as outside, as in SASRec's paper.
    options["intermediate_size"] = given.hidden_size
    workers = list(itertools.product(("lightrec", *peers), dict.fromkeys(given.precision)))
    found: dict[tuple[str, str], list[dict[str, Any]]] = {worker: [] for worker in workers}
    with tempfile.TemporaryDirectory() as folder:
        shortened = last_events(dataset, options["max_length"] + 3, Path(folder, "data"))  # two are held out
        split = make_split(shortened)
        request, answer = Path(folder, "request.npz"), Path(folder, "answer.npz")
        write_request(request, split, split.validation, split.test)
        for turn, (name, precision) in itertools.product(range(given.rounds), workers):
            if name == "lightrec":
                out = Path(folder, f"run-{precision}-{turn}")
                timed = _ours(shortened.path, out, {**options, "precision": precision})
            else:
                worker = worker_file(WORKERS[name])
                settings = {**options, "precision": precision, "validate": False}
                timed = ask(peers[name], worker, request, answer, settings)
            found[name, precision].append(timed)
    return [
        _row(name, turns, dataset, split, {**options, "precision": precision})
        for (name, precision), turns in found.items()
    ]


def last_events(dataset: Dataset, count: int, path: Path) -> Dataset:
    """``dataset`` with the last ``count`` events of each user alone, written to ``path``."""
    lengths = np.diff(dataset.offsets)
    from_end = np.repeat(dataset.offsets[1:], lengths) - np.arange(len(dataset.items))
    last = from_end <= count
    return write_dataset(
        path,
        name=dataset.name,
        user_ids=dataset.user_ids,
        item_ids=dataset.item_ids,
        item_texts=dataset.item_texts,
        offsets=np.concatenate([[0], np.cumsum(np.minimum(lengths, count))]),
        items=np.asarray(dataset.items)[last],
        timestamps=np.asarray(dataset.timestamps)[last],
        order_only=dataset.order_only,
    )


def _ours(data: Path, out: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Train a student of the same size, validated once at the end, and time its epochs."""
    import torch

    from lightrec.models.load import load_model
    from lightrec.settings import StudentSettings
    from lightrec.training.train_student import train

    torch.set_num_threads(options["threads"])
    clock = EpochClock(options["epochs"])
    shared = {name: value for name, value in options.items() if name != "threads"}
    settings = StudentSettings(**shared, evaluate_every=options["epochs"], patience=0, device="cpu")
    train(data, out, settings, clock)
    model, _ = load_model(out)
    parameters = sum(weight.numel() for weight in model.parameters())
    return {"epoch_seconds": clock.seconds, "parameters": parameters, "version": version("lightrec")}


def _row(
    name: str, turns: list[dict[str, Any]], dataset: Dataset, split: Split, options: dict[str, Any]
) -> dict[str, Any]:
    seconds = [[round(float(value), 4) for value in turn["epoch_seconds"]] for turn in turns]
    counted = float(np.median([value for turn in seconds for value in turn[1:]]))
    targets = int(np.maximum(np.diff(split.train_offsets) - 1, 0).sum())
    return {
        "kind": "training-speed",
        "label": f"{name} SASRec",
        "data": dataset.name,
        "data_checksum": dataset.checksum,
        "settings": options,
        "threads": options["threads"],
        "targets_per_epoch": targets,
        "epoch_seconds": seconds,
        "seconds_per_epoch": counted,
        "seconds_per_million_targets": counted / targets * 1e6,
        "parameters": int(turns[0]["parameters"]),
        "version": str(turns[0]["version"]),
        "machine": machine(),
        **software(),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lightrec.benchmarks.peers.training_speed", description=__doc__)
    parser.add_argument("data", type=Path, help="prepared data set")
    parser.add_argument("--rectools", type=Path, help="interpreter that has rectools[torch]")
    parser.add_argument("--replay", type=Path, help="interpreter that has replay-rec[torch]")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines file to add rows to")
    parser.add_argument("--hidden-size", type=count, default=64)
    parser.add_argument("--num-layers", type=count, default=2)
    parser.add_argument("--num-heads", type=count, default=2)
    parser.add_argument("--max-length", type=count, default=50)
    parser.add_argument("--batch-size", type=count, default=128)
    parser.add_argument("--epochs", type=count, default=3, help="epochs of each round, at least 2: the first warms up")
    parser.add_argument("--rounds", type=count, default=2, help="how often each library is timed")
    parser.add_argument("--precision", nargs="+", choices=("fp32", "bf16"), default=["fp32"], help="one or both")
    parser.add_argument("--threads", type=count, default=2)
    return parser


if __name__ == "__main__":
    sys.exit(main())
