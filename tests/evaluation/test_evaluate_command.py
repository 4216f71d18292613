"""``lightrec evaluate`` from the command line to the JSON, with a real run, a real bundle and a baseline."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mini_bundle import write_bundle

from lightrec.baselines.baselines import Popularity
from lightrec.cli.app import main
from lightrec.data.dataset import Dataset
from lightrec.data.splits import leave_one_out
from lightrec.evaluation.protocol import evaluate
from lightrec.files.atomic import write_json


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of ``lightrec evaluate``."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stopped:
        patch.setattr("sys.argv", ["lightrec", "evaluate", *map(str, arguments)])
        patch.setenv("COLUMNS", "200")
        main()
        raise SystemExit(0)
    captured = capsys.readouterr()
    return int(stopped.value.code or 0), captured.out, captured.err


@pytest.fixture(scope="module")
def bundle(tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    n_items = tiny_dataset.n_items
    table = np.random.default_rng(1).integers(0, 5, size=(n_items, n_items))
    path = tmp_path_factory.mktemp("bundles") / "bundle"
    return write_bundle(path, table, tiny_dataset.item_ids, titles=None, popularity=list(range(n_items)))


@pytest.fixture(scope="module")
def student(tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from lightrec.models.students.sasrec import Sasrec, SasrecConfig

    path = tmp_path_factory.mktemp("runs") / "student"
    model = Sasrec(SasrecConfig(n_items=tiny_dataset.n_items, max_length=8, hidden_size=8, num_layers=1, num_heads=1))
    model.save_pretrained(path)
    write_record(path, {"name": tiny_dataset.name, "checksum": tiny_dataset.checksum})
    return path


def write_record(path: Path, dataset: dict[str, Any]) -> None:
    record = {"format_version": 1, "dataset": dataset, "split": {"name": "leave-one-out", "quantile": 0.9}}
    write_json(path / "run.json", record)


def test_json_holds_each_metric_with_its_interval(
    tiny_dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results" / "popularity.json"
    code, printed, _ = run(capsys, "popularity", tiny_dataset.path, "--json", "--seed", 3, "--out", out)
    assert code == 0
    results = json.loads(printed)
    assert results == json.loads(out.read_text())
    split = leave_one_out(tiny_dataset)
    expected = evaluate(Popularity(split), split.test, train_popularity=split.popularity(), seed=3).to_json()
    assert results["metrics"] == expected["metrics"]
    assert set(results["metrics"]["ndcg@10"]) == {"value", "low", "high"}
    assert results["dataset"]["checksum"] == tiny_dataset.checksum


def test_tables_show_both_models_and_their_difference(
    tiny_dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    code, printed, _ = run(capsys, "item-knn", tiny_dataset.path, "--against", "popularity", "--k", 5, "--k", 10)
    assert code == 0
    for words in ("NDCG@10", "Coverage@5", "item-knn minus popularity", "history: long", "hidden by the seen filter"):
        assert words in printed
    assert "@20" not in printed


def test_a_run_and_a_bundle_are_compared_by_the_bundles_rules(
    tiny_dataset: Dataset, bundle: Path, student: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, printed, error = run(capsys, bundle, tiny_dataset.path, "--against", student, "--json")
    assert code == 0, error
    results = json.loads(printed)
    for side in (results, results["against"]):
        assert side["ties"] == "lowest-index"
        assert side["rank_limit"] == tiny_dataset.n_items
        assert f"mrr@{tiny_dataset.n_items}" in side["metrics"]
    difference = results["comparison"]["ndcg@10"]["difference"]["value"]
    values = [side["metrics"]["ndcg@10"]["value"] for side in (results, results["against"])]
    assert difference == pytest.approx(values[0] - values[1])


def test_validation_and_successive_targets(tiny_dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--split", "temporal", "--quantile", 0.8, "--json")
    _, last, _ = run(capsys, "popularity", tiny_dataset.path, *flags)
    _, each, _ = run(capsys, "popularity", tiny_dataset.path, *flags, "--targets", "successive")
    _, earlier, _ = run(capsys, "popularity", tiny_dataset.path, *flags, "--on", "validation")
    last, each, earlier = json.loads(last), json.loads(each), json.loads(earlier)
    assert each["cases"] > last["cases"] == each["users"]
    assert earlier["on"] == "validation"
    assert last["split"] == {"name": "temporal", "quantile": 0.8}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["svd", "DATA"], "svd is no folder and no baseline"),
        (["popularity", "DATA", "--targets", "successive"], "add --split temporal"),
        (["popularity", "DATA", "--split", "temporal", "--quantile", "1.5"], "--quantile is 1.5"),
        (["popularity", "DATA", "--k", "0"], "--k is 0"),
        (["popularity", "DATA", "--out", "."], "name a JSON file"),
        (["RUN", "DATA", "--tune"], "no baseline is named"),
        (["popularity", "missing"], "not a prepared data set"),
    ],
)
def test_mistakes_get_one_sentence(
    arguments: list[str], sentence: str, tiny_dataset: Dataset, student: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"DATA": str(tiny_dataset.path), "RUN": str(student)}
    given = [places.get(word, word) for word in arguments]
    code, _, error = run(capsys, *given)
    assert code == 2
    assert sentence in error
    assert len(error.strip().splitlines()) == 1


def test_a_tuned_baseline_says_what_was_chosen_and_tried(
    tiny_dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    code, printed, _ = run(capsys, "item-knn", tiny_dataset.path, "--tune", "--against", "popularity", "--json")
    results = json.loads(printed)
    assert code == 0
    best = max(results["tried"], key=lambda row: row["ndcg@10"])
    assert results["parameters"] == best["parameters"] and 1 < len(results["tried"]) <= 15
    assert results["against"]["parameters"] == {}
    code, printed, _ = run(capsys, "ease", tiny_dataset.path, "--tune")
    assert "on validation" in printed and "regularization" in printed
    _, printed, _ = run(capsys, "ease", tiny_dataset.path, "--json")
    assert json.loads(printed)["parameters"] == {"regularization": 300.0, "decay": 0.9}
    assert "tried" not in json.loads(printed)


def test_a_bundle_cannot_keep_seen_items(
    tiny_dataset: Dataset, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, error = run(capsys, bundle, tiny_dataset.path, "--keep-seen")
    assert code == 2
    assert "A bundle always filters seen items" in error


def test_a_run_of_other_data_is_refused(
    tiny_dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_record(tmp_path, {"name": "other", "checksum": "0" * 64})
    code, _, error = run(capsys, tmp_path, tiny_dataset.path)
    assert code == 2
    assert "trained on the data set 'other'" in error


def test_out_replaces_an_evaluation_and_no_other_file(
    tiny_dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    for before in ("", None):  # None: the evaluation that was just written
        if before is not None:
            out.write_text(before)
        assert run(capsys, "popularity", tiny_dataset.path, "--out", out)[0] == 0
    assert "cases" in json.loads(out.read_text())
    for before in ("user,item\n", '{"format_version": 1}', "[]"):
        out.write_text(before)
        code, _, said = run(capsys, "popularity", tiny_dataset.path, "--out", out)
        assert code == 2
        assert "out.json exists and is not an evaluation" in said
        assert out.read_text() == before
