"""The teachers of a student: opened, checked against the data, weighted and combined into one source of targets."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from lightrec.data.dataset import Dataset
from lightrec.data.splits import Split
from lightrec.errors import ModelError
from lightrec.files.atomic import read_object, sha256_file, write_json
from lightrec.files.download import cache_folder
from lightrec.models.devices import resolve_device
from lightrec.models.load import load_model, read_run
from lightrec.models.scoring import ModelScorer
from lightrec.models.students.student import Student
from lightrec.models.teachers.teacher import Teacher
from lightrec.settings import DistillSettings
from lightrec.training.loop.windows import Windows
from lightrec.training.progress import Reporter
from lightrec.training.teachers.ensemble import Pool, PoolFit, fit_pool
from lightrec.training.teachers.output_cache import ModelVoice, OutputsPlan, TeacherOutputs, Voice, prepare_outputs
from lightrec.training.teachers.read_score_file import ScoresVoice, TeacherScores


@dataclasses.dataclass(frozen=True)
class Teachers:
    """The teachers that the settings name; created by :meth:`open`."""

    settings: DistillSettings
    dataset: Dataset
    records: tuple[dict[str, Any], ...]
    """The run.json of each run."""
    weights: tuple[str, ...]
    """The SHA-256 of each run's weights."""

    @classmethod
    def open(cls, settings: DistillSettings, dataset: Dataset) -> Teachers:
        """Read the runs' records.

        Raises:
            ModelError: if a run is unfinished, or was made for other data, another split or shorter histories.
        """
        records = tuple(_record(run, dataset, settings) for run in settings.teachers)
        return cls(
            settings, dataset, records, tuple(sha256_file(Path(run) / "model.safetensors") for run in settings.teachers)
        )

    def facts(self) -> dict[str, Any]:
        """Return the facts besides the settings that decide a run's result."""
        scores = self.settings.teacher_scores
        return {"teachers": list(self.weights)} | ({"teacher_scores": sha256_file(Path(scores))} if scores else {})

    def outputs(
        self, split: Split, windows: Windows, patterns: np.ndarray | None, reporter: Reporter
    ) -> tuple[TeacherOutputs, dict[str, Any]]:
        """Return the combined teacher outputs for the windows, computed or cached, and their details for the record.

        Args:
            split: the student's split.
            windows: the student's windows.
            patterns: fixed masks of a masked student, or None.
            reporter: shows the progress.
        """
        settings = self.settings
        masked = self.records and all(record["objective"] == "masked" for record in self.records)
        plan = OutputsPlan.make(windows, "masked" if masked else "causal", patterns)
        given = settings.given_teacher_weights
        models, file = self._pool(split, given, reporter), self._scores(split, given, reporter)
        context = self._context(plan, models, file)
        outputs = prepare_outputs(
            self._outputs_folder(),
            lambda: self._voice(models, file),
            plan,
            n_items=self.dataset.n_items,
            temperature=settings.temperature,
            max_bytes=settings.cache_gib * 2**30,
            top=settings.cache_items,
            context=context,
            on_progress=_Bar(reporter, "Asking the teachers"),
        )
        reporter.stop()
        return outputs, self._for_the_record(models, file)

    def _pool(self, split: Split, given: tuple[float, ...] | None, reporter: Reporter) -> PoolFit | None:
        """Return the runs' weights and their results, cached in the first run's outputs; None for under two runs."""
        runs = self.settings.teachers
        if len(runs) < 2:
            return None
        wanted = None if given is None else given[: len(runs)]
        facts = {"data": self.dataset.checksum, "split": self._split(), "teachers": self.weights, "weights": wanted}
        kept = self._outputs_folder() / f"pool-{_key(facts)}.json"
        if kept.is_file():
            # If the file is damaged, the weights are fitted again.
            with contextlib.suppress(ModelError, TypeError, ValueError):
                return PoolFit.from_json(read_object(kept, {"weights": list, "members": list}, ModelError))
        device = resolve_device(self.settings.device)
        scorers = [ModelScorer(load_teacher(run), device) for run in runs]
        fit = fit_pool(scorers, split.validation, weights=wanted, on_progress=_Bar(reporter, "Weighing the teachers"))
        reporter.stop()
        write_json(kept, fit.to_json())
        reporter.note(
            f"teachers weigh {', '.join(f'{weight:g}' for weight in fit.weights)}: validation NDCG@10 "
            f"{fit.ensemble:.4f} together, {', '.join(f'{value:.4f}' for value in fit.members)} alone"
        )
        return fit

    def _scores(self, split: Split, given: tuple[float, ...] | None, reporter: Reporter) -> TeacherScores | None:
        path = self.settings.teacher_scores
        if path is None:
            return None
        scores = TeacherScores.read(path, self.dataset, split, scale=None if given is None else 1.0)
        facts = scores.facts
        reporter.note(
            f"{path}: {facts['positions']:,} positions to learn from; {facts['ignored_rows']:,} rows at held-out or "
            "first positions are ignored"
        )
        return scores

    def _voice(self, models: PoolFit | None, file: TeacherScores | None) -> Voice:
        device = resolve_device(self.settings.device)
        voices: list[Voice] = [ModelVoice(load_teacher(run), device) for run in self.settings.teachers]
        runs = Pool(voices, models.weights) if models else next(iter(voices), None)
        if file is None:
            assert runs is not None
            return runs
        return ScoresVoice(file, self._file_weight(), runs, self._runs_weight())

    def _file_weight(self) -> float:
        """Return the score file's weight: as given, or that of one teacher among all."""
        given = self.settings.given_teacher_weights
        return given[-1] if given else 1 / (len(self.settings.teachers) + 1)

    def _runs_weight(self) -> float:
        """Return the factor on the runs' logits at positions where the score file has a list."""
        given, count = self.settings.given_teacher_weights, len(self.settings.teachers)
        if given is None:
            return count / (count + 1)
        return given[0] if count == 1 else 1.0

    def _context(self, plan: OutputsPlan, models: PoolFit | None, file: TeacherScores | None) -> dict[str, Any]:
        """Return the facts that the outputs depend on."""
        settings = self.settings
        context: dict[str, Any] = {
            "data": self.dataset.checksum,
            "split": self._split(),
            "max_length": settings.max_length,
            "weights": self.weights[0] if len(self.weights) == 1 else list(self.weights),
        }
        if plan.by_pattern:
            context["patterns"] = [settings.mask_patterns, settings.mask_probability, settings.seed]
        if models is not None:
            context["pool"] = list(models.weights)
        if file is not None:
            context["file"] = [file.facts["sha256"], file.facts["scale"], self._file_weight(), self._runs_weight()]
        return context

    def _split(self) -> list[Any]:
        """Return the split's name and quantile, and, if items are held out, their share and seed."""
        settings = self.settings
        held = [settings.hold_out_items, settings.seed] if settings.hold_out_items else []
        return [settings.split, settings.quantile, *held]

    def _outputs_folder(self) -> Path:
        runs = self.settings.teachers
        return Path(runs[0]) / "outputs" if runs else cache_folder() / "teacher-scores"

    def _for_the_record(self, models: PoolFit | None, file: TeacherScores | None) -> dict[str, Any]:
        teachers = [
            {"name": record["config"].get("base"), "validation": record["validation"], "config": record["config"]}
            for record in self.records
        ]
        details: dict[str, Any] = {"teachers": teachers}
        if models is not None:
            details["ensemble"] = models.to_json()
        if file is not None:
            details["teacher_scores"] = file.facts | {"weight": self._file_weight()}
        return details


class _Bar:
    """Progress callback for one piece of work; the bar starts at the first call."""

    def __init__(self, reporter: Reporter, what: str):
        self.reporter = reporter
        self.what = what
        self.started = False

    def __call__(self, done: int, total: int) -> None:
        if not self.started:
            self.reporter.start(self.what, total, done)
            self.started = True
        self.reporter.advance(done)


def load_teacher(run: str) -> Teacher | Student:
    """Load the model of a teacher's run."""
    return load_model(run)[0]


def _key(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _record(run: str, dataset: Dataset, settings: DistillSettings) -> dict[str, Any]:
    """Return a teacher's record; raise ModelError if its data or split differs or it reads shorter histories."""
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
