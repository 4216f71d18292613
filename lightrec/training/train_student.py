"""Train a student on the data alone (the baseline) or distil teachers into it (stage 2 of arXiv 2409.14810)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import set_seed

from lightrec.data.dataset import Dataset
from lightrec.data.held_out_items import draw_items, without_items
from lightrec.data.splits import Split, make_split
from lightrec.models.devices import resolve_device
from lightrec.models.load import STUDENTS
from lightrec.models.students.student import Student
from lightrec.settings import DistillSettings, StudentSettings
from lightrec.training.continue_run import continue_student, origin_facts
from lightrec.training.items.initial_table import start_items
from lightrec.training.items.item_item_weights import fit_neighbours
from lightrec.training.loop import processes
from lightrec.training.loop.tasks import NextItemTask, common_options
from lightrec.training.loop.trainer import METRIC, fit, validation_cases
from lightrec.training.loop.windows import Collator, Windows, mask_patterns
from lightrec.training.progress import ProgressBar, Reporter
from lightrec.training.run_folder import Run, finish_run, open_run
from lightrec.training.teachers.source import Teachers


def train(
    data: str | Path, out: str | Path, settings: StudentSettings, reporter: Reporter | None = None
) -> dict[str, Any]:
    """Train a student on the data alone, write a run folder and return its record.

    After an interruption the same call resumes the run; if the run is finished, it returns at once.
    """
    reporter = reporter or ProgressBar()
    dataset = Dataset.open(data)
    facts = {"command": "train", "data": dataset.checksum, **origin_facts(settings)}
    with open_run(out, settings, facts) as run:
        return run.finished or _train(run, dataset, settings, reporter)


def _train(run: Run, dataset: Dataset, settings: StudentSettings, reporter: Reporter) -> dict[str, Any]:
    split = training_split(dataset, settings)
    windows = Windows.from_split(split, settings.max_length)
    student = make_student(settings, dataset.n_items)
    start_items(student, settings, dataset, (), resolve_device(settings.device), reporter)
    if settings.from_run is not None:
        continue_student(student, settings.from_run, dataset)
    task = NextItemTask(student, **common_options(settings, len(windows), dataset.n_items))
    history, facts = fit(task, Collator(windows, dataset.n_items), split, run, settings, reporter)
    facts |= _with_neighbours(task, split, settings, facts["validation"], reporter)
    return finish_run(
        run,
        kind="student",
        model=task.best_model,
        settings=settings,
        dataset=dataset,
        history=history,
        details=facts,
    )


def distill(
    data: str | Path, out: str | Path, settings: DistillSettings, reporter: Reporter | None = None
) -> dict[str, Any]:
    """Distil teachers into a student, write a run folder and return its record.

    The combined teacher outputs are computed once and cached in the run folder of the first teacher; see
    :mod:`lightrec.training.teachers.source`.
    """
    reporter = reporter or ProgressBar()
    dataset = Dataset.open(data)
    teachers = Teachers.open(settings, dataset)
    known = {"command": "distill", "data": dataset.checksum, **teachers.facts(), **origin_facts(settings)}
    with open_run(out, settings, known) as run:
        return run.finished or _distill(run, teachers, dataset, settings, reporter)


def _distill(
    run: Run, teachers: Teachers, dataset: Dataset, settings: DistillSettings, reporter: Reporter
) -> dict[str, Any]:
    split = training_split(dataset, settings)
    windows = Windows.from_split(split, settings.max_length)
    student = make_student(settings, dataset.n_items)
    patterns = None
    if student.objective == "masked":
        patterns = mask_patterns(windows, settings.mask_patterns, settings.mask_probability, settings.seed)
    with processes.main_first():
        outputs, teachers_record = teachers.outputs(split, windows, patterns, reporter)
    start_items(student, settings, dataset, settings.teachers, resolve_device(settings.device), reporter)
    if settings.from_run is not None:
        continue_student(student, settings.from_run, dataset)
    task = NextItemTask(
        student,
        **common_options(settings, len(windows), dataset.n_items),
        temperature=settings.temperature,
        distill_weight=settings.distill_weight,
        anneal=settings.anneal,
        instance_weighting=settings.instance_weighting,
    )
    collator = Collator(windows, dataset.n_items, outputs, patterns)
    history, facts = fit(task, collator, split, run, settings, reporter)
    facts |= _with_neighbours(task, split, settings, facts["validation"], reporter)
    return finish_run(
        run,
        kind="student",
        model=task.best_model,
        settings=settings,
        dataset=dataset,
        history=history,
        details={**facts, **teachers_record},
    )


def _with_neighbours(
    task: NextItemTask, split: Split, settings: StudentSettings, best: dict[str, Any], reporter: Reporter
) -> dict[str, Any]:
    """Fit item-item weights if the settings request them; return their facts and the new validation for the record."""
    cases = validation_cases(split, settings)
    found = fit_neighbours(task.best_model, settings.neighbours, split, cases, reporter) if processes.is_main() else {}
    if not found:
        return {}
    return {"neighbours": found, "validation": {**best, **{key: found[key] for key in (METRIC, "hr@10")}}}


def training_split(dataset: Dataset, settings: StudentSettings) -> Split:
    """Return the split that the settings name, without the items that they hold out."""
    split = make_split(dataset, settings.split, settings.quantile)
    return without_items(split, draw_items(dataset, settings.hold_out_items, settings.seed))


def make_student(settings: StudentSettings, n_items: int) -> Student:
    """Return a new student of the architecture and size in the settings, initialised by their seed."""
    set_seed(settings.seed)
    config_class, model_class = STUDENTS[settings.student]
    return model_class(
        config_class(
            n_items=n_items,
            max_length=settings.max_length,
            hidden_size=settings.hidden_size,
            num_layers=settings.num_layers,
            num_heads=settings.num_heads,
            intermediate_size=settings.intermediate_size,
            dropout=settings.dropout,
            similarity=settings.similarity,
            logit_scale=settings.logit_scale,
        )
    )
