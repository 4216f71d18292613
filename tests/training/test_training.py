"""Whole runs on miniature data: they learn, repeat, resume after a kill, and refuse what does not fit."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from mini_language_model import save_bert
from safetensors.torch import load_file

from lightrec.baselines.baselines import make_baseline
from lightrec.config import to_mapping
from lightrec.data.splits import make_split
from lightrec.errors import ConfigError, DataError, ModelError
from lightrec.evaluation.protocol import evaluate
from lightrec.models.load import load_model
from lightrec.models.scoring import ModelScorer
from lightrec.settings import DistillSettings, FinetuneSettings, StudentSettings
from lightrec.training.finetune import finetune
from lightrec.training.loop.windows import Windows, mask_patterns
from lightrec.training.progress import Silent
from lightrec.training.teachers.output_cache import ModelVoice, OutputsPlan, prepare_outputs
from lightrec.training.train_student import distill, train

SMALL = {"max_length": 8, "batch_size": 16, "device": "cpu"}
STUDENT = StudentSettings(hidden_size=16, dropout=0.1, epochs=12, patience=0, learning_rate=1e-2, **SMALL)


@pytest.fixture(scope="module")
def language_model(tmp_path_factory) -> str:
    return str(save_bert(tmp_path_factory.mktemp("base") / "bert"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTREC_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def teacher(tiny_dataset, language_model, cache, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "teacher"
    settings = FinetuneSettings(base=language_model, epochs=10, learning_rate=2e-3, item_learning_rate=1e-2, **SMALL)
    finetune(tiny_dataset.path, out, settings, Silent())
    return out


@pytest.fixture(scope="module")
def masked_teacher(tiny_dataset, language_model, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "masked-teacher"
    settings = FinetuneSettings(base=language_model, item_input="ids", objective="masked", epochs=2, **SMALL)
    finetune(tiny_dataset.path, out, settings, Silent())
    return out


@pytest.fixture(scope="module")
def student(tiny_dataset, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "student"
    train(tiny_dataset.path, out, STUDENT, Silent())
    return out


def ndcg_of(run: Path, dataset) -> float:
    split = make_split(dataset)
    model, _ = load_model(run)
    found = evaluate(ModelScorer(model), split.test, train_popularity=split.popularity(), bootstrap=0)
    return found.metrics["ndcg@10"].value


def test_a_student_learns_what_follows_what(tiny_dataset, student):
    split = make_split(tiny_dataset)
    popularity = make_baseline("popularity", tiny_dataset, split)
    floor = evaluate(popularity, split.test, train_popularity=split.popularity(), bootstrap=0).metrics["ndcg@10"].value
    assert ndcg_of(student, tiny_dataset) > floor + 0.3


def test_a_teacher_learns_from_texts_and_ids(tiny_dataset, teacher):
    assert ndcg_of(teacher, tiny_dataset) > 0.5


def test_the_record_tells_how_the_run_was_made(tiny_dataset, student):
    record = json.loads((student / "run.json").read_text())
    assert record["kind"] == "student"
    assert record["dataset"]["checksum"] == tiny_dataset.checksum
    assert record["config"] == json.loads(json.dumps(to_mapping(STUDENT)))
    rows = [json.loads(line) for line in (student / "history.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == list(range(1, 13))
    assert record["validation"]["ndcg@10"] == max(row["ndcg@10"] for row in rows)
    assert not (student / "checkpoints").exists()


def test_the_kept_weights_are_those_of_the_best_validation(tiny_dataset, student):
    split = make_split(tiny_dataset)
    model, record = load_model(student)
    found = evaluate(ModelScorer(model), split.validation, train_popularity=split.popularity(), bootstrap=0)
    assert found.metrics["ndcg@10"].value == pytest.approx(record["validation"]["ndcg@10"], abs=1e-9)


def test_a_seed_repeats_a_run_and_another_does_not(tiny_dataset, student, tmp_path):
    train(tiny_dataset.path, tmp_path / "again", STUDENT, Silent())
    train(tiny_dataset.path, tmp_path / "other", dataclasses.replace(STUDENT, seed=1), Silent())
    first, again, other = (
        load_file(run / "model.safetensors") for run in (student, tmp_path / "again", tmp_path / "other")
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_a_finished_run_returns_at_once_and_other_settings_are_refused(tiny_dataset, student):
    before = (student / "model.safetensors").stat().st_mtime_ns
    assert train(tiny_dataset.path, student, STUDENT, Silent())["kind"] == "student"
    assert (student / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(ConfigError, match="epochs: 12 there, 13 now"):
        train(tiny_dataset.path, student, dataclasses.replace(STUDENT, epochs=13), Silent())


def test_a_folder_that_is_no_run_is_left_alone(tiny_dataset, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="is not a run"):
        train(tiny_dataset.path, tmp_path, STUDENT, Silent())


@pytest.mark.parametrize("objective", ["causal", "masked"])
@pytest.mark.parametrize("student_kind", ["sasrec", "mini-bert", "gru4rec"])
def test_every_pair_of_teacher_and_student(tiny_dataset, teacher, masked_teacher, tmp_path, objective, student_kind):
    run = teacher if objective == "causal" else masked_teacher
    settings = DistillSettings(
        teachers=(str(run),), student=student_kind, hidden_size=16, epochs=1, mask_patterns=3, **SMALL
    )
    record = distill(tiny_dataset.path, tmp_path / "student", settings, Silent())
    assert record["teachers"][0]["validation"]["ndcg@10"] > 0


def test_distilling_again_needs_no_teacher_in_memory(tiny_dataset, teacher, tmp_path, monkeypatch):
    settings = DistillSettings(teachers=(str(teacher),), init_items="none", hidden_size=16, epochs=1, **SMALL)
    distill(tiny_dataset.path, tmp_path / "first", settings, Silent())
    monkeypatch.setattr(
        "lightrec.training.teachers.source.load_teacher", lambda run: pytest.fail("the teacher was loaded")
    )
    distill(tiny_dataset.path, tmp_path / "second", dataclasses.replace(settings, temperature=3.0), Silent())


def test_an_ensemble_is_weighed_and_asked_once(tiny_dataset, teacher, student, tmp_path, monkeypatch):
    runs = (str(student), str(teacher))
    settings = DistillSettings(teachers=runs, init_items="none", hidden_size=16, epochs=1, **SMALL)
    first = distill(tiny_dataset.path, tmp_path / "first", settings, Silent())
    monkeypatch.setattr(
        "lightrec.training.teachers.source.load_teacher", lambda run: pytest.fail("a teacher was loaded")
    )
    second = distill(tiny_dataset.path, tmp_path / "second", dataclasses.replace(settings, seed=1), Silent())
    assert second["ensemble"] == first["ensemble"]


def test_several_teachers_and_the_top_of_their_outputs(tiny_dataset, teacher, student, tmp_path):
    settings = DistillSettings(
        teachers=(str(teacher), str(student)), hidden_size=16, epochs=1, cache_gib=0.0, cache_items=5, **SMALL
    )
    record = distill(tiny_dataset.path, tmp_path / "student", settings, Silent())
    assert len(record["teachers"]) == len(record["ensemble"]["weights"]) == 2
    assert 0 < record["ensemble"]["fitted_cases"] <= 20


def outputs_by_hand(model, windows, window, target):
    """What the model says about a window's target from the items before it alone."""
    prefix = windows.items[windows.starts[window] : windows.starts[window] + target]
    return ModelScorer(model).score([prefix])[0]


