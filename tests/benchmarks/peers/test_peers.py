"""Peers: what a worker is told, how its vectors are ranked, and what is timed, with a miniature worker of our own."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from lightrec.baselines.baselines import Popularity
from lightrec.benchmarks.peers import rectools_quality, training_speed
from lightrec.benchmarks.peers.exchange import PeerScorer, ask, sampled, write_request
from lightrec.benchmarks.peers.rectools_quality import open_peer, suggest
from lightrec.benchmarks.project import serve_load, speed_table
from lightrec.benchmarks.rows import read_rows
from lightrec.benchmarks.workers.train_rectools import validation_ndcg
from lightrec.benchmarks.workers.train_replay import padded
from lightrec.data.splits import leave_one_out
from lightrec.errors import ConfigError, ModelError
from lightrec.evaluation.protocol import evaluate

POPULARITY_WORKER = """
import json, os, sys
import numpy as np
request, options = np.load(sys.argv[1]), json.loads(sys.argv[3])
assert "lightrec" not in sys.modules and os.environ["OMP_NUM_THREADS"] == str(options["threads"])
counts = np.bincount(request["train_items"], minlength=int(request["n_items"]))
cases = len(request["history_offsets"]) - 1
np.savez(sys.argv[2], items=counts[:, None].astype(np.float32), states=np.ones((cases, 1), dtype=np.float32),
         epoch_seconds=[1.0, 2.0], ndcg=[0.0, NDCG], parameters=counts.size, version="1.0")
