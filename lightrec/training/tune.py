"""Search a student's hyper-parameters with optuna: few trials of one seed, judged on validation cases alone.

OUT/settings.toml     settings that all trials share; a resumed search must match settings.json in the same folder
OUT/trials.jsonl      one row per finished trial
OUT/trial-NN/         the run folders of the best trial so far and of the trial in progress
OUT/best.toml         the best trial's settings; a file for ``--config``
"""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler, TPESampler
from optuna.trial import TrialState, create_trial

from lightrec.config import from_mapping, to_mapping, to_toml
from lightrec.data.dataset import Dataset
from lightrec.errors import ConfigError, DivergedError, ModelError
from lightrec.files.atomic import write_text
from lightrec.settings import DistillSettings, StudentSettings
from lightrec.training.loop.trainer import METRIC
from lightrec.training.loop.windows import Windows
from lightrec.training.progress import ProgressBar, Reporter
from lightrec.training.run_folder import Run, open_run
from lightrec.training.train_student import distill, train, training_split

Sampler = Literal["tpe", "random"]
"""How the next trial is chosen: by a model of the earlier ones (tree-structured Parzen estimator), or at random."""

SPACE: dict[str, BaseDistribution] = {
    "learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
    "dropout": FloatDistribution(0.0, 0.8, step=0.05),
    "weight_decay": FloatDistribution(1e-4, 0.3, log=True),
    "num_layers": IntDistribution(1, 3),
}
"""The hyper-parameters searched for every student, with their bounds."""

DISTILL_SPACE: dict[str, BaseDistribution] = {
    "temperature": FloatDistribution(1.0, 8.0, log=True),
    "distill_weight": FloatDistribution(0.1, 0.9, step=0.05),
}
"""The hyper-parameters searched in addition when teachers are distilled."""

RANDOM_TRIALS = 5
"""Number of trials that TPE draws at random, after the first trial, before it models them."""


def space_of(
    settings: StudentSettings, hidden_sizes: Collection[int] = (), fixed: Collection[str] = ()
) -> dict[str, BaseDistribution]:
    """Return the search space: :data:`SPACE`, with teachers also :data:`DISTILL_SPACE`, less ``fixed``.

    ``hidden_sizes`` are added as choices if there are any.

    Raises:
        ConfigError: if one of ``hidden_sizes`` does not go with the other settings.
    """
    space = SPACE | (DISTILL_SPACE if isinstance(settings, DistillSettings) else {})
    space = {name: bounds for name, bounds in space.items() if name not in fixed}
    for size in hidden_sizes:
        _with(settings, {"hidden_size": size})
    return space | ({"hidden_size": CategoricalDistribution(sorted(set(hidden_sizes)))} if hidden_sizes else {})


