"""Recipes: the whole comparison of one data set as a TOML file; docs/recipes.md shows how to write one."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lightrec.baselines.baselines import BASELINES
from lightrec.config import parse_mapping, read_toml
from lightrec.errors import ConfigError

if TYPE_CHECKING:
    from lightrec.settings import TrainingSettings

COMMANDS = ("finetune", "train", "distill")
"""The commands that make a model."""

TEACHERS = "teachers"
"""In a comparison: all teachers of the student together."""

NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")


@dataclasses.dataclass(frozen=True)
class Model:
    """A teacher or a student."""

    name: str
    """Its table in the recipe, and its run's folder."""
    command: str
    """One of :data:`COMMANDS`."""
    label: str
    """Its name in result tables."""
    given: dict[str, Any]
    """The settings that the recipe gives, but for the teachers."""
    settings: TrainingSettings
    """All settings; teachers stand in them by their names."""
    seeds: int = 1
    """How many runs, with the seeds 0, 1, ...; a teacher has one, whose seed is in its settings."""

    @property
    def teachers(self) -> tuple[str, ...]:
        """The names of its teachers."""
        return getattr(self.settings, "teachers", ())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bundle:
    """How a student is exported; see ``lightrec export``."""

    precision: Literal["fp32", "fp16", "int8", "int4"] = "int8"
    """How the weights are stored."""
    max_ndcg_drop: float = 0.01
    """Share of NDCG@10 that may be lost on validation users."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Frame:
    """The keys and tables of the file."""

    data: str
    """The data set's name."""
    split: Literal["leave-one-out", "temporal"] = "leave-one-out"
    """How the data is divided, for all models."""
    quantile: float = 0.9
    """Where the temporal split cuts the time line."""
    seeds: int = 5
    """Runs of each student, with the seeds 0, 1, ...; a student's own table may ask for fewer."""
    baselines: tuple[str, ...] = ()
    """Baselines of ``lightrec evaluate``, each tuned on validation."""
    teachers: dict = dataclasses.field(default_factory=dict)
    """One table a teacher: ``command``, ``label`` and the command's settings."""
    students: dict = dataclasses.field(default_factory=dict)
    """One table a student, likewise; with ``seeds`` it has fewer runs than the others."""
    comparisons: dict = dataclasses.field(default_factory=dict)
    """The name of a student or a teacher, and the names of those that it is compared with."""
    bundles: dict = dataclasses.field(default_factory=dict)
    """A student's name, and how its first seed is exported."""

    def problems(self) -> list[str]:
        """Mistakes that a type alone does not show."""
        unknown = [name for name in self.baselines if name not in BASELINES]
        mistakes = [f"baselines: {name!r} is none (known: {', '.join(BASELINES)})" for name in unknown]
        if self.seeds < 1:
            mistakes.append(f"seeds = {self.seeds} must be at least 1")
        if not 0 < self.quantile < 1:
            mistakes.append(f"quantile = {self.quantile} must lie between 0 and 1")
        return mistakes


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What ``lightrec reproduce`` does."""

    name: str
    """The file's name without its ending."""
    frame: Frame
    """Data, split, seeds and baselines."""
    teachers: dict[str, Model]
    """Each trained with one seed, in this order."""
    students: dict[str, Model]
    """Each trained with its seeds."""
    comparisons: tuple[tuple[str, str], ...]
    """Pairs of names; the second may be :data:`TEACHERS`."""
    bundles: dict[str, Bundle]
    """By the name of the student."""

    @property
    def models(self) -> dict[str, Model]:
        """Teachers and students."""
        return self.teachers | self.students


def packaged_recipes() -> list[str]:
    """The names of the recipes in the package."""
    folder = files("lightrec.benchmarks.recipes")
    return sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))


def open_recipe(name: str, **changes: Any) -> Recipe:
    """A recipe of the package by its name, or a TOML file of your own.

    Args:
        name: a name, or a path that ends with ``.toml``.
        changes: keys of the file (``seeds``, ``split``) to set otherwise.

    Raises:
        ConfigError: if there is none, or it has mistakes, all of which are named.
    """
    if name.endswith(".toml"):
        path = Path(name)
    elif name in packaged_recipes():
        path = Path(str(files("lightrec.benchmarks.recipes").joinpath(f"{name}.toml")))
    else:
        known = ", ".join(packaged_recipes())
        raise ConfigError(f"No recipe is called {name!r}: choose one of {known}, or give the path of a .toml file.")
    return make_recipe(path.stem, read_toml(path) | changes)


