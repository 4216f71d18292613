"""Contestants in processes of their own, and the goals that their ratios are held against."""

import sys

import numpy as np
import pytest

from lightrec.benchmarks.harness.interleaved_timing import medians, ratio, time_interleaved
from lightrec.benchmarks.harness.worker_process import WorkerProcess
from lightrec.benchmarks.project.readme_tables import goals_text, training_table
from lightrec.benchmarks.project.speed_goals import GOALS, cells, goal_row
from lightrec.benchmarks.project.speed_table import main
from lightrec.benchmarks.rows import read_rows
from lightrec.bundle import deployed_bytes
from lightrec.errors import ModelError

WORKER = """
import sys, time
from lightrec.benchmarks.workers.worker_protocol import own_channel, serve
channel = own_channel()
print("a library's words, which are no answer")
def wait(milliseconds):
    end = time.perf_counter() + milliseconds / 1e3
    while time.perf_counter() < end:
        pass
serve(channel, {"single": (wait, [float(sys.argv[1])])}, {"version": "1"})
"""


def worker(*words):
    return WorkerProcess(words[-1], [sys.executable, "-c", WORKER, *words])


def test_a_contestant_that_waits_twice_as_long_takes_twice_as_long():
    with worker("0.5") as fast, worker("1") as slow:
        assert fast.facts["version"] == "1"
        ours, theirs = time_interleaved([(fast, "single"), (slow, "single")], rounds=10, seconds=0.05)
    assert [len(turns) for turns in (ours, theirs)] == [10, 10]
    # The shortest calls, because a busy machine makes single calls longer and none shorter.
    shortest = [min(turn.min() for turn in turns) / 1e6 for turns in (ours, theirs)]
    assert shortest == pytest.approx([0.5, 1], rel=0.1)
    assert min(medians(ours)) >= 0.5 and min(medians(theirs)) >= 1


def test_rounds_pair_what_was_measured_together():
    # A machine that is twice as slow in the second round changes no ratio.
    assert ratio([1.0, 2.0], [4.0, 8.0]) == {"low": 0.25, "value": 0.25, "high": 0.25}


def test_a_contestant_that_fails_is_quoted():
    with pytest.raises(ModelError, match="nobody failed: ValueError: could not convert string to float: 'nobody'"):
        worker("nobody").time("single", 0, 0.1)
    with pytest.raises(ModelError, match="cannot be started"):
        WorkerProcess("absent", ["/no/such/python"])


@pytest.mark.parametrize(
    ("name", "value", "met", "stretch_met"),
    [
        ("ml-1m/replay", 0.5, True, True),
        ("ml-1m/replay", 0.75, True, False),
        ("ml-1m/replay", 0.76, False, False),
        ("batch/replay", 1.9, False, None),
        ("batch/replay", 2.0, True, None),
        ("quality/bound", -0.9, True, None),
    ],
)
def test_goals_are_met_at_their_limit(name, value, met, stretch_met):
    row = goal_row(name, {"low": value, "value": value, "high": value})
    assert (row["met"], row["stretch_met"]) == (met, stretch_met)


def test_a_row_reads_as_a_line():
    row = goal_row("batch/replay", {"low": 1.5, "value": 2.25, "high": 3.0})
    assert cells(row)[1:] == ["2.25×", "1.50–3.00", "≥ 2×", "", "met"]
    assert len({goal.name for goal in GOALS}) == len(GOALS)


def test_the_table_of_a_bundle_without_peers(chain_bundle, tmp_path, capsys):
    given = ["--rows", "size", "--bundle", f"beauty={chain_bundle}", "--out", str(tmp_path / "rows.jsonl")]
    assert main(given) == 0
    (row,) = read_rows(tmp_path / "rows.jsonl")
    counted = ["model.onnx", "items.json.gz", "manifest.json"]
    assert row["found"]["value"] == sum((chain_bundle / name).stat().st_size for name in counted) / 1e6
    assert row["deployed_bytes"] == deployed_bytes(chain_bundle)
    assert row["met"] and row["kind"] == "goal" and "speed_table --rows size" in row["command"]
    assert "Beauty: model, ids, manifest" in capsys.readouterr().out


def test_the_rows_of_recipes_are_left_out_without_their_bundles(tmp_path, capsys):
    assert main(["--rows", "recipe-beauty,recipe-ml-1m", "--out", str(tmp_path / "rows.jsonl")]) == 0
    assert "recipe" not in capsys.readouterr().out


def test_a_recipe_is_asked_about_its_own_users(chain_bundle, tmp_path, capsys):
    given = [
        "--rows",
        "recipe-ml-1m",
        "--bundle",
        f"recipe-ml-1m={chain_bundle}",
        "--out",
        str(tmp_path / "rows.jsonl"),
    ]
    assert main(given) == 2
    assert "The row recipe-ml-1m asks real users: give their prepared data set with --data ml-1m=DIR" in (
        capsys.readouterr().err
    )


def test_mistakes_are_told(tmp_path, capsys):
    out = ["--out", str(tmp_path / "rows.jsonl")]
    assert main([*out, "--rows", "moon"]) == 2
    assert "There is no row 'moon'" in capsys.readouterr().err
    assert main([*out, "--rows", "size", "--bundle", "folder"]) == 2
    assert "'folder' names no row: write it as beauty=folder" in capsys.readouterr().err
    assert main([*out, "--rows", "size"]) == 2
    assert "The row size needs a bundle" in capsys.readouterr().err


def test_taken_times_are_whole_nanoseconds():
    with worker("1") as one:
        timings = one.time("single", 0, 0.01)
    assert timings.dtype == np.int64 and len(timings) >= 1 and timings.min() >= 1_000_000


def test_stored_goals_make_a_table(speed_row):
    machine = speed_row("a fp32", 1.0)["machine"]
    old, new = (goal_row("size/bytes", megabytes, machine=machine) for megabytes in (1.25, 0.95))
    text = goals_text([old, new, goal_row("quality/overlap", 0.97, machine=machine)])
    assert "| Beauty: top 10 that int8 and fp32 share | 0.97 |  | ≥ 0.98 |  | missed |" in text
    assert "| Beauty: model, ids, manifest | 0.95 MB |  | ≤ 1 MB |  | met |" in text
    assert "1.25" not in text and "Processor 9000" in text


def test_epochs_of_three_libraries_make_a_table(speed_row):
    shared = {"data": "tiny", "targets_per_epoch": 1234, "threads": 2, "machine": speed_row("a fp32", 1.0)["machine"]}
    shared |= {"settings": {"hidden_size": 8, "num_layers": 1, "max_length": 5, "batch_size": 4}, "version": "1.0"}
    rows = [
        {**shared, "label": label, "seconds_per_epoch": seconds, "parameters": 1000}
        for label, seconds in (("ours", 2.0), ("theirs", 5.0))
    ]
    rows[1]["settings"] = {**shared["settings"], "precision": "bf16"}  # rows from before it was written down: fp32
    text = training_table(rows)
    assert "| ours 1.0 | fp32 | 2.0 | 1.0× | 1,000 |" in text and "| theirs 1.0 | bf16 | 5.0 | 2.5× | 1,000 |" in text
    assert "tiny, 1,234 targets an epoch; d=8, 1 layers, 5 positions, batches of 4, 2 threads." in text
