"""A damaged checkpoint: the one before it is taken, and the outcome is that of a run that nothing happened to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lightrec.errors import ModelError
from lightrec.files.atomic import read_json, sha256_file
from lightrec.settings import StudentSettings
from lightrec.training.loop.checkpoints import SEAL, best_of, flaw, newest_whole, prune, seal
from lightrec.training.loop.trainer import SequenceTrainer, checkpoint_of
from lightrec.training.progress import Silent
from lightrec.training.train_student import train

SETTINGS = StudentSettings(
    hidden_size=8, dropout=0.1, epochs=5, patience=0, learning_rate=1e-2, max_length=8, batch_size=16, device="cpu"
)
FILES = ("checksums.json", "model.safetensors", "optimizer.pt", "rng_state.pth", "scheduler.pt", "trainer_state.json")


class Listener(Silent):
    """A reporter that keeps the notes, and stops the run at the n-th validation."""

    def __init__(self, stop_at: int = 0):
        self.notes: list[str] = []
        self.stop_at = stop_at

    def note(self, text: str) -> None:
        self.notes.append(text)
        if self.stop_at and sum(note.startswith("epoch") for note in self.notes) == self.stop_at:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def whole(tiny_dataset, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "whole"
    train(tiny_dataset.path, out, SETTINGS, Silent())
    return out


@pytest.fixture(scope="module")
def stopped(tiny_dataset, tmp_path_factory) -> Path:
    """A run with three checkpoints that was stopped in its fourth epoch."""
    out = tmp_path_factory.mktemp("runs") / "stopped"
    with pytest.raises(KeyboardInterrupt):
        train(tiny_dataset.path, out, SETTINGS, Listener(stop_at=4))
    return out


@pytest.fixture
def run(stopped, tmp_path) -> Path:
    return Path(shutil.copytree(stopped, tmp_path / "run"))


def newest(run: Path) -> Path:
    return max((run / "checkpoints").iterdir(), key=lambda path: int(path.name.split("-")[1]))


def finishes_like(whole: Path, run: Path, dataset) -> list[str]:
    """Train on and compare with a run that nothing happened to; what was noted of checkpoints."""
    listener = Listener()
    record = train(dataset.path, run, SETTINGS, listener)
    assert record["files"] == read_json(whole / "run.json")["files"]
    assert (run / "history.jsonl").read_bytes() == (whole / "history.jsonl").read_bytes()
    return [note for note in listener.notes if not note.startswith("epoch")]


def test_checkpoints_are_sealed_and_hold_no_pickle_that_is_not_read(stopped):
    kept = sorted((stopped / "checkpoints").iterdir())
    assert len(kept) in (2, 3)  # the newest two, and the best if it is older
    for checkpoint in kept:
        assert flaw(checkpoint) is None
        assert {file.name for file in checkpoint.iterdir()} == set(FILES)


def test_an_undamaged_run_goes_on_without_a_word(tiny_dataset, whole, run):
    assert finishes_like(whole, run, tiny_dataset) == []


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def replace_by_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", [cut, flip, empty, Path.unlink, replace_by_folder])
def test_any_damage_to_any_file_is_seen(run, name, damage):
    damage(newest(run) / name)
    assert flaw(newest(run))


@pytest.mark.parametrize(("name", "damage"), [("trainer_state.json", cut), ("optimizer.pt", flip), (SEAL, Path.unlink)])
def test_after_damage_the_checkpoint_before_is_taken(tiny_dataset, whole, run, name, damage):
    before = newest(run)
    damage(before / name)
    told = finishes_like(whole, run, tiny_dataset)
    assert len(told) == 1
    assert before.name in told[0]
    assert "goes on from checkpoint-" in told[0]


@pytest.mark.parametrize("make", [Path.touch, lambda place: place.symlink_to("nowhere")])
def test_a_file_or_link_in_place_of_a_checkpoint_is_removed(tiny_dataset, whole, run, make):
    place = newest(run)
    shutil.rmtree(place)
    make(place)
    assert place.name in finishes_like(whole, run, tiny_dataset)[0]


def test_a_file_of_others_in_a_checkpoint_is_not_read(tiny_dataset, whole, run):
    (newest(run) / "pytorch_model.bin").write_bytes(b"anything")
    assert "pytorch_model.bin" in finishes_like(whole, run, tiny_dataset)[0]


def test_without_the_best_checkpoint_the_later_ones_are_of_no_use(tiny_dataset, whole, run):
    best = best_of(newest(run))
    later = newest(run) != best
    shutil.rmtree(best)
    assert len(finishes_like(whole, run, tiny_dataset)) == int(later)


def test_without_any_whole_checkpoint_training_begins_again(tiny_dataset, whole, run):
    for checkpoint in (run / "checkpoints").iterdir():
        empty(checkpoint / "model.safetensors")
    told = finishes_like(whole, run, tiny_dataset)
    assert len(told) == 1
    assert "starts from the beginning" in told[0]


def test_a_run_that_was_moved_finds_its_best_weights(tiny_dataset, whole, run, tmp_path, monkeypatch):
    """Stopped after its last checkpoint, a run has nothing left to do but to take the best one, wherever it lies."""
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(SequenceTrainer, "_load_best_model", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        train(tiny_dataset.path, Path("run"), SETTINGS, Silent())
    run.rename(tmp_path / "moved")
    finishes_like(whole, tmp_path / "moved", tiny_dataset)


def test_a_run_never_ends_without_its_best_weights(tiny_dataset, whole, run, monkeypatch):
    real = SequenceTrainer._load_best_model

    def after_damage(self):
        flip(checkpoint_of(self.args, self.state.best_global_step) / "model.safetensors")
        real(self)

    with monkeypatch.context() as patch, pytest.raises(ModelError, match=r"best weights .*damaged model.safetensors"):
        patch.setattr(SequenceTrainer, "_load_best_model", after_damage)
        train(tiny_dataset.path, run, SETTINGS, Silent())
    assert not (run / "run.json").exists()
    finishes_like(whole, run, tiny_dataset)


def make(folder: Path, step: int, best: int) -> Path:
    checkpoint = folder / f"checkpoint-{step}"
    checkpoint.mkdir(parents=True)
    (checkpoint / "trainer_state.json").write_text(json.dumps({"best_global_step": best}))
    seal(checkpoint)
    return checkpoint


def test_the_newest_two_and_the_best_are_kept(tmp_path):
    for step in (5, 10, 20, 100, 200):
        make(tmp_path, step, best=10)
    (tmp_path / "checkpoint-notes").mkdir()
    prune(tmp_path, 10)
    kept = ["checkpoint-10", "checkpoint-100", "checkpoint-200", "checkpoint-notes"]
    assert sorted(path.name for path in tmp_path.iterdir()) == kept


def test_the_newest_is_found_by_number_and_only_its_own_best_counts(tmp_path):
    for step, best in ((9, 9), (10, 10), (11, 10)):
        make(tmp_path, step, best)
    assert newest_whole(tmp_path, pytest.fail).name == "checkpoint-11"
    empty(tmp_path / "checkpoint-10" / "trainer_state.json")
    told: list[str] = []
    assert newest_whole(tmp_path, told.append).name == "checkpoint-9"
    assert "checkpoint-11 needs checkpoint-10, which has a damaged trainer_state.json" in told[0]
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-9"]
    assert newest_whole(tmp_path / "missing", pytest.fail) is None


@pytest.mark.parametrize("seal_text", ["", "[]", "{}", '{"files": []}', '{"files": {"a": 1}}', "[" * 100_000])
def test_a_damaged_seal_is_a_flaw(tmp_path, seal_text):
    checkpoint = make(tmp_path, 1, 1)
    (checkpoint / "checksums.json").write_text(seal_text)
    assert flaw(checkpoint)


def test_the_checksum_in_the_record_is_that_of_the_weights(whole):
    recorded = read_json(whole / "run.json")["files"]
    assert set(recorded) == {"config.json", "items.json", "model.safetensors"}
    assert recorded["model.safetensors"] == sha256_file(whole / "model.safetensors")