@pytest.mark.parametrize("which", ["teacher", "masked_teacher"])
def test_outputs_are_what_the_teacher_says_of_each_prefix(request, tiny_dataset, tmp_path, which):
    """For a causal student no label may know the future: each equals the score of its prefix alone."""
    run = request.getfixturevalue(which)
    model, record = load_model(run)
    windows = Windows.from_split(make_split(tiny_dataset), 8)
    plan = OutputsPlan.make(windows, record["objective"], None)
    outputs = prepare_outputs(
        run / "outputs",
        lambda: ModelVoice(model),
        plan,
        n_items=30,
        temperature=1.0,
        max_bytes=1e9,
        top=5,
        context={"test": which},
    )
    for window in range(0, len(windows), 7):
        rows = outputs.targets(np.array([window]), None).logits
        for target in range(1, windows.lengths[window]):
            expected = outputs_by_hand(model, windows, window, target)
            np.testing.assert_allclose(rows[target - 1].float(), expected, atol=0.02, rtol=0.01)


def test_outputs_for_a_masked_student_follow_its_patterns(tiny_dataset, masked_teacher):
    model, _ = load_model(masked_teacher)
    windows = Windows.from_split(make_split(tiny_dataset), 8)
    patterns = mask_patterns(windows, 3, 0.3, seed=0)
    plan = OutputsPlan.make(windows, "masked", patterns)
    outputs = prepare_outputs(
        masked_teacher / "outputs", lambda: ModelVoice(model), plan,
        n_items=30, temperature=1.0, max_bytes=1e9, top=5, context={"test": 1},
    )  # fmt: skip
    for window, pattern in ((0, 0), (3, 1), (len(windows) - 1, 2)):
        items, length = windows.batch([window], padding=30)
        masked = torch.from_numpy(patterns[window, pattern][None, : items.shape[1]])
        expected = model.logits(model.states(items, length, masked)[masked])
        rows = outputs.targets(np.array([window]), np.array([pattern])).logits.float()
        torch.testing.assert_close(rows, expected, atol=0.02, rtol=0.01)


