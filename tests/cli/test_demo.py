"""The demo as a user gives it, on miniature data and with the real default language model."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lightrec.benchmarks.recipes.demo_steps import LABELS, QUICK, THOROUGH, Layout, demo_steps
from lightrec.benchmarks.rows import read_rows
from lightrec.errors import LightrecError


def test_the_demo_gives_commands_that_exist(tmp_path):
    from command_lines import parsed

    for effort in (QUICK, THOROUGH):
        steps = demo_steps(Layout(tmp_path, tmp_path / "data"), effort, seeds=2, fetch=True)
        for step in steps:
            parsed(step.line)
    assert steps[0].words[:3] == ("data", "get", "ml-100k")


def test_baseline_and_distilled_student_have_equal_budgets(tmp_path):
    steps = demo_steps(Layout(tmp_path, tmp_path / "data"), QUICK, seeds=3, fetch=False)
    budgets = {
        name: [step.words[step.words.index("--epochs") :][:4] for step in steps if step.words[0] == name]
        for name in ("train", "distill")
    }
    assert len(budgets["train"]) == 3
    assert budgets["train"] == budgets["distill"][:3]


@pytest.mark.slow
def test_the_demo_runs_to_its_end_and_again(tiny_dataset, tmp_path):
    from lightrec.models.teachers.language_model import load_language_model

    try:
        load_language_model()
    except LightrecError as error:
        pytest.skip(f"the default language model cannot be had here: {error}")
    command = [sys.executable, "-m", "lightrec", "demo", "--data", str(tiny_dataset.path), "--out", "demo"]
    first = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert first.returncode == 0, first.stdout + first.stderr
    for words in ("What came out", "item-kNN", "ONNX Runtime int8", "chosen next in truth", "On your own data"):
        assert words in first.stdout
    rows = read_rows(tmp_path / "demo" / "quality.jsonl")
    assert [row["label"] for row in rows if row["kind"] == "quality"] == list(LABELS.values())
    assert [row["comparison"]["seeds"] for row in rows if row["kind"] == "comparison"] == [[1, 1]]
    assert "http" not in (tmp_path / "demo" / "report.html").read_text()

    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "demo").rglob("*.safetensors")}
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert again.returncode == 0
    steps = demo_steps(Layout(tmp_path, tmp_path), QUICK, seeds=1, fetch=False)
    assert again.stdout.count("done before") == sum(step.done is not None for step in steps)
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "demo").rglob("*.safetensors")}
