import json

import pytest

from lightrec.benchmarks import measure
from lightrec.benchmarks.recipes.step import Step
from lightrec.cli.app import main
from lightrec.cli.recipes.run_steps import run_steps

SHORT = ("--scenario", "single-stream", "--scenario", "offline")


@pytest.fixture
def bench(monkeypatch, capsys, chain_bundle):
    """Run ``lightrec bench`` on the chain bundle; returns exit code, standard output, standard error."""

    def run(*arguments, bundle=chain_bundle):
        monkeypatch.setattr(
            "sys.argv", ["lightrec", "bench", *map(str, (bundle, "--seconds", "0.05", *SHORT, *arguments))]
        )
        monkeypatch.setenv("COLUMNS", "100")
        with pytest.raises(SystemExit) as stop:
            main()
        output = capsys.readouterr()
        return stop.value.code or 0, output.out, output.err

    return run


def test_bench_prints_a_table_stores_rows_and_writes_the_report(bench, tiny_dataset, tmp_path):
    rows, report = tmp_path / "rows.jsonl", tmp_path / "report.html"
    code, out, _ = bench("--data", tiny_dataset.path, "--cases", 10, "--out", rows, "--report", report)
    assert code == 0
    for words in (
        "chain on tiny, 30 items, 1 thread",
        "ONNX Runtime fp32",
        "NDCG@10 on 10 test cases",
    ):
        assert words in out
    first, *others = [json.loads(line) for line in rows.read_text().splitlines()]
    assert first["kind"] == "speed" and {row["kind"] for row in others} == {"absent"}
    reasons = {row["variant"]: (row["requested"], row["reason"]) for row in others}
    assert reasons["torch.compile"] == (False, "give that run with --run, and ask for it with --compile")
    assert reasons["Chromium"][0] is False and {"torch", "RePlay SasRec compiled", "OpenVINO GPU"} <= reasons.keys()
    assert first["command"].startswith("lightrec bench ") and first["command"].endswith(f"--report {report}")
    assert first["elapsed_seconds"] >= 0.05 and {row["elapsed_seconds"] for row in others} == {first["elapsed_seconds"]}
    assert first["scenarios"] == ["single-stream", "offline"] and first["noise"]["calibration_ms"]["p50"] > 0
    assert "lightrec bench: chain" in report.read_text()


def test_bench_prints_json_alone(bench, monkeypatch):
    of_another_size = {"kind": "catalogue", "n_items": 100}
    monkeypatch.setattr(measure, "catalogue_rows", lambda *given: [of_another_size])
    code, out, _ = bench("--json", "--cases", 5, "--catalogue-sizes", 100)
    rows = json.loads(out)
    assert code == 0
    assert {row["data"]["name"] for row in rows} == {"synthetic"}
    assert {row["n_items"] for row in rows if row["kind"] != "catalogue"} == {30}
    assert [row["n_items"] for row in rows if row["kind"] == "catalogue"] == [100]


def test_wrong_input_is_one_sentence(bench, tmp_path):
    for arguments, sentence in [
        (("--threads", 0), "--threads is 0"),
        (("--scenario", "walk"), "--scenario is 'walk'"),
        (("--memory", "much"), "--memory is 'much'"),
        (("--catalogue-sizes", "1k"), "--catalogue-sizes holds '1k'"),
        (("--out", tmp_path), "--out is the folder"),
        (("--data", tmp_path), "is not a prepared data set"),
        (("--run", tmp_path), "is not a run"),
    ]:
        code, out, err = bench(*arguments)
        assert (code, out) == (2, "")
        assert sentence in err and err.count("\n") == 1
    assert "is not a bundle" in bench(bundle=tmp_path)[2]


def test_rows_name_the_command_that_made_them_also_where_another_command_ran_it(chain_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["lightrec", "demo", "--out", "elsewhere"])
    rows = tmp_path / "rows of bench.jsonl"
    words = ("bench", str(chain_bundle), "--seconds", "0.05", "--scenario", "single-stream", "--out", str(rows))
    step = Step("Time it", words, None, quiet=True)
    run_steps([step])
    commands = {json.loads(line)["command"] for line in rows.read_text().splitlines()}
    assert commands == {step.line} and step.line.endswith(f"--out '{rows}'")
