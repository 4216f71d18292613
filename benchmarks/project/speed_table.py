"""Measure every goal of :mod:`lightrec.benchmarks.project.speed_goals` in one run on one machine.

``python -m lightrec.benchmarks.project.speed_table --out rows.jsonl --data beauty=prepared/amazon14-beauty --bundle
beauty=bundles/beauty --reference bundles/beauty-fp32 --data ml-1m=prepared/ml-1m --teacher runs/teacher --replay
A/bin/python`` prints each ratio against its goal and adds a row of kind ``goal`` for each. Nothing is installed: RePlay
answers in the given interpreter's environment, and goals whose inputs are not given are left out. Rows without a
bundle of their own (ML-1M, 100k, 1m, 10m) get one with random weights; it is kept in ``--scratch``. Students of the
recipes have rows of their own, so that what is accurate is timed too: ``--bundle
recipe-beauty=reproduced/beauty/bundles/neighbours``.

Each worker has its own process and is timed in short interleaved slices; ratios are made round by round, and shown is
the median with the 10th and 90th percentile over the rounds. All are asked about the same histories of real users,
raw ids in and titles out.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from lightrec.benchmarks.argument_types import count
from lightrec.benchmarks.harness.cold_start import ANSWER, OPEN, first_answers
from lightrec.benchmarks.harness.interleaved_timing import medians, ratio, time_interleaved
from lightrec.benchmarks.harness.latency_statistics import per_second, summarise
from lightrec.benchmarks.harness.worker_process import WorkerProcess
from lightrec.benchmarks.project.speed_goals import ROWS, goal_row, goals_table
from lightrec.benchmarks.report.tables.render_terminal import terminal_table
from lightrec.benchmarks.row_types import NewRow
from lightrec.benchmarks.rows import append_rows, machine, software
from lightrec.benchmarks.workers import worker_file
from lightrec.bundle import ITEMS, MANIFEST, Manifest, deployed_bytes, read_catalogue, read_manifest
from lightrec.data.dataset import Dataset
from lightrec.data.splits import make_split
from lightrec.errors import ConfigError, LightrecError, ModelError
from lightrec.evaluation.comparison import paired_comparison
from lightrec.evaluation.protocol import evaluate
from lightrec.metrics import overlap
from lightrec.runtime.backends.registry import choose_model
from lightrec.runtime.recommender import Recommender
from lightrec.terminal import SafeConsole

K = 10
BATCHES = (32, 256)
SIZES = {"100k": 100_000, "1m": 1_000_000, "10m": 10_000_000}
"""Rows of made-up catalogues."""
RECIPE = "recipe-"
"""Before the name of a data set: the row of its recipe's bundle, left out where none is given."""
WORKERS = {"bundle": "run_bundle", "teacher": "run_teacher", "bandwidth": "read_memory"}
"""The modules of :mod:`lightrec.benchmarks.workers` that this interpreter runs."""

PEERS = {"replay", "teacher"}
"""Workers that receive every id and title; a bundle holds its own."""
MAX_FOR_REPLAY = 1_000_000
"""RePlay keeps its table in single precision, twice while it compiles: beyond this it is not asked."""


