"""Evaluate the teacher on the variants' test cases, to compare its NDCG@10 with theirs.

The teacher runs once, before anything is timed, by the rules of the variants; it is not timed itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path, PurePath

from lightrec.benchmarks.agreement import measured, rank_limit
from lightrec.benchmarks.harness.workload import Workload
from lightrec.benchmarks.row_types import NewRow
from lightrec.bundle import Manifest
from lightrec.data.dataset import Dataset
from lightrec.errors import ConfigError, ModelError
from lightrec.evaluation.allowed_data import Provenance, check_data, choose_split
from lightrec.extras import require_extra

AT_ONCE = 64
"""Histories that the teacher reads at once: a language model takes seconds for them; progress is told after each."""


def ask_teacher(
    run: Path,
    data: str | Path | None,
    bundle: Path,
    manifest: Manifest,
    workload: Workload,
    k: int = 10,
    seed: int = 0,
    progress: Callable[[str], None] = lambda step: None,
) -> NewRow:
    """Evaluate the teacher; return its name, its kind, and its NDCG and HR at ``k``.

    Args:
        run: run folder of a finished teacher, a language model or a student.
        data: the prepared data set that it was trained on.
        bundle: the bundle whose variants are measured.
        manifest: its manifest.
        workload: the data set's histories that the variants answer.
        k: length of the lists.
        seed: random seed of the intervals.
        progress: called with a few words before the first and after each batch of histories.

    Raises:
        ConfigError: without a data set, or if the teacher was trained on another split.
        MissingExtraError: without torch.
        ModelError: if ``run`` is not a finished run, or was trained on other data.
    """
    if data is None:
        raise ConfigError("--teacher is asked about the test users of a data set: name it with --data.")
    require_extra("train", "--teacher")
    from lightrec.models.devices import resolve_device
    from lightrec.models.load import load_model, read_run
    from lightrec.models.scoring import ModelScorer

    try:
        record = read_run(run)
    except ModelError as error:
        raise ModelError(f"--teacher {error}") from None
    source = Provenance(f"--teacher {run}", record)
    check_data(source, Dataset.open(data))
    # The bundle's split comes first: its test cases are asked, and no training event of the teacher may be among them.
    choose_split([Provenance(str(bundle), manifest.training), source], None, None)
    name = run.resolve().name
    progress(f"Loading the teacher {name}")
    model, device = load_model(run)[0], resolve_device()
    language_model = getattr(model.config, "language_model_name", "")

    def tell(done: int, total: int) -> None:
        progress(f"Asking the teacher {name}: {done:,} of {total:,} histories")

    tell(0, len(workload.histories))
    limit = rank_limit(manifest.k_limit, manifest.n_items)
    rules: NewRow = {"ties": "lowest-index", "rank_limit": limit, "batch_size": AT_ONCE, "progress": tell}
    return {
        "name": name,
        "model_type": model.config.model_type,
        "language_model": PurePath(language_model).name or None,
        "seed": record.get("seed"),
        "device": device,
        **(measured(ModelScorer(model, device), workload, k, seed, **rules) or {}),
    }


def compare_with_teacher(rows: Sequence[NewRow], teacher: NewRow | None, k: int = 10) -> None:
    """Add the share of the teacher's NDCG to the quality of each row; None without a teacher."""
    best = None if teacher is None else teacher[f"ndcg@{k}"]["value"]
    for row in rows:
        if row.get("quality"):
            # If the teacher has no hit, the share is undefined.
            row["quality"]["of_teacher"] = row["quality"][f"ndcg@{k}"]["value"] / best if best else None
