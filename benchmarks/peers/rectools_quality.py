"""Tune and train RecTools' SASRec on a prepared data set, and rank with it by our protocol.

``python -m lightrec.benchmarks.peers.rectools_quality prepared/ml-1m --python rectools/bin/python --work runs/rectools
--out rows.jsonl --hidden-size 64 --trials 15 --seeds 5`` searches at random as many settings as a student gets, each
with one seed and early stopping on validation, then trains the best ones with every seed. Rows of kind ``peer-trial``
(one a setting, validation only) and ``quality`` (one a seed, test) are added to ``--out``. What is done already is read
from ``--work``, which also keeps the vectors of every seed (``seed-0.npz``, for :func:`open_peer`)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightrec.benchmarks.argument_types import count
from lightrec.benchmarks.peers.exchange import PeerScorer, as_history, ask, sampled, write_request
from lightrec.benchmarks.row_types import NewRow
from lightrec.benchmarks.rows import append_rows, machine, software
from lightrec.benchmarks.workers import worker_file
from lightrec.data.dataset import Dataset
from lightrec.data.splits import Cases, Split, make_split
from lightrec.errors import LightrecError, ModelError
from lightrec.evaluation.protocol import Evaluation, evaluate
from lightrec.files.atomic import read_json, write_json

LABEL = "RecTools SASRec"
WORKER = worker_file("train_rectools")
MAX_CASES = 10_000
"""Validation cases that are asked after every epoch: as many as a student is validated on."""

NUM_LAYERS = 2
"""Of the first trial."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    given = _parser().parse_args(arguments)
    try:
        run(given)
    except (LightrecError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    return 0


def run(given: argparse.Namespace) -> None:
    """Search, train the best settings with every seed, and write the rows; see the module."""
    from lightrec.training.loop.precision import resolve_precision

    resolve_precision(given.precision, "cpu")
    dataset = Dataset.open(given.data)
    split = make_split(dataset, given.split)
    options = {
        "num_heads": given.num_heads,
        "max_length": given.max_length,
        "batch_size": given.batch_size,
        "epochs": given.epochs,
        "patience": given.patience,
        "minutes": given.minutes,
        "threads": given.threads,
        "validate": True,
        "precision": given.precision,
    }
    given.work.mkdir(parents=True, exist_ok=True)
    facts = {
        "label": LABEL if given.label is None else given.label,
        "data": dataset.name,
        "data_checksum": dataset.checksum,
        "split": {"name": split.name, "quantile": 0.9 if split.name == "temporal" else None},
    }
    best = _search(given, split, options, facts)
    for seed in range(given.seed, given.seed + given.seeds):
        attempt(f"seed-{seed}", given, split, {**best, "seed": seed}, facts)


def _search(given: argparse.Namespace, split: Split, options: dict[str, Any], facts: NewRow) -> dict[str, Any]:
    """Return the settings of the best trial on validation; a single trial is chosen without training."""
    first = {"learning_rate": given.learning_rate, "dropout": given.dropout, "num_layers": NUM_LAYERS}
    tried = [{**options, **first, "hidden_size": given.hidden_size[0]}]
    tried += [{**options, **suggest(number, given.hidden_size, given.seed)} for number in range(1, given.trials)]
    if len(tried) == 1:
        return tried[0]
    rows = [
        attempt(f"trial-{number:02d}", given, split, {**settings, "seed": given.seed}, facts)
        for number, settings in enumerate(tried)
    ]
    return max(rows, key=lambda row: row["validation"]["ndcg@10"])["settings"]


def suggest(number: int, hidden_sizes: Sequence[int], seed: int) -> dict[str, Any]:
    """Draw the hyper-parameters of a trial from the space of ``lightrec tune``, without weight decay."""
    random = np.random.default_rng([seed, number])
    return {
        "learning_rate": float(f"{np.exp(random.uniform(np.log(3e-4), np.log(1e-2))):.3g}"),
        "dropout": round(0.05 * int(random.integers(17)), 2),
        "num_layers": int(random.integers(1, 4)),
        "hidden_size": int(random.choice(hidden_sizes)),
    }


def attempt(name: str, given: argparse.Namespace, split: Split, settings: dict[str, Any], facts: NewRow) -> NewRow:
    """Train once and add the row to the results; a finished trial is only read."""
    record = given.work / f"{name}.json"
    wanted = {**facts, "settings": settings}
    if record.is_file():
        row = read_json(record)
        if any(row.get(key) != value for key, value in wanted.items()):
            raise ModelError(f"{record} was made with other settings or data: choose another folder for --work.")
        return row
    validation = sampled(split.validation, MAX_CASES)
    request, answer = given.work / "request.npz", given.work / f"{name}.npz"
    histories = write_request(request, split, validation, split.test)
    found = ask(given.python, WORKER, request, answer, settings)
    scorer = PeerScorer(found, histories)
    on_validation = _evaluate(scorer, validation, split, bootstrap=0).metrics["ndcg@10"].value
    _check(on_validation, found)
    row = {
        "kind": "peer-trial",
        **wanted,
        "seed": settings["seed"],
        "validation": {"ndcg@10": on_validation, "epoch": int(np.argmax(found["ndcg"])) + 1},
        "epochs_trained": len(found["ndcg"]),
        "stopped_by": _stopped_by(found["ndcg"], settings),
        "seconds_per_epoch": round(float(np.median(found["epoch_seconds"])), 3),
        "parameters": int(found["parameters"]),
        "peer_version": str(found["version"]),
        "machine": machine(),
        **software(),
    }
    if name.startswith("seed"):
        result = _evaluate(scorer, split.test, split, bootstrap=1000).to_json()
        names = ("cases", "hidden_targets", "ties", "metrics", "slices")
        row |= {"kind": "quality", "on": "test", **{key: result[key] for key in names}}
    else:
        answer.unlink()
    write_json(record, row)
    append_rows(given.out, [row])
    test = f", test {row['metrics']['ndcg@10']['value']:.4f}" if "metrics" in row else ""
    print(f"{name}: validation NDCG@10 {on_validation:.4f}{test} ({settings})", flush=True)
    return row


def _stopped_by(ndcg: np.ndarray, settings: dict[str, Any]) -> str:
    """The flag that ended a training with these validations; by ``minutes`` it may have been learning still."""
    if settings["patience"] and len(ndcg) - 1 - int(np.argmax(ndcg)) >= settings["patience"]:
        return "patience"
    return "epochs" if len(ndcg) == settings["epochs"] else "minutes"


def open_peer(answer: Path, split: Split) -> PeerScorer:
    """Load the scorer of a trained seed from its ``seed-N.npz``, for comparisons case by case."""
    cases = [sampled(split.validation, MAX_CASES), split.test]
    histories = [as_history(part.history(case)) for part in cases for case in range(len(part))]
    with np.load(answer) as arrays:
        return PeerScorer(dict(arrays), histories)


def _evaluate(scorer: PeerScorer, cases: Cases, split: Split, bootstrap: int) -> Evaluation:
    return evaluate(scorer, cases, train_popularity=split.popularity(), bootstrap=bootstrap)


def _check(ours: float, found: dict[str, np.ndarray]) -> None:
    """Check that the worker, which chooses its best epoch, follows lightrec's protocol."""
    if abs(ours - found["ndcg"].max()) > 1e-3 * max(ours, 1e-3):
        raise ModelError(
            f"The worker found a validation NDCG@10 of {found['ndcg'].max():.6f} where our protocol finds {ours:.6f}: "
            "this version of RecTools does not fit the worker."
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lightrec.benchmarks.peers.rectools_quality", description=__doc__)
    parser.add_argument("data", type=Path, help="prepared data set")
    parser.add_argument("--python", type=Path, required=True, help="interpreter that has rectools[torch]")
    parser.add_argument("--work", type=Path, required=True, help="folder for what is done already")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines file to add rows to")
    parser.add_argument("--label", help=f"name in tables (default: {LABEL})")
    parser.add_argument("--split", choices=("leave-one-out", "temporal"), default="leave-one-out")
    parser.add_argument("--hidden-size", type=count, nargs="+", default=[64], help="widths to choose from")
    parser.add_argument("--num-heads", type=count, default=2)
    # RecTools trains on so many events of each user, the last ones: for long histories 200 is a fairer choice.
    parser.add_argument(
        "--max-length", type=count, default=50, help="most events of a user that it reads and trains on"
    )
    parser.add_argument("--batch-size", type=count, default=128)
    parser.add_argument(
        "--learning-rate",
        type=float,
        default=2e-3,
        help="of the first trial: what suits SASRec-CE",
    )
    parser.add_argument("--dropout", type=float, default=0.5, help="of the first trial, likewise")
    parser.add_argument("--epochs", type=count, default=60, help="most epochs")
    parser.add_argument("--patience", type=int, default=10, help="epochs without progress before stopping")
    parser.add_argument("--minutes", type=count, help="end a training with the epoch in which so many minutes are over")
    parser.add_argument("--trials", type=count, default=15, help="settings to try; 1: the first alone")
    parser.add_argument("--seeds", type=count, default=5, help="seeds of the best settings")
    parser.add_argument("--seed", type=int, default=0, help="the first seed, and that of the search")
    parser.add_argument("--threads", type=count, default=1)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="bf16: Lightning's bf16-mixed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
