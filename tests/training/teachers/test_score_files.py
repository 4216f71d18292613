"""A file as a teacher: what becomes of its lists, beside others and alone, and the round trip from a run."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from lightrec.data.scores import Scores, write_scores
from lightrec.data.splits import make_split
from lightrec.errors import DataError
from lightrec.settings import DistillSettings, StudentSettings
from lightrec.training.loop.windows import Windows
from lightrec.training.progress import Silent
from lightrec.training.teachers.read_score_file import TeacherScores
from lightrec.training.teachers.source import Teachers
from lightrec.training.teachers.write_score_file import write_teacher_scores
from lightrec.training.train_student import distill, train

SMALL = {"max_length": 8, "batch_size": 16, "device": "cpu", "hidden_size": 16, "epochs": 1}


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTREC_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def run(tiny_dataset, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    settings = StudentSettings(**SMALL | {"epochs": 8}, learning_rate=1e-2, dropout=0.1)
    train(tiny_dataset.path, out, settings, Silent())
    return out


def write(path, dataset, rows):
    """``rows``: (user, position, item, score), all as indices."""
    users, positions, items, scores = (np.array(column) for column in zip(*rows, strict=True))
    write_scores(path, dataset, Scores(users, positions, items, scores.astype(np.float32)))
    return path


def targets_of(dataset, **settings):
    """The cached targets of all rows, and what the record says."""
    settings = DistillSettings(**SMALL, **settings)
    split = make_split(dataset)
    windows = Windows.from_split(split, 8)
    outputs, record = Teachers.open(settings, dataset).outputs(split, windows, None, Silent())
    return outputs, windows, record


def test_a_list_shares_out_the_probability(tiny_dataset, tmp_path):
    """Scores log 3 and 0 at one position, the true item not listed: rest (1 + 1) / (1 + 2) on 28 items."""
    split = make_split(tiny_dataset)
    true = int(tiny_dataset.sequence(0)[2])
    first, second = (item for item in range(4) if item != true) if true < 4 else (0, 1)[:2]
    file = write(tmp_path / "s.parquet", tiny_dataset, [(0, 2, first, math.log(3)), (0, 2, second, 0.0)])
    scores = TeacherScores.read(file, tiny_dataset, split, scale=1.0)
    found = scores.log_probabilities(np.array([split.train_offsets[0] + 2, split.train_offsets[0] + 1]))
    expected = torch.full((30,), 2 / 3 / 28)
    expected[first], expected[second] = 1 / 3 * 3 / 4, 1 / 3 * 1 / 4
    torch.testing.assert_close(found[0].exp(), expected)
    assert torch.isneginf(found[1]).all()


def test_the_scale_of_scores_is_fitted(tiny_dataset, tmp_path):
    """True items lead by 10 in two lists of three: the odds of 2 to 1 for a lead of 10 mean scale log 2 / 10."""
    split, rows = make_split(tiny_dataset), []
    for user, leads in ((0, True), (1, True), (2, False)):
        true = int(tiny_dataset.sequence(user)[1])
        rows += [(user, 1, true, 10 * leads), (user, 1, (true + 1) % 30, 10 * (not leads))]
    scores = TeacherScores.read(write(tmp_path / "s.parquet", tiny_dataset, rows), tiny_dataset, split)
    assert scores.facts["scale"] == pytest.approx(math.log(2) / 10, abs=1e-5)
    assert scores.rest == pytest.approx(1 / 5)


def test_held_out_and_first_positions_are_ignored(tiny_dataset, tmp_path):
    split = make_split(tiny_dataset)
    length = len(tiny_dataset.sequence(0))
    rows = [(0, position, 5, 1.0) for position in (0, 1, length - 2, length - 1)]
    scores = TeacherScores.read(write(tmp_path / "s.parquet", tiny_dataset, rows), tiny_dataset, split)
    assert (scores.facts["positions"], scores.facts["ignored_rows"]) == (1, 3)
    with pytest.raises(DataError, match="no score at a position that the leave-one-out split trains on"):
        TeacherScores.read(write(tmp_path / "t.parquet", tiny_dataset, rows[2:]), tiny_dataset, split)


@pytest.mark.parametrize("cache_gib", [1.0, 0.0], ids=["full", "top"])
def test_a_run_written_to_a_file_teaches_what_the_run_teaches(tiny_dataset, run, tmp_path, cache_gib):
    written = write_teacher_scores(run, tiny_dataset.path, tmp_path / "s.parquet", device="cpu", reporter=Silent())
    assert written["rows"] == written["positions"] * 30
    cut = {"cache_gib": cache_gib, "cache_items": 6}
    direct, _, _ = targets_of(tiny_dataset, teachers=(str(run),), **cut)
    through, _, record = targets_of(
        tiny_dataset, teacher_scores=str(tmp_path / "s.parquet"), teacher_weights="1", **cut
    )
    assert record["teacher_scores"]["positions"] == direct.plan.n_rows
    for one, other in zip(direct_probabilities(direct), direct_probabilities(through), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-3)


def direct_probabilities(outputs):
    """Softened shares of the listed items, and the items: what the loss reads."""
    logits = torch.from_numpy(np.array(outputs.logits)).float() / 2
    if outputs.items is None:
        return (logits.softmax(1).numpy(),)
    rest = torch.from_numpy(np.array(outputs.rest))
    return torch.cat([logits, rest[:, None]], dim=1).softmax(1).numpy(), np.sort(outputs.items, axis=1)


def test_beside_a_run_a_file_has_the_say_of_one_more_teacher(tiny_dataset, run, tmp_path):
    """Half and half where the file has a list; the run alone elsewhere."""
    file = write(tmp_path / "s.parquet", tiny_dataset, [(0, 1, 7, 0.0)])
    alone, windows, _ = targets_of(tiny_dataset, teachers=(str(run),))
    both, _, record = targets_of(tiny_dataset, teachers=(str(run),), teacher_scores=str(file))
    assert record["teacher_scores"]["weight"] == 0.5
    window = int(np.flatnonzero(windows.starts == 0)[0])
    row = int(both.plan.rows(np.array([window]), None)[0])
    others = np.arange(both.plan.n_rows) != row
    np.testing.assert_array_equal(both.logits[others], alone.logits[others])
    rest = record["teacher_scores"]["rest"]
    own = np.log(np.where(np.arange(30) == 7, 1 - rest, rest / 29))
    expected = 0.5 * alone.logits[row].astype(float) + 0.5 * own
    np.testing.assert_allclose(both.logits[row].astype(float), expected, atol=0.02)


def test_a_student_learns_from_a_file_alone(tiny_dataset, run, tmp_path):
    file = tmp_path / "s.parquet"
    write_teacher_scores(run, tiny_dataset.path, file, top=3, device="cpu", reporter=Silent())
    for student in ("sasrec", "mini-bert"):
        settings = DistillSettings(teacher_scores=str(file), student=student, mask_patterns=2, **SMALL)
        record = distill(tiny_dataset.path, tmp_path / student, settings, Silent())
        assert record["teachers"] == []
        assert record["teacher_scores"]["scale"] > 0
    assert json.loads((tmp_path / "sasrec" / "run.json").read_text())["teacher_scores"]["sha256"]


@pytest.mark.parametrize("cache_gib", [1.0, 0.0], ids=["full", "top"])
def test_positions_without_a_list_are_learnt_from_the_true_item_alone(tiny_dataset, tmp_path, cache_gib):
    file = write(tmp_path / "s.parquet", tiny_dataset, [(0, 1, 7, 0.0)])
    common = {"teacher_scores": str(file), "cache_gib": cache_gib, "cache_items": 6}
    outputs, _, _ = targets_of(tiny_dataset, **common)
    silent = np.isneginf(np.array(outputs.logits, dtype=np.float32)).all(axis=1)
    assert silent.sum() == outputs.plan.n_rows - 1
    record = distill(tiny_dataset.path, tmp_path / "run", DistillSettings(**common, **SMALL), Silent())
    assert math.isfinite(record["validation"]["loss"])


@pytest.mark.parametrize(
    ("settings", "mistake"),
    [
        ({}, "teachers is empty"),
        ({"teachers": ("a", "b"), "teacher_weights": "1"}, "'1' has 1 numbers for 2 teachers"),
        ({"teachers": ("a",), "teacher_scores": "f", "teacher_weights": "1,x"}, "must be auto, or numbers"),
        ({"teachers": ("a", "b"), "teacher_weights": "1,0"}, "must hold numbers above 0"),
        ({"teachers": ("a",), "teacher_weights": "1"}, "leave it out for a single one"),
        ({"teacher_scores": "f", "hold_out_items": 0.1}, "cannot go with hold_out_items"),
    ],
)
def test_weights_that_make_no_sense_are_refused(settings, mistake):
    assert any(mistake in found for found in DistillSettings(**settings).problems())