"""
"""Answers as a peer does; its vectors rank by popularity."""


def ndcg_of(scorer, cases, split) -> float:
    return evaluate(scorer, cases, train_popularity=split.popularity(), bootstrap=0).metrics["ndcg@10"].value


@pytest.fixture
def worker(tmp_path, tiny_dataset) -> Path:
    split = leave_one_out(tiny_dataset)
    file = tmp_path / "worker.py"
    file.write_text(POPULARITY_WORKER.replace("NDCG", str(ndcg_of(Popularity(split), split.validation, split))))
    return file


def quality(tiny_dataset, tmp_path, *flags: object) -> int:
    words = [tiny_dataset.path, "--python", sys.executable, "--work", tmp_path / "work", "--out", tmp_path / "r.jsonl"]
    return rectools_quality.main([str(word) for word in (*words, "--trials", 2, "--seeds", 1, *flags)])


def test_a_peer_is_tuned_on_validation_and_ranked_by_our_protocol(tiny_dataset, worker, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(rectools_quality, "WORKER", worker)
    assert quality(tiny_dataset, tmp_path) == 0, capsys.readouterr().err
    rows = read_rows(tmp_path / "r.jsonl")
    assert [row["kind"] for row in rows] == ["peer-trial", "peer-trial", "quality"]
    split = leave_one_out(tiny_dataset)
    assert rows[2]["metrics"]["ndcg@10"]["value"] == pytest.approx(ndcg_of(Popularity(split), split.test, split))
    assert rows[0]["validation"]["epoch"] == 2 and "metrics" not in rows[0]
    assert rows[0]["settings"] != rows[1]["settings"] and rows[2]["settings"] == rows[0]["settings"]
    scorer = open_peer(tmp_path / "work" / "seed-0.npz", split)
    assert ndcg_of(scorer, split.test, split) == pytest.approx(rows[2]["metrics"]["ndcg@10"]["value"])
    assert quality(tiny_dataset, tmp_path) == 0
    assert len(read_rows(tmp_path / "r.jsonl")) == 3, "what is done is not done again"
    assert quality(tiny_dataset, tmp_path, "--epochs", 7) == 2
    assert "choose another folder for --work" in capsys.readouterr().err


def test_a_worker_that_reads_the_protocol_otherwise_is_refused(tiny_dataset, tmp_path, monkeypatch, capsys):
    file = tmp_path / "worker.py"
    file.write_text(POPULARITY_WORKER.replace("NDCG", "0.9"))
    monkeypatch.setattr(rectools_quality, "WORKER", file)
    assert quality(tiny_dataset, tmp_path) == 2
    assert "where our protocol finds" in capsys.readouterr().err


def test_a_failing_worker_is_one_sentence_with_its_last_words(tmp_path):
    file = tmp_path / "worker.py"
    file.write_text("raise SystemExit('no such loss')")
    with pytest.raises(ModelError, match=r"worker.py failed under .*: no such loss"):
        ask(Path(sys.executable), file, tmp_path / "r.npz", tmp_path / "a.npz", {"threads": 1})
    with pytest.raises(ModelError, match="cannot be started"):
        ask(tmp_path / "no-python", file, tmp_path / "r.npz", tmp_path / "a.npz", {"threads": 1})


def test_the_request_holds_no_test_target_and_unknown_items_are_never_recommended(tiny_dataset, tmp_path):
    split = leave_one_out(tiny_dataset)
    histories = write_request(tmp_path / "request.npz", split, split.validation, split.test)
    with np.load(tmp_path / "request.npz") as request:
        assert set(request.files) == {
            "n_items", "train_items", "train_offsets", "histories", "history_offsets", "targets",
        }  # fmt: skip
        assert request["targets"].tolist() == split.validation.targets.tolist()
        last = request["history_offsets"]
        assert request["histories"][last[-2] : last[-1]].tolist() == split.test.history(len(split.test) - 1).tolist()
    items = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    items[7] = np.nan
    states = np.random.default_rng(1).normal(size=(len(histories), 4)).astype(np.float32)
    scorer = PeerScorer({"items": items, "states": states}, histories)
    scores = scorer.score([split.test.history(3)])[0]
    expected = states[len(split.validation) + 3] @ items[8]
    assert scores[7] == -np.inf and scores[8] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("levels", [3, 1000])
def test_the_workers_ndcg_is_that_of_the_protocol(tiny_dataset, tmp_path, levels):
    """Vectors of few levels give equal scores, many of them. Equal histories have equal vectors."""
    split = leave_one_out(tiny_dataset)
    histories = write_request(tmp_path / "request.npz", split, split.validation, split.test)
    random = np.random.default_rng(levels)
    vectors = {
        "items": random.integers(0, levels, size=(30, 2)).astype(np.float32),
        "states": random.integers(0, levels, size=(30, 2)).astype(np.float32)[[history[-1] for history in histories]],
    }
    vectors["items"][3] = np.nan
    with np.load(tmp_path / "request.npz") as request:
        found = validation_ndcg(vectors, dict(request))
    assert 0 < found == pytest.approx(ndcg_of(PeerScorer(vectors, histories), split.validation, split))


def test_one_trial_alone_is_not_trained_to_be_chosen(tiny_dataset, worker, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(rectools_quality, "WORKER", worker)
    assert quality(tiny_dataset, tmp_path, "--trials", 1, "--seed", 3) == 0, capsys.readouterr().err
    (row,) = read_rows(tmp_path / "r.jsonl")
    assert (row["kind"], row["seed"]) == ("quality", 3)
    first = {"learning_rate": 2e-3, "dropout": 0.5, "num_layers": 2, "hidden_size": 64, "seed": 3}
    assert row["settings"].items() >= first.items()


@pytest.mark.parametrize(("flags", "best", "flag"), [
    (["--epochs", 2], "last", "epochs"), ([], "last", "minutes"), (["--patience", 1], "first", "patience"),
])  # fmt: skip
def test_a_row_says_what_ended_the_training(flags, best, flag, tiny_dataset, worker, tmp_path, monkeypatch, capsys):
    if best == "first":
        worker.write_text(re.sub(r"ndcg=\[0.0, (.*?)\]", r"ndcg=[\1, 0.0]", worker.read_text()))
    monkeypatch.setattr(rectools_quality, "WORKER", worker)
    assert quality(tiny_dataset, tmp_path, "--trials", 1, *flags) == 0, capsys.readouterr().err
    (row,) = read_rows(tmp_path / "r.jsonl")
    assert row["stopped_by"] == flag


def test_the_first_trial_takes_what_suits_our_own_model(tiny_dataset, worker, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(rectools_quality, "WORKER", worker)
    assert quality(tiny_dataset, tmp_path, "--dropout", 0.2, "--learning-rate", 1e-3) == 0, capsys.readouterr().err
    first, second, _ = (row["settings"] for row in read_rows(tmp_path / "r.jsonl"))
    assert (first["dropout"], first["learning_rate"]) == (0.2, 1e-3)
    assert second == {**second, **suggest(1, [64], seed=0)}


@pytest.mark.parametrize("flag", ["--trials", "--seeds", "--epochs", "--hidden-size", "--minutes"])
def test_counts_below_one_are_refused_by_name(flag, tiny_dataset, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        quality(tiny_dataset, tmp_path, flag, 0)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert f"{flag}: '0' is not a whole number of at least 1" in error and "Traceback" not in error


@pytest.mark.parametrize("module", [training_speed, serve_load, speed_table])
@pytest.mark.parametrize("value", ["0", "-1", "2.5", "many", ""])
def test_other_command_lines_refuse_such_counts_too(module, value, capsys):
    flag = "--cases" if module is not training_speed else "--rounds"
    with pytest.raises(SystemExit) as stop:
        module.main([flag, value, "somewhere"])
    assert stop.value.code == 2
    assert f"{flag}: {value!r} is not a whole number of at least 1" in capsys.readouterr().err


def test_a_peer_is_validated_on_as_many_cases_as_a_student():
    from lightrec.settings import TrainingSettings

    assert TrainingSettings().validation_cases == rectools_quality.MAX_CASES


def test_trials_differ_and_stay_within_the_space_of_our_own_search():
    from lightrec.training.tune import SPACE

    drawn = [suggest(number, [32, 64], seed=0) for number in range(15)]
    assert drawn == [suggest(number, [32, 64], seed=0) for number in range(15)]
    assert len({json.dumps(trial) for trial in drawn}) == 15
    for name in set(SPACE) - {"weight_decay"}:
        assert all(SPACE[name].low <= trial[name] <= SPACE[name].high for trial in drawn)


def test_few_cases_are_all_taken_and_many_are_drawn_once(tiny_dataset):
    cases = leave_one_out(tiny_dataset).validation
    assert sampled(cases, 0) is cases and sampled(cases, 40) is cases
    assert sampled(cases, 10).users.tolist() == sampled(cases, 10).users.tolist()
    assert len(set(sampled(cases, 10).users)) == 10


def test_replay_sees_the_last_events_of_every_user():
    request = {"train_items": np.array([5, 6, 7, 8, 1]), "train_offsets": np.array([0, 4, 5, 5])}
    assert padded(request, 3, padding=9).tolist() == [[6, 7, 8]]
    assert padded(request, 5, padding=9).tolist() == [[9, 5, 6, 7, 8]]


def test_our_own_epochs_are_timed_on_the_same_events(tiny_dataset, tmp_path):
    words = [str(tiny_dataset.path), "--out", str(tmp_path / "rows.jsonl"), "--epochs", "3", "--rounds", "1"]
    assert training_speed.main([*words, "--hidden-size", "8", "--max-length", "4", "--threads", "1"]) == 0
    row = read_rows(tmp_path / "rows.jsonl")[0]
    assert (row["kind"], row["label"]) == ("training-speed", "lightrec SASRec")
    assert row["settings"]["precision"] == "fp32"
    assert len(row["epoch_seconds"][0]) == 3 and min(row["epoch_seconds"][0]) > 0
    lengths = np.minimum(np.diff(tiny_dataset.offsets) - 2, 5)
    assert row["targets_per_epoch"] == (lengths - 1).sum()
    with pytest.raises(ConfigError, match="at least 2 are needed"):
        training_speed.measure(training_speed._parser().parse_args([*words, "--epochs", "1"]))


@pytest.mark.slow
@pytest.mark.parametrize("library", ["rectools", "replay"])
def test_the_real_peers_train(tiny_dataset, tmp_path, library, capsys):
    python = os.environ.get(f"LIGHTREC_{library.upper()}_PYTHON")
    if not python:
        pytest.skip(f"needs LIGHTREC_{library.upper()}_PYTHON: an interpreter that has {library}")
    out = tmp_path / "rows.jsonl"
    words = [str(tiny_dataset.path), "--out", str(out), "--epochs", "2", "--max-length", "8"]
    assert training_speed.main([*words, f"--{library}", python, "--rounds", "1", "--hidden-size", "8"]) == 0
    assert len(read_rows(out)) == 2
    if library == "rectools":
        work = ["--python", python, "--work", str(tmp_path / "work"), "--trials", "1", "--seeds", "1", "--minutes", "9"]
        assert rectools_quality.main([*words, *work, "--hidden-size", "8"]) == 0, capsys.readouterr().err
        assert read_rows(out)[-1]["metrics"]["ndcg@10"]["value"] > 0
