"""The teacher's quality beside that of the variants: how it is asked, what rows hold, and what is said of it."""

import csv
import io
import json
import math

import numpy as np
import pytest
import torch
from mini_language_model import save_bert
from rich.console import Console

from lightrec.benchmarks.compare import compare
from lightrec.benchmarks.harness.workload import real_workload
from lightrec.benchmarks.measure import bench
from lightrec.benchmarks.plan import Plan
from lightrec.benchmarks.report.page import write_rows_report
from lightrec.benchmarks.report.recommendation import summary
from lightrec.benchmarks.report.speed_table import speed_table
from lightrec.benchmarks.rows import append_rows, read_rows
from lightrec.benchmarks.teacher_quality import ask_teacher, compare_with_teacher
from lightrec.benchmarks.variants.find_variants import Wanted
from lightrec.cli.app import main
from lightrec.errors import ConfigError, MissingExtraError, ModelError
from lightrec.models.load import load_model
from lightrec.models.scoring import ModelScorer
from lightrec.models.students.sasrec import Sasrec, SasrecConfig
from lightrec.models.teachers.language_model import load_language_model
from lightrec.models.teachers.teacher import Teacher

REACHED = {"value": 0.2, "low": 0.18, "high": 0.22}
FACTS = {"name": "large", "model_type": "lightrec-teacher", "language_model": "bert", "seed": 1, "device": "cpu"}
FACTS |= {"cases": 40, "ties": "lowest-index", "ndcg@10": REACHED, "hr@10": REACHED}


def save_run(path, model, dataset, **changes):
    model.save_pretrained(path)
    data = {"name": "tiny", "path": str(dataset.path), "checksum": dataset.checksum}
    split = {"name": "leave-one-out", "quantile": 0.9}
    record = {"model_type": model.config.model_type, "dataset": data, "split": split, "seed": 4}
    (path / "run.json").write_text(json.dumps(record | changes))
    return path


@pytest.fixture
def student_run(tiny_dataset, tmp_path):
    torch.manual_seed(3)
    config = SasrecConfig(n_items=30, max_length=5, hidden_size=8, num_layers=1, num_heads=1)
    return save_run(tmp_path / "trained", Sasrec(config), tiny_dataset)


@pytest.fixture
def language_model_run(tiny_dataset, tmp_path):
    """A teacher with random weights around a miniature BERT."""
    torch.manual_seed(3)
    base = load_language_model(str(save_bert(tmp_path / "bert-mini")))
    options = {"n_items": 30, "max_length": 5, "item_input": "ids", "objective": "masked"}
    return save_run(tmp_path / "large", Teacher.from_language_model(base, **options), tiny_dataset)


@pytest.fixture
def workload(tiny_dataset, chain_bundle, manifest, catalogue):
    return real_workload(tiny_dataset.path, chain_bundle, manifest, catalogue, cases=12, seed=0)


@pytest.fixture
def taught(speed_row):
    """Rows of two variants, of which NDCG@10 is 0.1 and 0.0996, beside a teacher's 0.2."""
    rows = [speed_row("torch fp32", 1.0, teacher=FACTS), speed_row("ONNX Runtime int8", 0.125, 0.004, teacher=FACTS)]
    compare_with_teacher(rows, FACTS)
    return rows


@pytest.mark.parametrize("kind", ["student_run", "language_model_run"])
def test_the_teacher_ranks_the_variants_own_cases(kind, request, tiny_dataset, chain_bundle, manifest, workload):
    run, steps = request.getfixturevalue(kind), []
    facts = ask_teacher(run, tiny_dataset.path, chain_bundle, manifest, workload, progress=steps.append)
    scorer, gains = ModelScorer(load_model(run)[0]), []
    for case, target in enumerate(workload.cases.targets):
        history = workload.histories[case]
        scores = scorer.score([history])[0]
        scores[history] = -np.inf
        rank = 1 + int((scores > scores[target]).sum())
        gains.append(1 / math.log2(rank + 1) if rank <= 10 and target not in history else 0.0)
    assert facts["ndcg@10"]["value"] == pytest.approx(sum(gains) / 12, abs=1e-6) and sum(gains) > 0
    assert facts["hr@10"]["value"] == pytest.approx(sum(gain > 0 for gain in gains) / 12)
    assert facts["ndcg@10"]["low"] < facts["ndcg@10"]["value"] < facts["ndcg@10"]["high"]
    assert (facts["cases"], facts["ties"], facts["seed"]) == (12, "lowest-index", 4)
    assert steps[-1] == f"Asking the teacher {run.name}: 12 of 12 histories"
    names = {"student_run": ("lightrec-sasrec", None), "language_model_run": ("lightrec-teacher", "bert-mini")}
    assert (facts["model_type"], facts["language_model"]) == names[kind]
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts


def test_every_row_holds_the_teacher_and_its_own_share(chain_bundle, tiny_dataset, student_run):
    plan = Plan(scenarios=("single-stream",), seconds=0.05, cold_starts=0)
    rows = bench(chain_bundle, tiny_dataset.path, Wanted(teacher=student_run), plan=plan, cases=12)
    assert {row["teacher"]["name"] for row in rows} == {"trained"} and {row["teacher"]["cases"] for row in rows} == {12}
    own, theirs = (rows[0][part]["ndcg@10"]["value"] for part in ("quality", "teacher"))
    assert rows[0]["quality"]["of_teacher"] == pytest.approx(own / theirs)
    assert f"{own / theirs:.1%} of the teacher's NDCG@10 (trained)" in summary(rows[:1])
    without = bench(chain_bundle, tiny_dataset.path, plan=plan, cases=12)
    assert without[0]["teacher"] is None and without[0]["quality"]["of_teacher"] is None
    assert "teacher" not in summary(without[:1])


