"""Neighbours are fitted to a trained student, and kept only where they help."""

import dataclasses
import json

import numpy as np
import pytest

from lightrec.baselines.baselines import ItemKnn
from lightrec.baselines.ease import Ease
from lightrec.baselines.slit import Slit
from lightrec.data.splits import make_split
from lightrec.evaluation.protocol import evaluate
from lightrec.models.load import load_model
from lightrec.models.scoring import ModelScorer
from lightrec.models.students.sasrec import Sasrec, SasrecConfig
from lightrec.settings import DistillSettings, StudentSettings
from lightrec.training.items import item_item_weights as fitting
from lightrec.training.items.item_item_weights import Source, fit_neighbours
from lightrec.training.progress import Silent
from lightrec.training.train_student import train

SETTINGS = StudentSettings(
    hidden_size=16, epochs=2, patience=0, max_length=8, batch_size=16, device="cpu", learning_rate=1e-3, neighbours=4
)


@pytest.fixture
def untrained(tiny_dataset):
    return Sasrec(SasrecConfig(n_items=tiny_dataset.n_items, hidden_size=16, max_length=8)).eval()


def ndcg(model, split, cases):
    found = evaluate(ModelScorer(model), cases, train_popularity=split.popularity(), bootstrap=0)
    return found.metrics["ndcg@10"].value


def test_a_run_reports_what_its_neighbours_add(tiny_dataset, tmp_path):
    record = train(tiny_dataset.path, tmp_path / "run", SETTINGS, Silent())
    split = make_split(tiny_dataset)
    model, _ = load_model(tmp_path / "run")
    found = record["neighbours"]
    assert model.config.neighbours == 4 and found["of"] in ("ease", "slit", "ease+slit")
    # The evaluation that is reported elsewhere says the same of the model with, and without.
    assert ndcg(model, split, split.validation) == pytest.approx(found["ndcg@10"], abs=1e-9)
    assert record["validation"]["ndcg@10"] == found["ndcg@10"] > found["ndcg@10 without"]
    model.set_neighbours(None)
    assert ndcg(model, split, split.validation) == pytest.approx(found["ndcg@10 without"], abs=1e-9)
    assert json.loads((tmp_path / "run" / "history.jsonl").read_text().splitlines()[-1])["ndcg@10"] <= found["ndcg@10"]
    assert train(tiny_dataset.path, tmp_path / "run", SETTINGS, Silent()) == record


@pytest.mark.parametrize("name", ["ease", "slit"])
def test_the_largest_entries_of_each_row_vote(tiny_dataset, untrained, monkeypatch, name):
    split = make_split(tiny_dataset)
    weights = {"ease": Ease(split, regularization=30), "slit": Slit(split, regularization=30)}[name].weights
    monkeypatch.setattr(fitting, "_sources", lambda split, width: [lambda: Source.of(name, 30.0, weights, width)])
    found = fit_neighbours(untrained, 3, split, split.validation, Silent())
    assert (found["of"], found["penalty"]) == (name, 30.0)
    best = np.sort(np.maximum(weights, 0), axis=1)[:, :-4:-1]
    voters = untrained.neighbours
    step = weights.max() / 255
    np.testing.assert_allclose(np.sort(voters.votes[:-1].numpy(), axis=1)[:, ::-1] * step, best, atol=step / 2 + 1e-6)
    by_age = found["weight"] * found["decay"] ** np.arange(8) * step
    np.testing.assert_allclose(voters.by_age, by_age, rtol=1e-4)


def test_two_matrices_are_added_up_entry_by_entry():
    one = Source("a", 1.0, np.array([[3, 1], [2, 0]]), np.array([[0.5, 0.25], [0.1, 0.2]], dtype=np.float32))
    other = Source("b", None, np.array([[1, 2], [1, 3]]), np.array([[1.0, 0.3], [0.4, -0.1]], dtype=np.float32))
    both = one + other.times(2)
    dense = np.zeros((2, 4))
    np.add.at(dense, (np.arange(2)[:, None], both.items), both.votes)
    np.testing.assert_allclose(dense, [[0, 2.25, 0.6, 0.5], [0.2, 0.8, 0.1, -0.2]], rtol=1e-6)
    assert (both.name, both.penalty) == ("a+b", 1.0)
    best = both.cut(2)
    assert [set(row) for row in best.items.tolist()] == [{1, 2}, {0, 1}]
    assert both.cut(9) is both


def test_the_best_of_each_matrix_and_of_both_together_is_taken(tiny_dataset, untrained, monkeypatch):
    split = make_split(tiny_dataset)
    tried = []
    original = fitting._Asked.try_out

    def watched(self, source):
        choices = original(self, source)
        tried.append((source.name, source.penalty, max(choice.ndcg for choice in choices)))
        return choices

    monkeypatch.setattr(fitting._Asked, "try_out", watched)
    found = fit_neighbours(untrained, 3, split, split.validation, Silent())
    assert [one[:2] for one in tried[:3]] == [("ease", 30.0), ("ease", 300.0), ("slit", 100.0)]
    assert [one[0] for one in tried[3:]] == ["ease+slit"]
    assert found["ndcg@10"] == max(one[2] for one in tried)


def test_many_items_try_the_lower_penalty_alone(tiny_dataset, monkeypatch):
    monkeypatch.setattr(fitting, "MANY_ITEMS", 10)
    split = make_split(tiny_dataset)
    assert [(source.name, source.penalty) for source in (make() for make in fitting._sources(split, 4))] == [
        ("ease", 30.0),
        ("slit", 100.0),
    ]


def test_large_catalogues_take_item_knn(tiny_dataset, untrained, monkeypatch):
    monkeypatch.setattr(fitting, "MOST_ITEMS", 10)
    split = make_split(tiny_dataset)
    found = fit_neighbours(untrained, 3, split, split.validation, Silent())
    assert (found["of"], found["penalty"]) == ("item-knn", None)
    knn = ItemKnn(split, neighbours=3)
    for item, voted in enumerate(untrained.neighbours.items[:-1].tolist()):
        assert set(voted) - {0} <= set(knn.neighbours[item].tolist())


def test_neighbours_that_do_not_help_are_left_out(tiny_dataset, untrained, monkeypatch):
    split = make_split(tiny_dataset)
    monkeypatch.setattr(fitting, "_sources", lambda split, width: [lambda: _away_from_targets(split)])
    before = ndcg(untrained, split, split.validation)
    assert fit_neighbours(untrained, 1, split, split.validation, Silent()) == {}
    assert untrained.neighbours is None and untrained.config.neighbours == 0
    assert ndcg(untrained, split, split.validation) == before


def _away_from_targets(split):
    """Every item votes for the item that is least often a validation target."""
    counts = np.bincount(split.validation.targets, minlength=split.n_items)
    items = np.full((split.n_items, 1), counts.argmin())
    return Source("ease", 1.0, items, np.ones(items.shape, dtype=np.float32))


def test_a_catalogue_beyond_the_limit_has_none(tiny_dataset, untrained, monkeypatch):
    monkeypatch.setattr(fitting, "LARGEST", 10)
    split = make_split(tiny_dataset)
    assert fit_neighbours(untrained, 3, split, split.validation, Silent()) == {}


def test_distilled_students_have_them_unless_told_otherwise():
    assert (StudentSettings().neighbours, DistillSettings(teachers=("t",)).neighbours) == (0, 8)
    assert dataclasses.replace(SETTINGS, neighbours=-1).problems() == ["neighbours = -1 must be at least 0"]
