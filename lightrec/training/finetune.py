"""Stage 1: fine-tune a pre-trained language model on interactions; the result is a teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import set_seed

from lightrec.data.dataset import Dataset
from lightrec.data.splits import make_split
from lightrec.errors import DataError
from lightrec.models.devices import resolve_device
from lightrec.models.language_model import LanguageModel, input_width, load_language_model
from lightrec.models.teacher import Teacher, check_fit
from lightrec.training.item_vectors import encode_texts, whiten
from lightrec.training.progress import ProgressBar, Reporter
from lightrec.training.runs import finish_run, open_run
from lightrec.training.settings import FinetuneSettings
from lightrec.training.tasks import NextItemTask, sampled_negatives
from lightrec.training.trainer import fit
from lightrec.training.windows import Collator, Windows


def finetune(
    data: str | Path, out: str | Path, settings: FinetuneSettings, reporter: Reporter | None = None
) -> dict[str, Any]:
    """Fine-tune a language model on a prepared data set and write a run folder; returns its record.

    The same call goes on after an interruption, and returns at once if the run is finished.
    """
    reporter = reporter or ProgressBar()
    dataset = Dataset.open(data)
    run = open_run(out, settings, {"command": "finetune", "data": dataset.checksum})
    if run.finished:
        return run.finished
    split = make_split(dataset, settings.split, settings.quantile)
    set_seed(settings.seed)
    base = load_language_model(settings.base)
    check_fit(base, settings.objective, settings.max_length)
    teacher = Teacher.from_language_model(
        base,
        n_items=dataset.n_items,
        max_length=settings.max_length,
        item_input=settings.item_input,
        objective=settings.objective,
        text_vectors=_text_vectors(base, dataset, settings, reporter),
        popularity=torch.from_numpy(split.popularity()),
        dropout=settings.dropout,
        language_model_dropout=settings.language_model_dropout,
    )
    windows = Windows.from_split(split, settings.max_length)
    negatives = sampled_negatives(settings, dataset.n_items)
    task = NextItemTask(teacher, mask_probability=settings.mask_probability, negatives=negatives)
    history, facts = fit(task, Collator(windows, dataset.n_items), split, run, settings, reporter)
    return finish_run(
        run,
        kind="teacher",
        model=teacher,
        settings=settings,
        dataset=dataset,
        history=history,
        details={**facts, "language_model": {"name": base.name, "source": base.source}},
    )


def _text_vectors(
    base: LanguageModel, dataset: Dataset, settings: FinetuneSettings, reporter: Reporter
) -> torch.Tensor | None:
    """The items' texts as whitened vectors ``[N, E]``, or None where only ids are used."""
    if settings.item_input == "ids":
        return None
    if not any(dataset.item_texts):
        raise DataError(
            f"{dataset.name} has no item texts, so --item-input {settings.item_input} has nothing to read: prepare "
            "the data with --items, or use --item-input ids."
        )
    reporter.start("Reading item texts", len(dataset.item_texts))
    vectors = encode_texts(
        base,
        dataset.item_texts,
        device=resolve_device(settings.device),
        on_progress=lambda done, _: reporter.advance(done),
    )
    reporter.stop()
    base.model.to("cpu")
    return torch.from_numpy(whiten(vectors, input_width(base.model)))