def test_outputs_go_on_where_they_were_stopped(tiny_dataset, teacher):
    model, _ = load_model(teacher)
    windows = Windows.from_split(make_split(tiny_dataset), 2)
    plan = OutputsPlan.make(windows, "causal", None)

    def prepare(context, on_progress=None):
        return prepare_outputs(
            teacher / "outputs", lambda: ModelVoice(model), plan, n_items=30, temperature=1.0, max_bytes=0, top=5,
            context={"test": context}, on_progress=on_progress,
        )  # fmt: skip

    def stop(done, total):
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare("stopped", stop)
    whole, resumed = prepare("whole"), prepare("stopped")
    np.testing.assert_array_equal(whole.logits, resumed.logits)
    np.testing.assert_array_equal(whole.items, resumed.items)


def test_teachers_that_do_not_fit_are_refused(tiny_dataset, teacher, tmp_path):
    def attempt(**changes):
        settings = DistillSettings(**{"teachers": (str(teacher),), **SMALL, **changes})
        distill(tiny_dataset.path, tmp_path / "student", settings, Silent())

    with pytest.raises(ModelError, match="reads 8 items and the student 9"):
        attempt(max_length=9)
    with pytest.raises(ModelError, match="may have seen what temporal holds back"):
        attempt(split="temporal")
    with pytest.raises(ModelError, match="is not a run"):
        attempt(teachers=(str(tmp_path),))
    assert not (tmp_path / "student").exists()


def test_a_refusal_leaves_nothing_behind(tiny_dataset, tmp_path):
    with pytest.raises(ModelError, match="neither a folder nor in the local cache"):
        finetune(tiny_dataset.path, tmp_path / "run", FinetuneSettings(base="./no-such-folder", **SMALL), Silent())
    with pytest.raises(ConfigError, match="--device abacus is not known"):
        train(tiny_dataset.path, tmp_path / "run", dataclasses.replace(STUDENT, device="abacus"), Silent())
    assert not (tmp_path / "run").exists()


def test_items_without_any_text_are_refused(tiny_dataset, language_model, tmp_path):
    from lightrec.data.dataset import write_dataset

    silent = write_dataset(
        tmp_path / "silent",
        name="silent",
        user_ids=tiny_dataset.user_ids,
        item_ids=tiny_dataset.item_ids,
        item_texts=[None] * 30,
        offsets=tiny_dataset.offsets,
        items=tiny_dataset.items,
        timestamps=tiny_dataset.timestamps,
        order_only=False,
    )
    with pytest.raises(DataError, match="--item-input ids"):
        finetune(silent.path, tmp_path / "teacher", FinetuneSettings(base=language_model, **SMALL), Silent())


@pytest.mark.slow
@pytest.mark.parametrize("command", ["train", "distill"])
def test_a_killed_run_resumes_to_the_same_result(tiny_dataset, teacher, tmp_path, command):
    options = ["--hidden-size", "16", "--max-length", "8", "--epochs", "40", "--patience", "0", "--device", "cpu"]
    if command == "distill":
        options += ["--teacher", str(teacher)]

    def start(out: Path) -> subprocess.Popen:
        line = [sys.executable, "-m", "lightrec", command, str(tiny_dataset.path), "--out", str(out), *options]
        return subprocess.Popen(line, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)

    assert start(tmp_path / "whole").wait(timeout=300) == 0
    killed = start(tmp_path / "killed")
    deadline = time.monotonic() + 200
    while len(list((tmp_path / "killed").glob("checkpoints/*/trainer_state.json"))) < 2:
        assert killed.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / "killed" / "run.json").exists()
    assert start(tmp_path / "killed").wait(timeout=300) == 0
    whole, resumed = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert (tmp_path / "whole" / "history.jsonl").read_text() == (tmp_path / "killed" / "history.jsonl").read_text()


def test_a_learning_rate_that_is_not_given_fits_the_size_of_the_data():
    """Under cosine 0.05 / steps per epoch, between 2e-4 and 2e-3; under dot product always 2e-3."""
    cosine, dot = StudentSettings(), StudentSettings(similarity="dot")
    assert [cosine.peak_rate(steps) for steps in (1, 100, 10_000)] == [2e-3, 0.05 / 100, 2e-4]
    assert [dot.peak_rate(steps) for steps in (1, 10_000)] == [2e-3, 2e-3]
    assert StudentSettings(learning_rate=0.5).peak_rate(100) == 0.5
