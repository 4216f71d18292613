"""Make rows from finished runs: the measurements of ``lightrec reproduce``, and the comparisons in its recipe."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightrec.baselines.baselines import make_baseline
from lightrec.benchmarks.quality_rows import comparison_row, evaluate_run, origin, quality_row
from lightrec.benchmarks.recipes.recipe import TEACHERS, Model, Recipe
from lightrec.bundle import deployed_bytes
from lightrec.data.dataset import Dataset
from lightrec.data.splits import Cases, Split, make_split
from lightrec.errors import ConfigError
from lightrec.evaluation.comparison import paired_comparison
from lightrec.evaluation.protocol import Evaluation, Scorer, evaluate
from lightrec.files.atomic import read_json

Row = dict[str, Any]
Progress = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where everything lies."""

    out: Path
    """The folder of the reproduction."""
    data: Path
    """The prepared data set."""

    def run(self, name: str, seed: int = 0) -> Path:
        """A run folder; those of further seeds carry their number."""
        return self.out / "runs" / (name if seed == 0 else f"{name}-seed{seed}")

    def settings(self, name: str) -> Path:
        """The settings of a model, for ``--config``."""
        return self.out / "settings" / f"{name}.toml"

    def bundle(self, name: str) -> Path:
        """The bundle of a student."""
        return self.out / "bundles" / name

    def evaluation(self, model: Path, on: str = "test") -> Path:
        """The JSON file of an evaluation of a run, a bundle or a baseline."""
        kind = "bundle-" if model.parent.name == "bundles" else ""
        return self.out / "evaluations" / f"{kind}{model.name}{'' if on == 'test' else '-validation'}.json"

    @property
    def results(self) -> Path:
        """The rows."""
        return self.out / "results.jsonl"


