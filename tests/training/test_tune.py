"""The search for hyper-parameters: its budget, what it keeps, and that an interruption changes nothing."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tomllib
from pathlib import Path

import pytest
from optuna.distributions import FloatDistribution
from typer.testing import CliRunner

from lightrec.cli.app import app
from lightrec.config import from_mapping
from lightrec.errors import ConfigError, DataError, DivergedError, ModelError, WriteError
from lightrec.files.locks import locked
from lightrec.models.load import read_run
from lightrec.settings import DistillSettings, StudentSettings
from lightrec.training import tune as module
from lightrec.training.progress import Silent
from lightrec.training.tune import DISTILL_SPACE, RANDOM_TRIALS, SPACE, search, space_of

SMALL = StudentSettings(max_length=8, batch_size=32, hidden_size=8, epochs=2, device="cpu")


def rows_of(out: Path) -> list[dict]:
    """The finished trials, without the seconds that they took."""
    rows = [json.loads(line) for line in (out / "trials.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def whole(tiny_dataset, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("searches") / "whole"
    search(tiny_dataset.path, out, SMALL, space_of(SMALL, (8, 16)), trials=3, sampler="random", reporter=Silent())
    return out


def test_the_best_trial_is_kept_and_its_settings_are_a_config_file(whole):
    rows = rows_of(whole)
    best = max(rows, key=lambda row: row["ndcg@10"])
    assert [row["trial"] for row in rows] == [0, 1, 2]
    kept = [path.name for path in sorted(whole.glob("trial-*"))]
    assert kept == [f"trial-{best['trial']:02d}"]
    assert read_run(whole / kept[0])["validation"]["ndcg@10"] == best["ndcg@10"]
    again = from_mapping(StudentSettings, tomllib.loads((whole / "best.toml").read_text()), "best.toml")
    assert again == dataclasses.replace(SMALL, **best["parameters"])


def test_a_kill_before_the_best_settings_were_written_is_mended_by_the_same_command(tiny_dataset, whole, tmp_path):
    out = tmp_path / "killed"
    shutil.copytree(whole, out)
    (out / "best.toml").write_text("hidden_size = 1\n")
    search(tiny_dataset.path, out, SMALL, space_of(SMALL, (8, 16)), trials=3, sampler="random", reporter=Silent())
    assert (out / "best.toml").read_text() == (whole / "best.toml").read_text()


def test_the_first_trial_has_the_settings_and_the_others_stay_within_bounds(whole):
    first, *others = [row["parameters"] for row in rows_of(whole)]
    # The data is small: the learning rate that is left to be chosen is the highest there is.
    assert first == {name: getattr(SMALL, name) for name in first} | {"learning_rate": 2e-3}
    assert set(first) == {*SPACE, "hidden_size"}
    assert len({tuple(sorted(parameters.items())) for parameters in (first, *others)}) == 3
    for parameters in others:
        assert parameters.pop("hidden_size") in (8, 16)
        assert all(SPACE[name].low <= value <= SPACE[name].high for name, value in parameters.items())


def test_an_interruption_changes_nothing(tiny_dataset, whole, tmp_path, monkeypatch):
    def attempt(trials=3):
        space = space_of(SMALL, (8, 16))
        return search(tiny_dataset.path, tmp_path / "out", SMALL, space, trials=trials, sampler="random",
                      reporter=Silent())  # fmt: skip

    real, calls = module.train, []

    def stop_in_the_second(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "train", stop_in_the_second)
        attempt()
    assert len(rows_of(tmp_path / "out")) == 1
    attempt()
    assert rows_of(tmp_path / "out") == rows_of(whole)
    assert attempt()["trials"] == 3


def test_with_teachers_it_distils(tiny_dataset, whole, tmp_path):
    teacher = next(whole.glob("trial-*"))
    settings = DistillSettings(teachers=(str(teacher),), max_length=8, hidden_size=8, epochs=1, device="cpu")
    found = search(tiny_dataset.path, tmp_path / "out", settings, space_of(settings), trials=2, reporter=Silent())
    assert set(found["best"]["parameters"]) == {*SPACE, *DISTILL_SPACE}
    assert "teachers" in read_run(found["run"])


def test_another_search_in_the_same_folder_is_refused(tiny_dataset, whole):
    with pytest.raises(ConfigError, match=r"made with other settings .*space"):
        search(tiny_dataset.path, whole, SMALL, space_of(SMALL), trials=3, sampler="random", reporter=Silent())


def test_a_failed_trial_counts_and_the_first_one_is_refused(tiny_dataset, tmp_path, monkeypatch):
    real = module.train

    def diverge(data, out, settings, reporter):
        if settings.learning_rate != 2e-3:
            raise DivergedError("The scorer returned NaN.")
        return real(data, out, settings, reporter)

    monkeypatch.setattr(module, "train", diverge)
    found = search(tiny_dataset.path, tmp_path / "out", SMALL, space_of(SMALL), trials=2, reporter=Silent())
    assert found["best"]["trial"] == 0
    assert rows_of(tmp_path / "out")[1]["failed"] == "The scorer returned NaN."
    with pytest.raises(ConfigError, match="--device abacus"):
        wrong = dataclasses.replace(SMALL, device="abacus")
        search(tiny_dataset.path, tmp_path / "wrong", wrong, space_of(wrong), reporter=Silent())
    assert not (tmp_path / "wrong").exists()


def small_search(tiny_dataset, out, trials=3):
    space = space_of(SMALL, (8, 16))
    return search(tiny_dataset.path, out, SMALL, space, trials=trials, sampler="random", reporter=Silent())


@pytest.mark.parametrize(
    "error",
    [
        WriteError("trial-01 cannot be written: no space is left on the disk."),
        WriteError("trial-01 is being written by another lightrec command."),
        ModelError("trial-01/settings.json is missing, damaged or cut short."),
        DataError("items.npy is missing or damaged."),
        KeyboardInterrupt(),
        RuntimeError("a bug"),
    ],
)
@pytest.mark.parametrize("trial", [0, 1])
def test_an_error_at_resume_deletes_nothing(tiny_dataset, whole, tmp_path, monkeypatch, error, trial):
    """Whatever ends a search, its finished trials and what the interrupted one has saved are there the next time."""
    out, real, calls = tmp_path / "out", module.train, []

    def fail(data, folder, settings, reporter):
        calls.append(folder)
        if len(calls) == trial + 1:
            (folder / "checkpoints" / "checkpoint-3").mkdir(parents=True)
            (folder / "settings.json").write_text("saved before")
            raise error
        return real(data, folder, settings, reporter)

    with monkeypatch.context() as patch, pytest.raises(type(error)):
        patch.setattr(module, "train", fail)
        small_search(tiny_dataset, out)
    with monkeypatch.context() as patch, pytest.raises(type(error)):
        patch.setattr(module, "train", lambda *arguments: (_ for _ in ()).throw(error))
        small_search(tiny_dataset, out)
    assert (out / f"trial-{trial:02d}" / "settings.json").read_text() == "saved before"
    assert (out / f"trial-{trial:02d}" / "checkpoints" / "checkpoint-3").is_dir()
    assert len(rows_of(out)) == trial if trial else not (out / "trials.jsonl").exists()
    shutil.rmtree(out / f"trial-{trial:02d}")
    small_search(tiny_dataset, out)
    assert rows_of(out) == rows_of(whole)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-10],
        lambda text: text.replace('"trial": 1', '"trial": 2'),
        lambda text: text.replace('"ndcg@10"', '"ndcg"'),
        lambda text: "[]\n" + text,
        lambda text: text.replace("dropout", "drop"),
        lambda text: "\x00" + text,
        lambda text: '{"trial": 0, "parameters": {}, "failed": "NaN"}\n',
    ],
)
def test_damaged_trials_are_named_by_their_line_and_deleted_by_nobody(tiny_dataset, whole, tmp_path, damage):
    out = shutil.copytree(whole, tmp_path / "out")
    (out / "trials.jsonl").write_text(damage((out / "trials.jsonl").read_text()))
    kept = sorted(path.name for path in out.rglob("*"))
    with pytest.raises(ModelError, match=r"Line [123] of .*trials.jsonl is damaged"):
        small_search(tiny_dataset, out)
    assert sorted(path.name for path in out.rglob("*")) == kept


def test_a_search_that_is_under_way_is_refused(tiny_dataset, whole, tmp_path):
    out = shutil.copytree(whole, tmp_path / "out")
    with locked(out), pytest.raises(WriteError, match="out is being written"):
        small_search(tiny_dataset, out, trials=4)
    assert rows_of(out) == rows_of(whole)


def test_tpe_learns_from_the_trials_it_is_told():
    """Where the metric is highest at a dropout of .7, later suggestions come nearer to it than the random ones."""
    space = {"dropout": FloatDistribution(0.0, 0.8, step=0.05)}
    rows: list[dict] = []
    for number in range(25):
        parameters = module._suggest(rows, space, SMALL, "tpe")
        rows.append({"trial": number, "parameters": parameters, "ndcg@10": -abs(parameters["dropout"] - 0.7)})
    away = [-row["ndcg@10"] for row in rows]
    drawn, modelled = away[1 : RANDOM_TRIALS + 1], away[-RANDOM_TRIALS:]
    assert sum(modelled) < sum(drawn) / 2


def test_the_defaults_lie_within_the_space():
    settings = DistillSettings(teachers=("t",))
    for steps in (1, 10**6):
        chosen = dataclasses.replace(settings, learning_rate=settings.peak_rate(steps))
        for name, bounds in (SPACE | DISTILL_SPACE).items():
            assert bounds.low <= getattr(chosen, name) <= bounds.high


def test_widths_that_do_not_fit_are_refused_before_any_trial():
    with pytest.raises(ConfigError, match=r"hidden_size = 9 must be a multiple of num_heads = 2"):
        space_of(SMALL, (8, 9))


def test_what_the_file_holds_is_fixed(tiny_dataset, tmp_path):
    file = tmp_path / "fixed.toml"
    file.write_text("dropout = 0.25\nnum_layers = 1\nmax_length = 8\nepochs = 1\n")
    words = ["tune", str(tiny_dataset.path), "--config", str(file), "--hidden-size", "8", "--trials", "2", "--json"]
    done = CliRunner().invoke(app, [*words, "--device", "cpu", "--out", str(tmp_path / "out")], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["trials"] == 2
    assert [set(row["parameters"]) for row in rows_of(tmp_path / "out")] == [
        {"learning_rate", "weight_decay", "hidden_size"}
    ] * 2
    settings = tomllib.loads((tmp_path / "out" / "best.toml").read_text())
    assert (settings["dropout"], settings["num_layers"], settings["hidden_size"]) == (0.25, 1, 8)


def test_teachers_without_distill_are_refused(tmp_path):
    done = CliRunner().invoke(app, ["tune", "data", "--teacher", "t", "--out", str(tmp_path / "o")])
    assert isinstance(done.exception, ConfigError) and "add --command distill" in str(done.exception)
