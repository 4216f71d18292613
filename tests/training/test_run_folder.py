"""Run folders: one writer at a time, begun in any order of kills, and damaged files named in one sentence."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lightrec.errors import ConfigError, LightrecError, ModelError, WriteError
from lightrec.files.atomic import read_json, sha256_file
from lightrec.files.locks import locked
from lightrec.models.load import load_model, read_run
from lightrec.settings import StudentSettings
from lightrec.training.progress import Silent
from lightrec.training.run_folder import open_run
from lightrec.training.train_student import train

TINY = StudentSettings(hidden_size=8, epochs=1, max_length=8, batch_size=32, device="cpu")


@pytest.fixture(scope="module")
def finished(tiny_dataset, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "finished"
    train(tiny_dataset.path, out, TINY, Silent())
    return out


@pytest.fixture
def run(finished, tmp_path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_a_run_that_is_being_written_is_refused_and_not_touched(tiny_dataset, tmp_path):
    with locked(tmp_path / "run"), pytest.raises(WriteError, match="run is being written by another"):
        train(tiny_dataset.path, tmp_path / "run", TINY, Silent())
    assert list(tmp_path.iterdir()) == []
    train(tiny_dataset.path, tmp_path / "run", TINY, Silent())
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_link_to_a_run_has_the_same_lock(tiny_dataset, tmp_path):
    (tmp_path / "link").symlink_to("run")
    with locked(tmp_path / "run"), pytest.raises(WriteError):
        train(tiny_dataset.path, tmp_path / "link", TINY, Silent())


@pytest.mark.slow
def test_two_commands_with_one_out(tiny_dataset, tmp_path):
    """Started together, one trains and the other is refused; the record is that of the weights."""
    words = [sys.executable, "-m", "lightrec", "train", str(tiny_dataset.path), "--out", str(tmp_path / "run")]
    words += ["--hidden-size", "8", "--epochs", "10", "--patience", "0", "--device", "cpu"]
    both = [subprocess.Popen(words, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate()[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 2]
    refused = told[[process.returncode for process in both].index(2)]
    assert refused.count("\n") == 1
    assert str(tmp_path / "run") in refused
    record = read_json(tmp_path / "run" / "run.json")
    assert record["files"]["model.safetensors"] == sha256_file(tmp_path / "run" / "model.safetensors")


def test_folders_made_for_a_refused_run_vanish_again(tmp_path):
    with pytest.raises(ModelError), open_run(tmp_path / "deep" / "runs" / "one", TINY, {}):
        raise ModelError("the language model is missing")
    assert list(tmp_path.iterdir()) == []


BEGUN = [[], ["checkpoints/"], ["settings.toml"], ["checkpoints/", ".settings.json.lightrec-0123abcd"]]


@pytest.mark.parametrize("names", BEGUN)
def test_a_run_killed_before_its_settings_were_written_goes_on(tiny_dataset, tmp_path, finished, names):
    run = tmp_path / "run"
    run.mkdir()
    for name in names:
        (run / name).mkdir() if name.endswith("/") else (run / name).touch()
    record = train(tiny_dataset.path, run, TINY, Silent())
    assert record["files"] == read_json(finished / "run.json")["files"]


@pytest.mark.parametrize("name", ["checkpoints/mine", "notes.txt", ".hidden", "settings.toml.bak"])
def test_files_of_the_users_own_are_not_taken_for_a_run(tiny_dataset, tmp_path, name):
    (tmp_path / "run" / name).parent.mkdir(parents=True)
    (tmp_path / "run" / name).write_text("mine")
    with pytest.raises(ConfigError, match="is not a run"):
        train(tiny_dataset.path, tmp_path / "run", TINY, Silent())
    assert (tmp_path / "run" / name).read_text() == "mine"


def test_checkpoints_without_their_settings_are_named_and_kept(tiny_dataset, tmp_path):
    seal = tmp_path / "run" / "checkpoints" / "checkpoint-4" / "checksums.json"
    seal.parent.mkdir(parents=True)
    seal.write_text("{}")
    with pytest.raises(ModelError, match=r"run is a run without settings\.json: restore"):
        train(tiny_dataset.path, tmp_path / "run", TINY, Silent())
    assert seal.is_file()


def test_a_kill_at_any_rename_leaves_a_run_that_goes_on(tiny_dataset, tmp_path, finished):
    """The first files of a run are its settings: killed at its n-th rename, the command given again finishes it."""
    code = """
