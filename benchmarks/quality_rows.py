"""Make rows of quality and of comparisons from evaluations, and describe comparisons in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightrec.benchmarks.row_types import NewRow
from lightrec.benchmarks.rows import machine, software
from lightrec.data.splits import Split
from lightrec.evaluation.comparison import Comparison
from lightrec.evaluation.protocol import Evaluation, evaluate

KEPT = ("split", "on", "cases", "hidden_targets", "ties", "metrics", "slices")
"""Keys that a row copies from the JSON of an evaluation."""

SHARED = ("data", "data_checksum", "split", "machine", "lightrec_version", "commit")
"""Keys that a comparison's row copies from a quality row."""


def origin() -> NewRow:
    """Return what all rows of one command share: the machine, the version and the commit."""
    return {"machine": machine(), **software()}


def quality_row(found: Mapping[str, Any], label: str, seed: int, shared: NewRow, **more: Any) -> NewRow:
    """Make the row of one evaluated model.

    Args:
        found: what ``lightrec evaluate --out`` wrote.
        label: the model's name in tables.
        seed: the random seed of its training.
        shared: see :func:`origin`.
        more: further facts.
    """
    return {
        "kind": "quality",
        "label": label,
        "data": found["dataset"]["name"],
        "data_checksum": found["dataset"]["checksum"],
        "seed": seed,
        **{key: found[key] for key in KEPT},
        **more,
        **shared,
    }


def comparison_row(a: str, b: str, comparison: Comparison, quality: NewRow) -> NewRow:
    """Make the row that compares models ``a`` and ``b``; ``quality`` is any quality row of the same data."""
    shared = {key: quality[key] for key in SHARED}
    return {"kind": "comparison", "a": a, "b": b, **shared, "comparison": comparison.to_json()}


def evaluate_run(run: Path, split: Split, device: str | None = None) -> Evaluation:
    """Evaluate a run on the test cases without intervals, for comparisons case by case."""
    from lightrec.models.devices import resolve_device
    from lightrec.models.load import load_model
    from lightrec.models.scoring import ModelScorer

    scorer = ModelScorer(load_model(run)[0], resolve_device(device))
    return evaluate(scorer, split.test, train_popularity=split.popularity(), bootstrap=0)


def comparison_sentence(a: str, b: str, comparison: Comparison) -> str:
    """Describe a comparison in a sentence, with whether it shows a difference."""
    difference = comparison.difference
    ours, theirs = comparison.seeds
    seeds = f"{ours} seeds" if ours == theirs else f"{ours} and {theirs} seeds"
    certain = (difference.low or 0) > 0 or (difference.high or 0) < 0
    return (
        f"{a} against {b}: NDCG@10 {difference.value:+.4f} "
        f"(95 % {difference.low:+.4f} to {difference.high:+.4f}, over {comparison.users:,} users"
        + (", one seed): " if ours == theirs == 1 else f" and {seeds}): ")
        + ("a difference." if certain else "no difference that this data can show.")
    )


def comparison_lines(rows: Sequence[NewRow]) -> str:
    """Describe each comparison row in a sentence, with its interval and whether it shows a difference."""
    sentences = []
    for row in rows:
        found = row["comparison"]
        difference, relative = found["difference"], found["relative"]
        sentences.append(
            f"*{row['a']}* against *{row['b']}* on {row['data']}: {found['metric'].upper()} {difference['value']:+.4f} "
            f"(95 % {difference['low']:+.4f} to {difference['high']:+.4f}"
            + (f"; {relative['value']:+.1%}" if relative else "")
            + f"), {found['users']:,} users and {seed_counts(found['seeds'])} seed(s) resampled together: "
            + ("a difference.\n" if is_certain(difference) else "no difference that these data can show.\n")
        )
    return "\n".join(sentences)


def is_certain(difference: NewRow) -> bool:
    """Return whether the interval of a difference leaves out 0."""
    return difference["low"] > 0 or difference["high"] < 0


def seed_counts(counts: Sequence[int]) -> str:
    """Return the number of seeds of either side, once if equal."""
    ours, theirs = counts
    return f"{ours}" if ours == theirs else f"{ours} and {theirs}"