def make_recipe(name: str, values: Mapping[str, Any]) -> Recipe:
    """The recipe that ``values`` (the content of its file) describe.

    Raises:
        ConfigError: naming all mistakes at once.
    """
    frame, mistakes = parse_mapping(Frame, values)
    if frame is None:
        # The tables are looked at all the same, so that everything can be mended at once.
        tables = {key: values[key] for key in ("teachers", "students") if isinstance(values.get(key), dict)}
        frame = Frame(data="", **tables)
    teachers: dict[str, Model] = {}
    for each, table in frame.teachers.items():
        _add(teachers, f"teachers.{each}", table, COMMANDS, tuple(teachers), mistakes)
        if isinstance(table, dict) and "seeds" in table:
            mistakes.append(f"[teachers.{each}] seeds: a teacher is trained once")
    students: dict[str, Model] = {}
    for each, table in frame.students.items():
        _add(students, f"students.{each}", table, ("train", "distill"), tuple(frame.teachers), mistakes, frame.seeds)
        if each in frame.teachers:
            mistakes.append(f"[students.{each}] has the name of a teacher")
        if isinstance(table, dict) and "seed" in table:
            mistakes.append(f"[students.{each}] seed: students are trained with every seed of the recipe")
    bundles = _bundles(frame, mistakes)
    comparisons = _comparisons(frame, mistakes)
    if mistakes:
        raise ConfigError(f"In the recipe {name}: " + "; ".join(mistakes) + ".")
    return Recipe(name, frame, teachers, students, comparisons, bundles)


def _add(
    models: dict[str, Model],
    place: str,
    table: Any,
    commands: tuple[str, ...],
    teachers: tuple[str, ...],
    mistakes: list[str],
    seeds: int = 1,
) -> None:
    """Read the table of a model into ``models``, or its mistakes into ``mistakes``."""
    name = place.partition(".")[2]
    if not NAME.fullmatch(name) or name in (TEACHERS, *BASELINES):
        mistakes.append(f"[{place}]: a name is made of a-z, 0-9, - and ., and is not {TEACHERS} or a baseline's")
    if not isinstance(table, dict) or table.get("command") not in commands:
        mistakes.append(f"[{place}] command must be one of {', '.join(commands)}")
        return
    given = {key: value for key, value in table.items() if key not in ("command", "label", "seeds")}
    found = [f"{key} is set for the whole recipe" for key in ("split", "quantile") if key in given]
    settings, wrong = parse_mapping(_settings_of(table["command"]), given)
    label = table.get("label", name)
    if not isinstance(label, str):
        found.append(f"label = {label!r} must be of type str")
    own = table.get("seeds", seeds)
    if type(own) is not int or own < 1:
        found.append(f"seeds = {own!r} must be a whole number of at least 1")
        own = seeds
    for teacher in getattr(settings, "teachers", ()):
        if teacher not in teachers:
            found.append(f"teachers: {teacher!r} is not among {', '.join(teachers) or 'the tables above it'}")
    mistakes += [f"[{place}] {mistake}" for mistake in found + wrong]
    if settings is not None:
        given.pop("teachers", None)
        models[name] = Model(name, table["command"], str(label), given, settings, min(own, seeds))


def _settings_of(command: str) -> type[TrainingSettings]:
    from lightrec.settings import DistillSettings, FinetuneSettings, StudentSettings

    return {"finetune": FinetuneSettings, "train": StudentSettings, "distill": DistillSettings}[command]


def _bundles(frame: Frame, mistakes: list[str]) -> dict[str, Bundle]:
    bundles = {}
    for name, table in frame.bundles.items():
        bundle, found = parse_mapping(Bundle, table) if isinstance(table, dict) else (None, ["must be a table"])
        if name not in frame.students:
            found = [*found, "is no student"]
        mistakes += [f"[bundles.{name}] {mistake}" for mistake in found]
        if bundle is not None:
            bundles[name] = bundle
    return bundles


def _comparisons(frame: Frame, mistakes: list[str]) -> tuple[tuple[str, str], ...]:
    known = {*frame.students, *frame.teachers, *frame.baselines}
    pairs = []
    for name, others in frame.comparisons.items():
        if name not in frame.students and name not in frame.teachers:
            mistakes.append(f"[comparisons] {name} is no teacher or student")
        if not isinstance(others, list):
            mistakes.append(f"[comparisons] {name} = {others!r} must be a list of names")
            continue
        student = frame.students.get(name)
        taught = isinstance(student, dict) and student.get("command") == "distill"
        for other in others:
            if other not in known and not (taught and other == TEACHERS):
                mistakes.append(f"[comparisons] {name}: {other!r} is no model of this recipe")
            pairs.append((name, other))
    return tuple(pairs)