import os, signal, sys
from pathlib import Path
from lightrec.training.progress import Silent
from lightrec.settings import StudentSettings
from lightrec.training.train_student import train
left, replace = [int(sys.argv[3])], Path.replace
def count(one, other):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(one, other)
Path.replace = count
train(sys.argv[1], sys.argv[2], StudentSettings(**eval(sys.argv[4])), Silent())
"""
    given = "{'hidden_size': 8, 'epochs': 1, 'max_length': 8, 'batch_size': 32, 'device': 'cpu'}"
    for renames in (0, 1, 3):
        out = tmp_path / f"run-{renames}"
        words = [sys.executable, "-c", code, str(tiny_dataset.path), str(out), str(renames), given]
        # Sums of floats depend on the number of threads, which other tests may have changed in this process.
        threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
        assert subprocess.run(words, env={**os.environ, **threads}, check=False).returncode == -signal.SIGKILL
        assert train(tiny_dataset.path, out, TINY, Silent())["files"] == read_json(finished / "run.json")["files"]


@pytest.mark.parametrize("tracker", ["abacus", "", "none,wandb", "mlflow", "comet_ml", "azure_ml"])
def test_a_tracker_that_is_not_there_is_refused_before_anything_is_written(tiny_dataset, tmp_path, tracker):
    settings = dataclasses.replace(TINY, report_to=tracker)
    with pytest.raises(ConfigError, match="--report-to"):
        train(tiny_dataset.path, tmp_path / "run", settings, Silent())
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_left_in_a_finished_run_are_removed(tiny_dataset, run):
    (run / "checkpoints" / "checkpoint-1").mkdir(parents=True)
    train(tiny_dataset.path, run, TINY, Silent())
    assert not (run / "checkpoints").exists()


DAMAGED = ["", "{", "[]", "null", '{"settings": 1, "facts": {}, "format_version": "1"}', "[" * 100_000, "\xff"]


def test_locks_left_in_a_finished_run_are_removed_unless_they_are_held(tiny_dataset, run):
    (run / ".run.json.lock").touch()
    beside = run.with_name(f".{run.name}.lock")
    beside.touch()
    with locked(run / "evaluation.json"):  # by a command that writes beside the model
        train(tiny_dataset.path, run, TINY, Silent())
        assert [lock.name for lock in run.glob(".*.lock")] == [".evaluation.json.lock"]
    beside.touch()
    train(tiny_dataset.path, run, TINY, Silent())
    assert not beside.exists()


@pytest.mark.parametrize("text", DAMAGED)
@pytest.mark.parametrize("name", ["settings.json", "run.json"])
def test_a_damaged_file_of_a_run_is_named(tiny_dataset, run, name, text):
    (run / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(LightrecError, match=rf"run/{name}.*restore it .*--out"):
        train(tiny_dataset.path, run, TINY, Silent())
    assert (run / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("key", "value"),
    [("config", []), ("dataset", {"name": 1}), ("split", {"name": 1}), ("seed", None), ("format_version", True)],
)
def test_a_record_with_a_wrong_value_is_named_with_its_key(run, key, value):
    record = read_json(run / "run.json")
    (run / "run.json").write_text(json.dumps({**record, key: value}))
    with pytest.raises(ModelError, match=rf"run/run.json is damaged: its '{key}"):
        read_run(run)


def test_a_key_that_a_record_lacks_is_named_when_it_is_asked_for(run):
    record = read_json(run / "run.json")
    del record["dataset"]["checksum"], record["validation"], record["record_sha256"]
    (run / "run.json").write_text(json.dumps(record))
    found = read_run(run)
    with pytest.raises(ModelError, match=r"run/run.json is damaged: it has no 'validation'"):
        found["validation"]
    with pytest.raises(ModelError, match=r"run/run.json is damaged: it has no 'checksum'"):
        found["dataset"]["checksum"]


def test_a_flipped_bit_in_a_number_of_the_record_is_seen(run):
    text = (run / "run.json").read_text()
    assert '"max_length": 8' in text
    (run / "run.json").write_text(text.replace('"max_length": 8', '"max_length": 9'))
    with pytest.raises(ModelError, match=r"run/run.json is damaged, or was changed"):
        load_model(run)


def test_a_record_of_a_newer_lightrec_is_refused(run):
    record = read_json(run / "run.json")
    (run / "run.json").write_text(json.dumps({"format_version": 2, "other": record}))
    with pytest.raises(ModelError, match="has format version 2, and this lightrec reads 1"):
        read_run(run)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "items.json"])
def test_a_changed_file_of_a_model_is_refused(run, name):
    content = bytearray((run / name).read_bytes())
    content[len(content) // 2] ^= 1
    (run / name).write_bytes(content)
    with pytest.raises(ModelError, match=rf"run/{name} is damaged"):
        load_model(run)
    (run / name).unlink()
    with pytest.raises(ModelError, match=rf"run/{name} is missing"):
        load_model(run)


def of_an_older_version(run: Path) -> None:
    record = read_json(run / "run.json")
    del record["files"], record["record_sha256"]
    (run / "run.json").write_text(json.dumps(record))


def test_a_run_of_an_older_version_is_loaded(run):
    of_an_older_version(run)
    load_model(run)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", b""),
        ("model.safetensors", b"\xff" * 100),
        ("config.json", b"{"),
        ("config.json", b'{"model_type": "sasrec"}'),
        ("config.json", b'{"model_type": "unknown"}'),
        ("config.json", b"[]"),
    ],
)
def test_an_older_run_that_cannot_be_loaded_is_one_sentence(run, name, content):
    of_an_older_version(run)
    (run / name).write_bytes(content)
    with pytest.raises(ModelError, match=r"The model in .*/run cannot be loaded: [^\n]*$"):
        load_model(run)


def test_weights_that_are_missing_are_not_drawn_at_random(run):
    from safetensors.numpy import load_file, save_file

    of_an_older_version(run)
    weights = load_file(run / "model.safetensors")
    first = min(weights)
    save_file(
        {name: value for name, value in weights.items() if name != first}, run / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(ModelError, match=f"its weights lack {first}"):
        load_model(run)