class Reproduction:
    """The results of a recipe whose commands have all finished, except optional ones that were refused.

    Args:
        recipe: what was done.
        layout: where.
        commands: of each file that a command was to write, the command as it stands in the rows.
        device: where models answer.
        progress: called with a few words before each longer piece of work.
    """

    def __init__(
        self,
        recipe: Recipe,
        layout: Layout,
        commands: Mapping[Path, str],
        device: str | None = None,
        progress: Progress = lambda words: None,
    ):
        self.recipe = recipe
        self.layout = layout
        self.commands = commands
        self.device = device
        self.progress = progress
        self.dataset = Dataset.open(layout.data)
        self.split: Split = make_split(self.dataset, recipe.frame.split, recipe.frame.quantile)
        self.shared = {"recipe": recipe.name, **origin()}
        self._answers: dict[str, list[Evaluation]] = {}

    def rows(self) -> list[Row]:
        """Return all rows: first the quality of every model, then the comparisons; without what was refused."""
        quality = [self._baseline(name) for name in self.recipe.frame.baselines if self._is_there(name)]
        quality += [self._run(model, 0) for model in self.recipe.teachers.values()]
        quality += [self._ensemble(model) for model in self._ensembles().values()]
        for model in self.recipe.students.values():
            quality += [self._run(model, seed) for seed in range(model.seeds)]
            if self._is_exported(model.name):
                quality.append(self._bundle(model))
        pairs = [pair for pair in self.recipe.comparisons if self._is_there(pair[1])]
        return quality + [self._compare(*pair, quality[0]) for pair in pairs]

    def label(self, name: str, student: str = "") -> str:
        """The name in tables of a model, a baseline, or all teachers of ``student`` together."""
        if name != TEACHERS:
            return self.recipe.models[name].label if name in self.recipe.models else name
        return " + ".join(self.recipe.models[teacher].label for teacher in self.recipe.students[student].teachers)

    def _baseline(self, name: str) -> Row:
        found = self._found(Path(name))
        validation = {"ndcg@10": max(tried["ndcg@10"] for tried in found["tried"])}
        command = self.commands[self.layout.evaluation(Path(name))]
        return self._row(found, name, 0, validation=validation, settings=found["parameters"], command=command)

    def _run(self, model: Model, seed: int) -> Row:
        from lightrec.models.load import load_model

        run = self.layout.run(model.name, seed)
        loaded, record = load_model(run)
        facts = {
            "validation": _means(self._found(run, "validation")),
            "settings": _settings(model, record),
            "hidden_size": _hidden_size(loaded),
            "parameters": loaded.num_parameters(),
            "epochs_trained": record["epochs_trained"],
            "seconds": record["seconds"],
            "precision": record.get("precision", record["config"]["precision"]),
            "command": self.commands[run / "run.json"],
        }
        if seed == 0 and self._is_exported(model.name):
            facts["deployed_bytes"] = deployed_bytes(self.layout.bundle(model.name))
        return self._row(self._found(run), model.label, record["seed"], **facts)

    def _bundle(self, model: Model) -> Row:
        bundle = self.layout.bundle(model.name)
        return self._row(
            self._found(bundle),
            f"{model.label}, {self.recipe.bundles[model.name].precision} bundle",
            0,
            validation=_means(self._found(bundle, "validation")),
            deployed_bytes=deployed_bytes(bundle),
            command=self.commands[bundle / "manifest.json"],
        )

    def _is_there(self, name: str) -> bool:
        """Whether a model has results: all have them, but for baselines that were refused."""
        return name not in self.recipe.frame.baselines or self.layout.evaluation(Path(name)).is_file()

    def _is_exported(self, name: str) -> bool:
        return name in self.recipe.bundles and (self.layout.bundle(name) / "manifest.json").is_file()

    def _ensembles(self) -> dict[tuple[str, ...], Model]:
        """For each group of several teachers the first student that has it."""
        students = [model for model in self.recipe.students.values() if len(model.teachers) > 1]
        return {model.teachers: model for model in reversed(students)}

    def _ensemble(self, student: Model) -> Row:
        """The quality of a student's teachers together, with the weights that it learnt from."""
        self.progress(f"Evaluating {self.label(TEACHERS, student.name)}")
        scorer, weights = self._pool(student)
        validation = self._evaluate(scorer, self.split.validation)
        found = self._evaluate(scorer, self.split.test, bootstrap=1000).to_json() | {
            "dataset": {"name": self.dataset.name, "checksum": self.dataset.checksum},
            "split": {
                "name": self.split.name,
                "quantile": self.recipe.frame.quantile if self.split.name == "temporal" else None,
            },
            "on": "test",
        }
        return self._row(
            found,
            self.label(TEACHERS, student.name),
            0,
            validation=_means(validation.to_json()),
            weights=dict(zip(student.teachers, weights, strict=True)),
        )

    def _pool(self, student: Model) -> tuple[Scorer, list[float]]:
        from lightrec.models.devices import resolve_device
        from lightrec.models.load import load_model, read_run
        from lightrec.models.scoring import ModelScorer
        from lightrec.training.teachers.ensemble import EnsembleScorer

        weights = read_run(self.layout.run(student.name))["ensemble"]["weights"]
        device = resolve_device(self.device)
        members = [ModelScorer(load_model(self.layout.run(name))[0], device) for name in student.teachers]
        return EnsembleScorer(members, weights), weights

    def _compare(self, name: str, other: str, quality: Row) -> Row:
        self.progress(f"Comparing {self.label(name)} with {self.label(other, name)}")
        comparison = paired_comparison(self._answers_of(name), self._answers_of(other, name), "ndcg@10")
        return {
            **comparison_row(self.label(name), self.label(other, name), comparison, quality),
            "recipe": self.recipe.name,
        }

    def _answers_of(self, name: str, student: str = "") -> list[Evaluation]:
        """Return a model's answers to the test cases, one per seed; each model is evaluated once."""
        models = self.recipe.students[student].teachers if name == TEACHERS else (name,)
        if len(models) == 1:
            name = models[0]
        key = "+".join(models)
        if key not in self._answers:
            self._answers[key] = self._ask(name, student)
        return self._answers[key]

    def _ask(self, name: str, student: str) -> list[Evaluation]:
        if name == TEACHERS:
            return [self._evaluate(self._pool(self.recipe.students[student])[0], self.split.test)]
        if name in self.recipe.frame.baselines:
            parameters = self._found(Path(name))["parameters"]
            return [self._evaluate(make_baseline(name, self.dataset, self.split, **parameters), self.split.test)]
        seeds = range(self.recipe.models[name].seeds)
        return [evaluate_run(self.layout.run(name, seed), self.split, self.device) for seed in seeds]

    def _evaluate(self, scorer: Scorer, cases: Cases, bootstrap: int = 0) -> Evaluation:
        return evaluate(scorer, cases, train_popularity=self.split.popularity(), bootstrap=bootstrap)

    def _found(self, model: Path, on: str = "test") -> Row:
        file = self.layout.evaluation(model, on)
        found = read_json(file)
        if found["dataset"]["checksum"] != self.dataset.checksum:
            raise ConfigError(f"{file} is about other data than {self.layout.data}: choose another folder for --out.")
        return found

    def _row(self, found: Row, label: str, seed: int, **facts: Any) -> Row:
        return quality_row(found, label, seed, self.shared, **facts)


def _means(found: Row) -> dict[str, float]:
    return {name: found["metrics"][name]["value"] for name in ("ndcg@10", "hr@10")}


def _settings(model: Model, record: Row) -> dict[str, Any]:
    """The effective settings; teachers by their names, and of other paths the last part only."""
    settings = record["config"] | ({"teachers": list(model.teachers)} if model.teachers else {})
    for key in ("base", "from_run", "teacher_scores"):
        if settings.get(key) and Path(settings[key]).exists():
            settings[key] = Path(settings[key]).name
    return settings


def _hidden_size(model: Any) -> int:
    """The width of a student, or of a teacher's language model."""
    return getattr(model, "language_model", model).config.hidden_size
