"""Writer of a run's scores at training positions, as a file for ``lightrec distill --teacher-scores``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from lightrec.data.dataset import Dataset
from lightrec.data.scores import Scores, write_scores
from lightrec.data.splits import make_split
from lightrec.errors import ConfigError
from lightrec.evaluation.allowed_data import Provenance, check_data
from lightrec.models.devices import resolve_device
from lightrec.models.load import load_model
from lightrec.training.loop.windows import Windows
from lightrec.training.progress import ProgressBar, Reporter
from lightrec.training.teachers.output_cache import CHUNK, ModelVoice, OutputsPlan, question_batches


@torch.inference_mode()
def write_teacher_scores(
    run: str | Path,
    data: str | Path,
    out: str | Path,
    *,
    top: int = 100,
    device: str = "auto",
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Write a run's best items, with their log-probabilities, for each position that its split trains on.

    Args:
        run: folder of a finished run.
        data: the prepared data set that it was trained on.
        out: the Parquet file to write, with columns user, position, item and score.
        top: number of items at each position.

    Returns:
        ``path``, ``positions`` and ``rows``.
    """
    if top < 1 or Path(out).suffix != ".parquet":
        raise ConfigError(f"--top {top} must be at least 1, and --out {out} must end in .parquet.")
    reporter = reporter or ProgressBar()
    dataset = Dataset.open(data)
    model, record = load_model(run)
    check_data(Provenance(str(run), record), dataset)
    split = make_split(dataset, **record["split"])
    windows = Windows.from_split(split, record["config"]["max_length"])
    plan = OutputsPlan.make(windows, "causal", None)
    voice = ModelVoice(model, resolve_device(device))
    width = min(top, dataset.n_items)
    items = np.empty((plan.n_rows, width), dtype=np.int32)
    scores = np.empty((plan.n_rows, width), dtype=np.float32)
    events = np.empty(plan.n_rows, dtype=np.int64)
    batches = list(question_batches(plan, dataset.n_items))
    reporter.start("Asking the run", len(batches))
    for number, chosen in enumerate(batches):
        rows, answer = plan.rows(chosen, None), voice.answer(plan, chosen, None)
        events[rows] = plan.events(chosen, None)
        step = max(1, CHUNK // dataset.n_items)
        for part in (slice(first, first + step) for first in range(0, len(rows), step)):
            best, found = F.log_softmax(answer(part).float(), dim=1).topk(width, dim=1)
            scores[rows[part]], items[rows[part]] = best.cpu().numpy(), found.cpu().numpy()
        reporter.advance(number + 1)
    reporter.stop()
    users = np.searchsorted(split.train_offsets, events, side="right") - 1
    positions = events - split.train_offsets[users]
    write_scores(
        Path(out),
        dataset,
        Scores(np.repeat(users, width), np.repeat(positions, width), items.ravel().astype(np.int64), scores.ravel()),
    )
    return {"path": str(out), "positions": plan.n_rows, "rows": items.size}