class Bench:
    """The inputs of one run of the table."""

    def __init__(self, given: argparse.Namespace, folder: Path):
        self.given = given
        self.folder = folder
        """For requests; deleted at the end."""
        self.data = _pairs(given.data)
        self.bundles = _pairs(given.bundle)

    def bundle(self, row: str) -> Path | None:
        """Return the bundle of a row; make one with random weights if none was given."""
        if row.startswith(RECIPE):
            return self.bundles.get(row)
        name = row if row in SIZES or row == "ml-1m" else "beauty"
        if name in self.bundles:
            return self.bundles[name]
        made = self.given.scratch / f"random-{name}"
        items = ["--items", str(SIZES[name])] if name in SIZES else ["--data", str(self.data.get(name))]
        if name not in SIZES and name not in self.data:
            return None
        if not made.is_dir():
            command = [sys.executable, "-m", "lightrec.export.random_bundle", *items, "--out", str(made)]
            subprocess.run(command, check=True)
        self.bundles[name] = made
        return made

    def histories(self, row: str, n_items: int) -> list[np.ndarray]:
        """Test users' histories, of Beauty where the row's items are made up: their items are spread over all."""
        data = row.removeprefix(RECIPE)
        name = data if data == "ml-1m" or row.startswith(RECIPE) else "beauty"
        if name not in self.data:
            raise ConfigError(f"The row {row} asks real users: give their prepared data set with --data {name}=DIR.")
        dataset = Dataset.open(self.data[name])
        cases = make_split(dataset).test
        drawn = cases.take(np.random.default_rng(0).permutation(len(cases))[: self.given.cases])
        factor = n_items // dataset.n_items if row in SIZES else 1
        return [np.asarray(drawn.history(case), dtype=np.int64) * factor for case in range(len(drawn))]

    @contextlib.contextmanager
    def workers(self, row: str, names: Sequence[str], threads: int = 1, **more: Any) -> Iterator[list[WorkerProcess]]:
        """Start the workers ``names`` (``bundle``, ``replay``, ``teacher``, ``bandwidth``) of a row."""
        bundle = self.bundle(row)
        assert bundle is not None
        manifest = read_manifest(bundle)
        catalogue = read_catalogue(bundle, manifest)
        ids = catalogue.item_ids
        lists: dict[str, list] = {
            "histories": [[ids[item] for item in h] for h in self.histories(row, manifest.n_items)]
        }
        if PEERS & set(names):
            lists |= {"item_ids": list(ids), "titles": list(catalogue.titles or [None] * len(ids))}
        request = {
            "bundle": str(bundle),
            "run": str(self.given.teacher),
            "bytes": manifest.n_items * manifest.hidden_size,
            "hidden_size": manifest.hidden_size,
            "max_length": manifest.max_length,
            "num_layers": self.given.num_layers,
            "num_heads": self.given.num_heads,
            "threads": threads,
            "k": K,
            "batches": (),
            **{name: self._write(f"{row}-{name}", value) for name, value in lists.items()},
            **more,
        }
        file = self._write(f"{row}-request", request)
        with contextlib.ExitStack() as stack:
            yield [stack.enter_context(WorkerProcess(name, self._command(name, file), threads)) for name in names]

    def _command(self, name: str, request: str) -> list[str]:
        if name == "replay":
            # Isolated: the folder of the worker holds modules whose names are those of other packages.
            return [str(self.given.replay), "-I", str(worker_file("serve_replay")), request]
        return [sys.executable, "-m", f"lightrec.benchmarks.workers.{WORKERS[name]}", request]

    def _write(self, name: str, value: Any) -> str:
        file = self.folder / f"{name}.json"
        file.write_text(json.dumps(value), encoding="utf-8")
        return str(file)

    def time_interleaved(self, entries: Sequence[tuple[WorkerProcess, str]]) -> list[list[np.ndarray]]:
        """Time interleaved slices as long as the options request; each round uses other users."""
        stride = max(1, self.given.cases // self.given.rounds)
        return time_interleaved(entries, rounds=self.given.rounds, seconds=self.given.seconds, stride=stride)


def latency(bench: Bench, row: str) -> list[NewRow]:
    """Time single histories against RePlay and, for large catalogues, memory bandwidth; measure memory too."""
    manifest = read_manifest(_needed(bench, row))
    names = ["bundle"]
    if bench.given.replay and manifest.n_items <= MAX_FOR_REPLAY:
        names.append("replay")
    if row in ("1m", "10m"):
        names.append("bandwidth")
    with bench.workers(row, names) as running:
        entries = [(one, probe) for one in running for probe in one.facts["calls"]]
        timings = bench.time_interleaved(entries)
        facts = {one.label: one.facts for one in running}
    found = {(one.label, probe): medians(rounds) for (one, probe), rounds in zip(entries, timings, strict=True)}
    times = {
        f"{one.label} {probe}".removesuffix(" single"): summarise(r)
        for (one, probe), r in zip(entries, timings, strict=True)
    }
    shared = {"n_items": manifest.n_items, "latency_ms": times, "facts": facts}
    ours, rows = found["bundle", "single"], []
    if "replay" in names:
        rows.append(goal_row(f"{row}/replay", ratio(ours, found["replay", "single"]), **shared))
    if "bandwidth" in names:
        best = min((key for key in found if key[0] == "bandwidth"), key=lambda key: float(np.median(found[key])))
        rows.append(goal_row(f"{row}/bandwidth", ratio(ours, found[best]), way=best[1], **shared))
        size = sum(manifest.files[name].bytes for name in _model_files(bench, row, manifest))
        peak = facts["bundle"]["peak_bytes"]
        rows.append(goal_row(f"{row}/memory", peak / size, peak_bytes=peak, model_bytes=size, **shared))
    return rows


def batch(bench: Bench, row: str) -> list[NewRow]:
    """Compare throughput on two threads, each library at the better of its batch sizes."""
    _needed(bench, row)
    if not bench.given.replay:
        return []
    with bench.workers(row, ("bundle", "replay"), threads=2, batches=BATCHES) as running:
        entries = [(one, f"batch {size}") for one in running for size in BATCHES]
        timings = bench.time_interleaved(entries)
    speeds = {
        (one.label, probe): [per_second([calls], int(probe.split()[1])) for calls in rounds]
        for (one, probe), rounds in zip(entries, timings, strict=True)
    }
    best = {
        label: max((key for key in speeds if key[0] == label), key=lambda key: float(np.median(speeds[key])))
        for label in ("bundle", "replay")
    }
    per = {f"{label} {probe}": values for (label, probe), values in speeds.items()}
    found = ratio(speeds[best["bundle"]], speeds[best["replay"]])
    return [goal_row("batch/replay", found, per_second=per, best={k: v[1] for k, v in best.items()}, threads=2)]


def teacher(bench: Bench, row: str) -> list[NewRow]:
    """Compare the bundle with the fine-tuned teacher."""
    _needed(bench, row)
    if not bench.given.teacher:
        return []
    with bench.workers(row, ("bundle", "teacher")) as running:
        timings = bench.time_interleaved([(one, "single") for one in running])
        times = {one.label: summarise(rounds) for one, rounds in zip(running, timings, strict=True)}
    ours, theirs = map(medians, timings)
    return [goal_row("teacher/torch", ratio(theirs, ours), latency_ms=times)]


def size(bench: Bench, row: str) -> list[NewRow]:
    """Model, id map and manifest; the row lists the bundle's other files."""
    bundle = _needed(bench, row)
    manifest = read_manifest(bundle)
    files = {name: record.bytes for name, record in manifest.files.items()}
    files[MANIFEST] = (bundle / MANIFEST).stat().st_size
    needed = sum(files[name] for name in (*manifest.models[0].files, ITEMS, MANIFEST))
    return [goal_row("size/bytes", needed / 1e6, files=files, deployed_bytes=deployed_bytes(bundle))]


def cold(bench: Bench, row: str) -> list[NewRow]:
    """Time new processes to the first answer, with memory, against only opening the model."""
    bundle = _needed(bench, row)
    manifest = read_manifest(bundle)
    ids = read_catalogue(bundle, manifest).item_ids
    history = [str(ids[item]) for item in bench.histories(row, manifest.n_items)[0]]
    model = choose_model(bundle, manifest, "onnxruntime", None)
    commands = [(ANSWER, str(bundle), *history), (OPEN, str(bundle / model.files[0]))]
    (ours, opened), peaks = first_answers(commands, bench.given.rounds)
    shared = {"milliseconds": {"bundle": ours, "open": opened}, "peak_bytes": {"bundle": peaks[0], "open": peaks[1]}}
    return [
        goal_row("cold/start", ratio(ours, opened), **shared),
        goal_row("cold/memory", peaks[0] / 1e6, **shared),
    ]


def quality(bench: Bench, row: str) -> list[NewRow]:
    """Compare int8 with fp32 on every test user: NDCG@10 user by user, and the overlap of their lists."""
    bundle = _needed(bench, row)
    if not bench.given.reference:
        return []
    split = make_split(Dataset.open(bench.data["beauty"]))
    ours, reference = Recommender.load(bundle), Recommender.load(bench.given.reference)
    int8, fp32 = (
        evaluate(ranker, split.test, train_popularity=split.popularity(), ks=(K,), bootstrap=0)
        for ranker in (ours, reference)
    )
    comparison = paired_comparison(int8, fp32, f"ndcg@{K}")
    if comparison.relative is None or comparison.relative.low is None:
        raise ModelError(f"{bench.given.reference} finds nobody's next item: give the same student in fp32.")
    histories = [split.test.history(case) for case in range(len(split.test))]
    shared_items = float(overlap(ours.top_k(histories, K), reference.top_k(histories, K)).mean())
    facts = {"comparison": comparison.to_json(), "users": comparison.users}
    return [
        goal_row("quality/change", abs(comparison.relative.value) * 100, **facts),
        goal_row("quality/bound", comparison.relative.low * 100, **facts),
        goal_row("quality/overlap", shared_items, **facts),
    ]


PARTS: dict[str, Callable[[Bench, str], list[NewRow]]] = {
    "batch": batch,
    "teacher": teacher,
    "size": size,
    "cold": cold,
    "quality": quality,
}
"""How a row is measured; :func:`latency` where it is not named here."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    given = _parser().parse_args(arguments)
    console = SafeConsole()
    context = {
        "command": shlex.join(
            ["python", "-m", "lightrec.benchmarks.project.speed_table", *(arguments or sys.argv[1:])]
        ),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "rounds": given.rounds,
        "seconds": given.seconds,
        **software(),
        "machine": machine(),
    }
    rows: list[NewRow] = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(given, Path(folder))
            for name in given.rows.split(","):
                if name not in ROWS:
                    raise ConfigError(f"There is no row {name!r}: choose from {', '.join(ROWS)}.")
                if name.startswith(RECIPE) and name not in bench.bundles:
                    continue
                with console.status(f"Measuring {name}"):
                    found = [row | context for row in PARTS.get(name, latency)(bench, name)]
                append_rows(given.out, found)
                rows += found
    except (LightrecError, OSError, subprocess.CalledProcessError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    styles = ["green" if row["met"] else "red" for row in rows]
    console.print(terminal_table(goals_table(rows), styles=styles, title="Speed table", title_style="bold"))
    return 0


def _needed(bench: Bench, row: str) -> Path:
    bundle = bench.bundle(row)
    if bundle is None:
        raise ConfigError(
            f"The row {row} needs a bundle: give one with --bundle beauty=DIR, or leave it out of --rows."
        )
    return bundle


def _model_files(bench: Bench, row: str, manifest: Manifest) -> tuple[str, ...]:
    return choose_model(_needed(bench, row), manifest, "onnxruntime", None).files


def _pairs(values: Sequence[str]) -> dict[str, Path]:
    wrong = [value for value in values if "=" not in value]
    if wrong:
        raise ConfigError(f"{wrong[0]!r} names no row: write it as beauty={wrong[0]}.")
    return {name: Path(path) for name, path in (value.split("=", 1) for value in values)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lightrec.benchmarks.project.speed_table", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON lines file to add rows to")
    parser.add_argument("--rows", default=",".join(ROWS), help="rows to measure; all, if left out")
    parser.add_argument(
        "--data", action="append", default=[], metavar="ROW=DIR", help="data set of beauty, ml-1m, video-games"
    )
    parser.add_argument("--bundle", action="append", default=[], metavar="ROW=DIR", help="bundle of a row")
    parser.add_argument("--reference", type=Path, help="bundle of the same student as beauty's, in fp32")
    parser.add_argument("--teacher", type=Path, help="run folder of a teacher fine-tuned on beauty's data")
    parser.add_argument("--replay", type=Path, help="interpreter that has replay-rec[torch], openvino and onnx")
    parser.add_argument("--scratch", type=Path, default=Path("bundles"), help="where random bundles are made and kept")
    parser.add_argument("--rounds", type=count, default=15, help="time slices of each worker")
    parser.add_argument("--seconds", type=float, default=0.2, help="length of a time slice")
    parser.add_argument("--cases", type=count, default=1000, help="most histories to ask about")
    parser.add_argument(
        "--num-layers", type=count, default=2, help="of RePlay's model; width and length are the bundle's"
    )
    parser.add_argument("--num-heads", type=count, default=2)
    return parser


if __name__ == "__main__":
    sys.exit(main())