def search(
    data: str | Path,
    out: str | Path,
    settings: StudentSettings,
    space: dict[str, BaseDistribution],
    *,
    trials: int = 15,
    sampler: Sampler = "tpe",
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Train (with :class:`DistillSettings`: distil) ``trials`` students and keep the best on validation.

    The first trial uses ``settings`` unchanged, so the result is never worse than theirs. Every trial has the same
    seed and stops early. After an interruption, even within a trial, the same call resumes the search and ends with
    the same outcome; a call with more ``trials`` extends a finished search.

    Args:
        data: a prepared data set.
        out: the folder to write.
        settings: the settings that all trials share, and the values of the first trial.
        space: what to search, see :func:`space_of`.
        trials: how many students to train, at least 1.
        sampler: how the next trial is chosen.
        reporter: receives the progress and a line per trial.

    Returns:
        ``best``, the row of the best trial; ``run``, its run folder; ``trials``, the number of trials.

    A trial whose training diverges counts as failed. Every other error ends the search and leaves its files, so that
    the same call resumes it once the cause is fixed.

    Raises:
        ConfigError: if ``out`` contains another search, or ``trials`` is below 1.
        ModelError: if trials.jsonl is damaged.
        DivergedError: if the first trial diverges, because its settings are at fault.
    """
    if trials < 1:
        raise ConfigError(f"--trials is {trials}: at least 1 is needed.")
    reporter, out = reporter or ProgressBar(), Path(out)
    bounds = {name: str(distribution) for name, distribution in space.items()}
    facts = {"command": "tune", "data": Dataset.open(data).checksum, "sampler": sampler, "space": bounds}
    with open_run(out, settings, facts) as run:
        rows = _read(out, space)
        _keep_best(out, rows)
        run.begin()
        try:
            _add_trials(run, data, rows, settings, space, trials, sampler, reporter)
        except BaseException:
            _forget_if_refused(out)
            raise
    best = _best(rows)
    return {"best": best, "run": str(_folder(out, best["trial"])), "trials": len(rows)}


def _add_trials(
    run: Run,
    data: str | Path,
    rows: list[dict[str, Any]],
    settings: StudentSettings,
    space: dict[str, BaseDistribution],
    trials: int,
    sampler: Sampler,
    reporter: Reporter,
) -> None:
    """Run the missing trials, and add their rows to ``rows`` and to trials.jsonl."""
    out = run.path
    settings = _with_rate(settings, Dataset.open(data))
    if rows:  # a kill between the two writes leaves best.toml older than trials.jsonl
        _write_best(out, settings, rows)
    for number in range(len(rows), trials):
        parameters = _suggest(rows, space, settings, sampler)
        try:
            found = _run_trial(data, out, number, _with(settings, parameters), reporter)
        except DivergedError as error:
            if not rows:
                raise
            found = {"failed": str(error)}
        rows.append({"trial": number, "parameters": parameters, **found})
        write_text(out / "trials.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        _keep_best(out, rows)
        _write_best(out, settings, rows)
        reporter.note(_sentence(rows[-1], trials))


def _write_best(out: Path, settings: StudentSettings, rows: list[dict[str, Any]]) -> None:
    """Write the settings of the best trial as a configuration file."""
    write_text(out / "best.toml", to_toml(to_mapping(_with(settings, _best(rows)["parameters"]))))


def _forget_if_refused(out: Path) -> None:
    """Remove the folder of a search whose first trial was refused before it began."""
    settings = {"settings.json", "settings.toml"}
    if {entry.name for entry in out.iterdir()} == settings:
        for name in settings:
            (out / name).unlink()
        out.rmdir()


def _with_rate(settings: StudentSettings, dataset: Dataset) -> StudentSettings:
    """Return the settings with the learning rate that 0 would choose, since a search starts from a number."""
    windows = Windows.from_split(training_split(dataset, settings), settings.max_length)
    steps = math.ceil(len(windows) / settings.batch_size)
    return dataclasses.replace(settings, learning_rate=settings.peak_rate(max(1, steps)))


def _suggest(
    rows: list[dict[str, Any]], space: dict[str, BaseDistribution], settings: StudentSettings, sampler: Sampler
) -> dict[str, Any]:
    """Return the parameters of the next trial, which depend on the finished trials and the seed alone."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seed = 100_003 * settings.seed + len(rows)
    samplers = {
        "tpe": TPESampler(n_startup_trials=RANDOM_TRIALS + 1, seed=seed),
        "random": RandomSampler(seed=seed),
    }
    study = optuna.create_study(direction="maximize", sampler=samplers[sampler])
    for row in rows:
        state = TrialState.FAIL if "failed" in row else TrialState.COMPLETE
        told = create_trial(state=state, params=row["parameters"], distributions=space, value=row.get(METRIC))
        study.add_trial(told)
    if not rows:
        start = {name: getattr(settings, name) for name in space}
        if "hidden_size" in start:
            sizes = space["hidden_size"].choices  # type: ignore[attr-defined]
            start["hidden_size"] = start["hidden_size"] if start["hidden_size"] in sizes else sizes[0]
        return start
    chosen = study.ask(space).params
    # Three significant digits are enough for a hyper-parameter.
    return {name: float(f"{value:.3g}") if isinstance(value, float) else value for name, value in chosen.items()}


def _run_trial(
    data: str | Path, out: Path, number: int, settings: StudentSettings, reporter: Reporter
) -> dict[str, Any]:
    """Train one student in its trial folder and return its row: validation figures, epochs and seconds."""
    folder = _folder(out, number)
    if isinstance(settings, DistillSettings):
        record = distill(data, folder, settings, reporter)
    else:
        record = train(data, folder, settings, reporter)
    best = record["validation"]
    return {
        METRIC: best[METRIC],
        "hr@10": best["hr@10"],
        "epoch": best["epoch"],
        "epochs_trained": record["epochs_trained"],
        "seconds": record["seconds"],
    }


def _with(settings: StudentSettings, parameters: dict[str, Any]) -> StudentSettings:
    """Return ``settings`` with the values in ``parameters``, checked."""
    return from_mapping(type(settings), {**to_mapping(settings), **parameters}, "the search space")


def _read(out: Path, space: dict[str, BaseDistribution]) -> list[dict[str, Any]]:
    """Return the rows of the finished trials in trials.jsonl."""
    file = out / "trials.jsonl"
    if not file.is_file():
        return []
    rows: list[dict[str, Any]] = []
    for line in file.read_bytes().splitlines():
        row = _parsed(line)
        whole = (
            row.get("trial") == len(rows)
            and isinstance(row.get("parameters"), dict)
            and set(row["parameters"]) == set(space)
            and (isinstance(row.get(METRIC), float) or (rows and isinstance(row.get("failed"), str)))
        )
        if not whole:
            raise ModelError(
                f"Line {len(rows) + 1} of {file} is damaged: restore the file, or remove this line and all after it."
            )
        rows.append(row)
    return rows


def _parsed(line: bytes) -> dict[str, Any]:
    """Return the JSON object in a line; an empty one if the line is not a JSON object."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}


def _best(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return max((row for row in rows if "failed" not in row), key=lambda row: row[METRIC])


def _folder(out: Path, number: int) -> Path:
    return out / f"trial-{number:02d}"


def _keep_best(out: Path, rows: list[dict[str, Any]]) -> None:
    """Remove the run folders of all finished trials but the best."""
    for row in rows:
        if row is not _best(rows):
            shutil.rmtree(_folder(out, row["trial"]), ignore_errors=True)


def _sentence(row: dict[str, Any], trials: int) -> str:
    parameters = ", ".join(f"{name} {value:g}" for name, value in row["parameters"].items())
    found = f"failed: {row['failed']}" if "failed" in row else f"validation {METRIC} {row[METRIC]:.4f}"
    return f"trial {row['trial'] + 1} of {trials}: {found} ({parameters})"
