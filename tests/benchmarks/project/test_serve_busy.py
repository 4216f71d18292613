"""The benchmark of a service that is stopped again and again: all of it once, and what it says."""

import pytest
from mini_bundle import write_bundle

from lightrec.benchmarks.project.serve_busy import line, main
from lightrec.benchmarks.rows import read_rows


def test_a_line_tells_the_share_without_an_answer():
    rounds = [
        {"requests": 200, "dropped": 0, "errors": {}, "p99": 40.0},
        {"requests": 200, "dropped": 50, "errors": {"503": 40, "504": 10}, "p99": 80.0},
        {"requests": 200, "dropped": 2, "errors": {"503": 2}, "p99": 60.0},
    ]
    said = line({"stopped_ms": 250, "queue": 1000, "rounds": rounds})
    # 0, 1 and 25 in 100: 1 in the middle.
    assert "stopped for 250 ms a second, queue of 1,000: 1.0 % (of rounds 0.0 to 25.0)" in said
    assert "{'503': 42, '504': 10}, p99 60 ms" in said


@pytest.mark.slow
def test_the_command_measures_every_setting_in_turn(tmp_path, capsys):
    pytest.importorskip("fastapi", reason="needs the extra serve")
    bundle, out = write_bundle(tmp_path / "bundle"), tmp_path / "rows.jsonl"
    words = ["--seconds", "0.5", "--rounds", "2", "--cases", "50", "--stops", "0,50", "--out", str(out)]
    assert main([str(bundle), *words]) == 0
    rows = read_rows(out)
    assert [(row["stopped_ms"], row["queue"]) for row in rows] == [(0, 64), (0, 1000), (50, 64), (50, 1000)]
    assert all(len(row["rounds"]) == len(row["capacity"]) == 2 and row["kind"] == "serve-busy" for row in rows)
    assert capsys.readouterr().out.count("without an answer") == 4
    assert main([str(tmp_path / "nowhere")]) == 2
