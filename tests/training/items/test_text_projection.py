"""The projection from texts to item vectors, and the items held out to measure it."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from mini_language_model import save_bert
from typer.testing import CliRunner

from lightrec.bundle import TEXT_PROJECTION
from lightrec.cli.app import app
from lightrec.config import from_mapping
from lightrec.data.held_out_items import draw_items, without_items
from lightrec.data.splits import make_split
from lightrec.errors import ConfigError, DataError, LightrecError, ModelError
from lightrec.evaluation.cold_items import ask_for, by_chance
from lightrec.evaluation.protocol import evaluate
from lightrec.models.load import load_model
from lightrec.models.students.text_projection import TextProjection
from lightrec.settings import DistillSettings, StudentSettings
from lightrec.training.items.text_projection import Trial, cross_fit, give_vectors, ridge
from lightrec.training.progress import Silent
from lightrec.training.train_student import train


def test_ridge_by_hand():
    # Inputs -1 and 1 around their mean, targets -2 and 2: the slope is 2 / (1 + penalty), for the variance is 1.
    inputs, targets = np.array([[4.0], [6.0]]), np.array([[3.0], [7.0]])
    for penalty, slope in ((0.0, 2.0), (1.0, 1.0), (3.0, 0.5)):
        weight, bias = ridge(inputs, targets, np.ones(2), penalty)
        assert weight.item() == pytest.approx(slope)
        assert bias.item() == pytest.approx(5 - slope * 5)


def test_ridge_counts_an_item_as_often_as_its_weight():
    rng = np.random.default_rng(0)
    inputs, targets = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    weights = np.array([1, 2, 1, 3, 1, 1])
    written_out = np.repeat(np.arange(6), weights)
    expected = ridge(inputs[written_out], targets[written_out], np.ones(len(written_out)), 0.2)
    for found, wanted in zip(ridge(inputs, targets, weights, 0.2), expected, strict=True):
        np.testing.assert_allclose(found, wanted)


def test_cross_fitting_never_shows_an_item_to_its_own_map():
    rng = np.random.default_rng(0)
    texts, table, fold = rng.normal(size=(8, 2)), rng.normal(size=(8, 3)), np.array([0, 1, 0, 1, 0, 1, 0, -1])
    before = cross_fit(texts, table, np.ones(8), fold, 0.1)
    changed = table.copy()
    changed[fold == 0] += 5
    after = cross_fit(texts, changed, np.ones(8), fold, 0.1)
    np.testing.assert_array_equal(before[fold == 0], after[fold == 0])
    assert np.abs(before[fold == 1] - after[fold == 1]).min() > 1
    np.testing.assert_array_equal(after[7], table[7])


def test_a_trial_ranks_as_a_plain_reading_does():
    rng = np.random.default_rng(1)
    states, table, other = rng.normal(size=(30, 4)), rng.normal(size=(12, 4)), rng.normal(size=(12, 4))
    scores = (states @ table.T).astype(np.float32)
    seen = rng.integers(12, size=30)
    scores[np.arange(30), seen] = -np.inf
    targets = (seen + rng.integers(1, 12, size=30)) % 12
    fold = np.arange(12) % 3
    ranks = {"cold": [], "warm": [], "before": []}
    for number in range(3):
        replaced = np.where((fold == number)[:, None], 1.5 * other, table)
        for case in range(30):
            row = (states[case] @ replaced.T).astype(np.float32)
            row[seen[case]] = -np.inf
            cold = fold[targets[case]] == number
            ranks["cold" if cold else "warm"].append(np.sum(row >= row[targets[case]]))
            if not cold:
                row[fold == number] = -np.inf
                ranks["before"].append(np.sum(row >= row[targets[case]]))
    expected = [np.mean([1 / np.log2(1 + rank) if rank <= 10 else 0 for rank in part]) for part in ranks.values()]
    assert Trial(states, scores, targets, fold).ask(other, 1.5) == pytest.approx(expected)


def test_held_out_items_leave_no_trace(tiny_dataset):
    held = draw_items(tiny_dataset, 0.2, seed=3)
    assert held.sum() == 6 and not held[29]  # a fifth of 29 items with a text; item 29 has none
    split = without_items(make_split(tiny_dataset), held)
    assert not held[split.train_items].any() and split.popularity()[held].sum() == 0
    for cases in (split.validation, split.test):
        assert len(cases) and not held[cases.targets].any()
        for case in range(len(cases)):
            user, history = cases.users[case], cases.history(case)
            whole = tiny_dataset.sequence(user)
            assert len(history) and history.tolist() == whole[: len(whole)][~held[whole]][: len(history)].tolist()
            assert cases.targets[case] in whole[-2:]
    lengths = np.diff(split.train_offsets)
    expected = [np.sum(~held[tiny_dataset.sequence(user)[:-2]]) for user in range(tiny_dataset.n_users)]
    assert lengths.tolist() == expected


def test_a_share_that_is_no_item_is_refused(tiny_dataset):
    with pytest.raises(DataError, match="give a larger --hold-out-items"):
        draw_items(tiny_dataset, 0.001, seed=0)
    with pytest.raises(ConfigError, match="a teacher has seen these items"):
        from_mapping(DistillSettings, {"teachers": ["t"], "hold_out_items": 0.1}, "a test")
    with pytest.raises(ConfigError, match="the earlier student may know these items"):
        from_mapping(StudentSettings, {"from_run": "r", "hold_out_items": 0.1}, "a test")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTREC_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield str(save_bert(tmp_path_factory.mktemp("base") / "bert"))


@pytest.fixture(scope="module")
def run(tiny_dataset, base, tmp_path_factory):
    """A student that held a fifth of the items out, with its projection."""
    out = tmp_path_factory.mktemp("runs") / "student"
    settings = StudentSettings(
        hold_out_items=0.2, seed=3, hidden_size=8, epochs=3, max_length=8, batch_size=16, device="cpu"
    )
    train(tiny_dataset.path, out, settings, Silent())
    found = lightrec("items", "fit", out, tiny_dataset.path, "--base", base, "--json")
    assert found["items"] == 23  # 29 with a text, 6 of them held out
    return out


def lightrec(*words: object) -> dict:
    done = CliRunner().invoke(app, [*map(str, words)])
    if isinstance(done.exception, LightrecError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_cold_items_get_the_projection_of_their_texts(tiny_dataset, run):
    held = draw_items(tiny_dataset, 0.2, seed=3)
    model, _ = load_model(run)
    before = model.item_table.clone()
    give_vectors(model, run, tiny_dataset, held)
    assert torch.equal(model.item_table[~torch.from_numpy(held)], before[~torch.from_numpy(held)])
    assert not torch.isclose(model.item_table[torch.from_numpy(held)], before[torch.from_numpy(held)]).all()


def test_evaluate_asks_for_the_held_out_items_alone(tiny_dataset, run):
    found = lightrec("evaluate", run, tiny_dataset.path, "--cold-items", "--against", "popularity", "--k", 10, "--json")
    held = draw_items(tiny_dataset, 0.2, seed=3)
    asked = make_split(tiny_dataset).test
    assert found["cases"] == held[asked.targets].sum() > 0
    assert found["cold_items"]["items"] == 6
    # Popularity has never seen them: they stand behind every item that has an event and is not in the history.
    assert found["against"]["metrics"]["hr@10"]["value"] == 0
    assert 0.2 < found["cold_items"]["by_chance"]["hr@10"] < 0.6  # 10 of the 13 to 24 + ... items that are left


def test_chance_by_hand(tiny_dataset):
    held = draw_items(tiny_dataset, 0.2, seed=3)
    split = ask_for(make_split(tiny_dataset), held)

    class Nothing:
        n_items = tiny_dataset.n_items

        def score(self, histories):
            return np.zeros((len(histories), self.n_items))

    found = evaluate(Nothing(), split.test, train_popularity=split.popularity(), ks=(1, 2), bootstrap=0)
    shares = [
        0 if split.test.targets[case] in split.test.history(case) else 1 / (30 - len(set(split.test.history(case))))
        for case in range(len(split.test))
    ]
    chance = by_chance(found, 30)
    assert chance["hr@2"] == pytest.approx(2 * np.mean(shares))
    assert chance["ndcg@2"] == pytest.approx((1 + 1 / np.log2(3)) * np.mean(shares))


def test_what_was_held_out_must_be_asked_for(tiny_dataset, run):
    with pytest.raises(ConfigError, match="held 6 items out of training: add --cold-items"):
        lightrec("evaluate", run, tiny_dataset.path)
    with pytest.raises(ConfigError, match="needs a run that held items out"):
        lightrec("evaluate", "popularity", tiny_dataset.path, "--cold-items")


def test_a_projection_survives_its_file_and_a_damaged_one_is_refused(tmp_path):
    projection = TextProjection(np.eye(2, 3, dtype=np.float32), np.ones(2, dtype=np.float32), "b", "f", {"scale": 1.5})
    projection.save(tmp_path / TEXT_PROJECTION)
    again = TextProjection.load(tmp_path / TEXT_PROJECTION)
    assert dataclasses.replace(again, weight=None, bias=None) == dataclasses.replace(projection, weight=None, bias=None)
    assert again.project(np.array([[1.0, 2.0, 3.0]])).tolist() == [[2.0, 3.0]]
    (tmp_path / TEXT_PROJECTION).write_bytes(b"no")
    with pytest.raises(ModelError, match="is damaged"):
        TextProjection.load(tmp_path / TEXT_PROJECTION)