def test_the_share_is_the_variants_ndcg_over_the_teachers(taught, speed_row):
    assert [row["quality"]["of_teacher"] for row in taught] == pytest.approx([0.1 / 0.2, 0.0996 / 0.2])
    rows = [speed_row("torch fp32", 1.0), speed_row("RePlay", 1.0, quality=None)]
    compare_with_teacher(rows, FACTS | {"ndcg@10": {"value": 0.0, "low": 0.0, "high": 0.0}})
    assert rows[0]["quality"]["of_teacher"] is None and rows[1]["quality"] is None


def test_the_recommendation_tells_the_share_of_the_teacher(taught, speed_row):
    assert summary(taught) == (
        "On this machine take ONNX Runtime int8: 0.125 ms from ids to titles (8.0× as fast as torch fp32), "
        "49.8% of the teacher's NDCG@10 (large), 0.77 MB."
    )
    assert summary(taught[:1]) == (
        "On this machine take torch fp32: 1.00 ms from ids to titles, 50.0% of the teacher's NDCG@10 (large), 0.77 MB."
    )
    # Where the teacher found nothing, the sentence is what it is without one.
    compare_with_teacher(taught, None)
    assert "99.6% of its NDCG@10" in summary(taught)


def test_the_table_shows_the_share_below_each_ndcg(taught, speed_row):
    def printed(rows):
        console = Console(width=80, file=io.StringIO())
        console.print(speed_table(rows))
        return " ".join(console.file.getvalue().split())

    text = printed(taught)
    assert "load teacher" in text and "49.8%" in text and "50.0%" in text and "-0.40%" not in text
    assert "on 40 test cases; below, its share of 0.2000, the teacher's (large)." in text
    text = printed([speed_row("torch fp32", 1.0), speed_row("ONNX Runtime int8", 0.125, drop=0.004)])
    assert "load change" in text and "-0.40%" in text and "teacher" not in text


def test_stored_rows_alone_make_every_report(taught, tmp_path):
    append_rows(tmp_path / "rows.jsonl", taught)
    rows = read_rows(tmp_path / "rows.jsonl")
    for suffix in ("html", "md", "csv"):
        write_rows_report(tmp_path / f"report.{suffix}", rows)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "49.8% of the teacher&#x27;s NDCG@10 (large)" in page
    assert "share of the teacher&#x27;s NDCG@10</th>" in page
    words = "large (bert): NDCG@10 0.2000 (0.1800–0.2200) on 40 cases"
    assert f"The teacher {words}." in page and f"<dt>Teacher</dt><dd>{words}</dd>" in page
    lines = (tmp_path / "report.md").read_text(encoding="utf-8").splitlines()
    assert "| share of the teacher's NDCG@10 | 50.0% | 49.8% |" in lines
    assert f"The teacher {words}." in lines
    assert "Asked about 40 histories of tiny (test users, leave-one-out), median length 9." in lines
    with (tmp_path / "report.csv").open(encoding="utf-8", newline="") as file:
        assert [line["teacher.ndcg@10.value"] for line in csv.DictReader(file)] == ["0.2", "0.2"]


def test_rows_with_and_without_a_teacher_compare(taught, speed_row):
    before = [speed_row("torch fp32", 1.0), speed_row("ONNX Runtime int8", 0.125, drop=0.004)]
    for pair in ((before, taught), (taught, before), (taught, taught)):
        found = compare(*pair)
        assert {change.verdict for change in found.changes} == {"same"} and not found.regressed


def test_a_teacher_that_cannot_be_asked_is_refused(
    chain_bundle, tiny_dataset, manifest, workload, student_run, tmp_path, monkeypatch
):
    def ask(run, data=tiny_dataset.path):
        return ask_teacher(run, data, chain_bundle, manifest, workload)

    with pytest.raises(ConfigError, match="--teacher is asked about the test users of a data set: name it with --data"):
        bench(chain_bundle, wanted=Wanted(teacher=student_run))
    with pytest.raises(ModelError, match=r"^--teacher .*nothing is not a run .*give the --out folder"):
        ask(tmp_path / "nothing")
    record = json.loads((student_run / "run.json").read_text())
    for changes, error, sentence in [
        ({"dataset": {"name": "other", "checksum": "f" * 64}}, ModelError, r"--teacher .* was trained on the data set"),
        ({"split": {"name": "temporal"}}, ConfigError, r"--teacher .* was trained on the split temporal"),
    ]:
        (student_run / "run.json").write_text(json.dumps(record | changes))
        if "split" in changes:  # the bundle's own stands first
            monkeypatch.setitem(manifest.training, "split", {"name": "leave-one-out"})
        with pytest.raises(error, match=sentence):
            ask(student_run)
    monkeypatch.setattr("lightrec.extras.missing_modules", lambda extra: ["torch"])
    with pytest.raises(MissingExtraError, match=r"--teacher needs torch.*lightrec\[train\]"):
        ask(student_run)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--teacher", "runs/teacher"), "name it with --data"),
        (("--teacher", "runs/teacher", "--host", "user@board"), "leave out --teacher."),
    ],
)
def test_the_command_refuses_it_in_one_sentence(chain_bundle, monkeypatch, capsys, arguments, sentence):
    monkeypatch.setattr("sys.argv", ["lightrec", "bench", str(chain_bundle), *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    error = capsys.readouterr().err
    assert stop.value.code == 2 and sentence in error and error.count("\n") == 1
