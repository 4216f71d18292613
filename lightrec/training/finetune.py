"""Stage 1: fine-tune a pre-trained language model on interactions; the result is a teacher."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import set_seed

from lightrec.data.dataset import Dataset
from lightrec.data.splits import make_split
from lightrec.errors import DataError
from lightrec.models.devices import resolve_device
from lightrec.models.teachers.adapters import add_adapters, merge_adapters
from lightrec.models.teachers.language_model import LanguageModel, input_width, load_language_model
from lightrec.models.teachers.teacher import Teacher, check_fit
from lightrec.settings import FinetuneSettings
from lightrec.training.items.text_vectors import project, read_texts, whitening_axes
from lightrec.training.loop import processes
from lightrec.training.loop.tasks import NextItemTask, common_options
from lightrec.training.loop.trainer import fit
from lightrec.training.loop.windows import Collator, Windows
from lightrec.training.progress import ProgressBar, Reporter
from lightrec.training.run_folder import Run, finish_run, open_run
from lightrec.training.teachers.carry_over import TEXT_AXES, Origin


def finetune(
    data: str | Path, out: str | Path, settings: FinetuneSettings, reporter: Reporter | None = None
) -> dict[str, Any]:
    """Fine-tune a language model on a prepared data set, write a run folder and return its record.

    After an interruption the same call resumes the run; if the run is finished, it returns at once.
    """
    reporter = reporter or ProgressBar()
    dataset = Dataset.open(data)
    origin = None if settings.from_run is None else Origin.open(settings.from_run, settings, dataset)
    settings = settings if origin is None else dataclasses.replace(settings, base=origin.record["config"]["base"])
    facts = {"command": "finetune", "data": dataset.checksum} | ({"from": origin.weights} if origin else {})
    with open_run(out, settings, facts) as run:
        return run.finished or _finetune(run, dataset, origin, settings, reporter)


def _finetune(
    run: Run, dataset: Dataset, origin: Origin | None, settings: FinetuneSettings, reporter: Reporter
) -> dict[str, Any]:
    split = make_split(dataset, settings.split, settings.quantile)
    set_seed(settings.seed)
    base = load_language_model(settings.base)
    check_fit(base, settings.objective, settings.max_length)
    texts = _texts(base, dataset, settings, reporter)
    axes = None if texts is None else _axes(texts, base, origin)
    teacher = Teacher.from_language_model(
        base,
        n_items=dataset.n_items,
        max_length=settings.max_length,
        item_input=settings.item_input,
        objective=settings.objective,
        text_vectors=None if texts is None or axes is None else torch.from_numpy(project(texts, axes)),
        popularity=torch.from_numpy(split.popularity()),
        dropout=settings.dropout,
        similarity=settings.similarity,
        logit_scale=settings.logit_scale,
        language_model_dropout=settings.language_model_dropout,
    )
    if origin is not None:
        teacher.carry_over(origin.teacher())
    if settings.lora:
        add_adapters(teacher, settings.lora)
    windows = Windows.from_split(split, settings.max_length)
    task = NextItemTask(teacher, **common_options(settings, len(windows), dataset.n_items))
    history, outcome = fit(task, Collator(windows, dataset.n_items), split, run, settings, reporter)
    if settings.lora:
        merge_adapters(task.best_model)
    if axes is not None and processes.is_main():
        save_file({"axes": axes.astype(np.float32)}, run.path / TEXT_AXES)
    return finish_run(
        run,
        kind="teacher",
        model=task.best_model,
        settings=settings,
        dataset=dataset,
        history=history,
        details={
            **outcome,
            "language_model": {"name": base.name, "source": base.source},
            **({"from": origin.to_json()} if origin else {}),
        },
    )


def _axes(texts: np.ndarray, base: LanguageModel, origin: Origin | None) -> np.ndarray:
    """Return the axes to project text vectors on: the origin's, which its projection expects, or those of ``texts``."""
    carried = None if origin is None else origin.text_axes()
    return whitening_axes(texts, input_width(base.model)) if carried is None else carried


def _texts(base: LanguageModel, dataset: Dataset, settings: FinetuneSettings, reporter: Reporter) -> np.ndarray | None:
    """Return the language model's encoding ``[N, H]`` of the item texts, or None if only ids are used."""
    if settings.item_input == "ids":
        return None
    if not any(dataset.item_texts):
        raise DataError(
            f"{dataset.name} has no item texts, so --item-input {settings.item_input} has nothing to read: prepare "
            "the data with --items, or use --item-input ids."
        )
    vectors = read_texts(base, dataset.item_texts, resolve_device(settings.device), reporter)
    base.model.to("cpu")
    return vectors
