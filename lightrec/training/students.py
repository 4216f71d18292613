"""Train a student: alone (the baseline), or on what teachers say (stage 2 of arXiv 2409.14810)."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
from transformers import set_seed

from lightrec.data.dataset import Dataset
from lightrec.data.held_out_items import draw_items, without_items
from lightrec.data.splits import Split, make_split
from lightrec.errors import ModelError
from lightrec.files import sha256_file
from lightrec.models.devices import resolve_device
from lightrec.models.load import STUDENTS, load_model, read_run
from lightrec.models.student import Student
from lightrec.models.teacher import Teacher
from lightrec.training.initial_items import start_items
from lightrec.training.progress import ProgressBar, Reporter
from lightrec.training.runs import finish_run, open_run
from lightrec.training.settings import DistillSettings, StudentSettings
from lightrec.training.tasks import NextItemTask, sampled_negatives
from lightrec.training.teacher_outputs import OutputsPlan, TeacherOutputs, prepare_outputs
from lightrec.training.trainer import fit
from lightrec.training.windows import Collator, Windows, mask_patterns


def train(
    data: str | Path, out: str | Path, settings: StudentSettings, reporter: Reporter | None = None
) -> dict[str, Any]:
    """Train a student on the data alone and write a run folder; returns its record.

    The same call goes on after an interruption, and returns at once if the run is finished.
    """
    reporter = reporter or ProgressBar()
    dataset = Dataset.open(data)
    run = open_run(out, settings, {"command": "train", "data": dataset.checksum})
    if run.finished:
        return run.finished
    split = training_split(dataset, settings)
    windows = Windows.from_split(split, settings.max_length)
    student = make_student(settings, dataset.n_items)
    start_items(student, settings, dataset, (), resolve_device(settings.device), reporter)
    negatives = sampled_negatives(settings, dataset.n_items)
    task = NextItemTask(student, mask_probability=settings.mask_probability, negatives=negatives)
    history, facts = fit(task, Collator(windows, dataset.n_items), split, run, settings, reporter)
    return finish_run(
        run,
        kind="student",
        model=student,
        settings=settings,
        dataset=dataset,
        history=history,
        details=facts,
    )


def distill(
    data: str | Path, out: str | Path, settings: DistillSettings, reporter: Reporter | None = None
) -> dict[str, Any]:
    """Distil teachers into a student and write a run folder; returns its record.

    The teachers' outputs are computed once and kept in their own run folders; see
    :mod:`lightrec.training.teacher_outputs`.
    """
    reporter = reporter or ProgressBar()
    dataset = Dataset.open(data)
    records = [_teacher_record(run, dataset, settings) for run in settings.teachers]
    weights = [sha256_file(Path(run) / "model.safetensors") for run in settings.teachers]
    run = open_run(out, settings, {"command": "distill", "data": dataset.checksum, "teacher_weights": weights})
    if run.finished:
        return run.finished
    split = training_split(dataset, settings)
    windows = Windows.from_split(split, settings.max_length)
    student = make_student(settings, dataset.n_items)
    patterns = None
    if student.objective == "masked":
        patterns = mask_patterns(windows, settings.mask_patterns, settings.mask_probability, settings.seed)
    outputs = [
        _outputs(teacher, record, dataset, settings, windows, patterns, reporter)
        for teacher, record in zip(settings.teachers, records, strict=True)
    ]
    start_items(student, settings, dataset, settings.teachers, resolve_device(settings.device), reporter)
    task = NextItemTask(
        student,
        negatives=sampled_negatives(settings, dataset.n_items),
        temperature=settings.temperature,
        distill_weight=settings.distill_weight,
        anneal=settings.anneal,
        instance_weighting=settings.instance_weighting,
    )
    collator = Collator(windows, dataset.n_items, outputs, patterns)
    history, facts = fit(task, collator, split, run, settings, reporter)
    teachers = [
        {"name": record["config"].get("base"), "validation": record["validation"], "config": record["config"]}
        for record in records
    ]
    return finish_run(
        run,
        kind="student",
        model=student,
        settings=settings,
        dataset=dataset,
        history=history,
        details={**facts, "teachers": teachers},
    )


def training_split(dataset: Dataset, settings: StudentSettings) -> Split:
    """The settings' split, without the items that they hold out."""
    split = make_split(dataset, settings.split, settings.quantile)
    return without_items(split, draw_items(dataset, settings.hold_out_items, settings.seed))


def make_student(settings: StudentSettings, n_items: int) -> Student:
    """A new student of the settings' kind and size, repeatable by its seed."""
    set_seed(settings.seed)
    config_class, model_class = STUDENTS[settings.student]
    return model_class(
        config_class(
            n_items=n_items,
            max_length=settings.max_length,
            hidden_size=settings.hidden_size,
            num_layers=settings.num_layers,
            num_heads=settings.num_heads,
            dropout=settings.dropout,
        )
    )


def _teacher_record(run: str, dataset: Dataset, settings: DistillSettings) -> dict[str, Any]:
    """The record of a teacher, refused unless it was trained on this data and split and reads as far."""
    record = read_run(run)
    if record["dataset"]["checksum"] != dataset.checksum:
        raise ModelError(
            f"The teacher {run} was trained on other data ({record['dataset']['name']}, checksum "
            f"{record['dataset']['checksum'][:12]}) than {dataset.path} ({dataset.checksum[:12]}): use the same "
            "prepared folder for both."
        )
    if record["split"] != {"name": settings.split, "quantile": settings.quantile}:
        raise ModelError(
            f"The teacher {run} was trained on the split {record['split']['name']}, and may have seen what "
            f"{settings.split} holds back: give --split {record['split']['name']} or another teacher."
        )
    if record["config"]["max_length"] < settings.max_length:
        raise ModelError(
            f"The teacher {run} reads {record['config']['max_length']} items and the student "
            f"{settings.max_length}: give --max-length {record['config']['max_length']} or another teacher."
        )
    return record


def _outputs(
    teacher: str,
    record: dict[str, Any],
    dataset: Dataset,
    settings: DistillSettings,
    windows: Windows,
    patterns: np.ndarray | None,
    reporter: Reporter,
) -> TeacherOutputs:
    """One teacher's outputs for the student's windows, computed now or before."""
    objective = record["objective"]
    plan = OutputsPlan.make(windows, objective, patterns)
    context: dict[str, Any] = {
        "data": dataset.checksum,
        "split": [settings.split, settings.quantile],
        "max_length": settings.max_length,
    }
    if plan.by_pattern:
        context["patterns"] = [settings.mask_patterns, settings.mask_probability, settings.seed]
    started = False

    def advance(done: int, total: int) -> None:
        nonlocal started
        if not started:
            reporter.start("Asking the teacher", total, done)
            started = True
        reporter.advance(done)

    outputs = prepare_outputs(
        Path(teacher),
        functools.partial(_load_teacher, teacher),
        plan,
        n_items=dataset.n_items,
        temperature=settings.temperature,
        max_bytes=settings.cache_gib * 2**30,
        top=settings.cache_items,
        context=context,
        device=resolve_device(settings.device),
        on_progress=advance,
    )
    reporter.stop()
    return outputs


def _load_teacher(run: str) -> Teacher:
    model, _ = load_model(run)
    return model  # type: ignore[return-value]
