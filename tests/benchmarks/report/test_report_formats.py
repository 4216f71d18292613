"""Reports as Markdown, CSV and pictures, and what ``lightrec report`` refuses."""

import csv
import json
import re

import pytest

from lightrec.benchmarks.report.page import write_rows_report
from lightrec.benchmarks.report.recommendation import summary
from lightrec.benchmarks.rows import append_rows
from lightrec.cli.app import main
from lightrec.errors import ConfigError


def test_markdown_has_the_claim_the_figures_and_the_command(full_rows, tmp_path):
    write_rows_report(tmp_path / "report.md", full_rows)
    lines = (tmp_path / "report.md").read_text(encoding="utf-8").splitlines()
    assert lines[0] == f"**{summary(full_rows[:2])}**"
    assert "|  | torch fp32 | ONNX Runtime int8 |" in lines
    assert "| NDCG@10 | 0.1000 | 0.0996 (-0.40%) |" in lines
    assert "| one request, p50, ms | 1.00 | 0.125 |" in lines
    assert "- absent: OpenVINO NPU: no such device" in lines
    assert lines[-2:] == ["lightrec bench student --data tiny", "```"]


def test_csv_has_a_column_a_figure(full_rows, tmp_path):
    write_rows_report(tmp_path / "report.csv", full_rows)
    with (tmp_path / "report.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["kind"] for line in lines] == ["speed", "speed", *["catalogue"] * 4, "absent"]
    assert lines[1]["latency_ms.recommend.p50"] == "0.125"
    assert lines[1]["server.max_rate"] == "876.0"
    assert lines[2]["n_items"] == "1000" and lines[2]["size_bytes"] == ""


@pytest.fixture
def report(monkeypatch, capsys):
    """Run ``lightrec report``; returns exit code and standard error."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["lightrec", "report", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        return stop.value.code or 0, capsys.readouterr().err

    return run


def test_stored_rows_make_the_same_report_and_the_picture(report, full_rows, tmp_path):
    append_rows(tmp_path / "rows.jsonl", full_rows)
    write_rows_report(tmp_path / "report.html", full_rows)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    code, _ = report(tmp_path / "rows.jsonl", "--out", tmp_path / "again.html", "--pareto", tmp_path / "new" / "p.svg")
    assert code == 0
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page
    assert "ONNX Runtime int8" in (tmp_path / "new" / "p.svg").read_text(encoding="utf-8")


def test_wrong_input_is_one_sentence(report, full_rows, tmp_path):
    rows = tmp_path / "rows.jsonl"
    append_rows(rows, full_rows)
    (tmp_path / "absent.jsonl").write_text(json.dumps(full_rows[-1]) + "\n")
    for arguments, sentence in [
        ((rows,), "Nothing to write"),
        ((rows, "--out", tmp_path / "report.pdf"), "end its name in .html, .md or .csv"),
        ((rows, "--pareto", tmp_path / "p.png"), "end its name in .svg"),
        ((tmp_path / "absent.jsonl", "--out", tmp_path / "x.md"), "no speed row"),
        ((tmp_path / "absent.jsonl", "--pareto", tmp_path / "x.svg"), "No row has a latency and an NDCG@10"),
    ]:
        code, err = report(*arguments)
        assert code == 2 and sentence in err and err.count("\n") == 1
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".jsonl"]


def test_an_unknown_suffix_is_refused_before_measuring():
    with pytest.raises(ConfigError, match=r"\.html, \.md or \.csv"):
        write_rows_report("report.docx", [])


@pytest.mark.parametrize(
    "text",
    [
        '{"kind": "speed"}',
        '{"kind": "speed", "variant": 1, "latency_ms": null, "data": []}',
        '{"kind": "speed", "latency_ms": NaN}',
        "[" * 100_000,
        '[{"kind": "speed"}]',
        '{"kind": []}',
        '{"kind": "quality", "metrics": {}}',
    ],
    ids=range(7),
)
def test_rows_that_bench_did_not_write_are_one_sentence(text, tmp_path, monkeypatch, capfd):
    from lightrec.cli.app import main

    file = tmp_path / "rows.jsonl"
    file.write_text(text)
    reports = [["report", file, "--out", tmp_path / f"r.{suffix}"] for suffix in ("html", "md")]
    for words in (*reports, ["compare", file, file]):
        monkeypatch.setattr("sys.argv", ["lightrec", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        err = capfd.readouterr().err
        assert (
            stop.value.code == 2
            and err.startswith("Error: ")
            and err.count("\n") == 1
            and re.search(r"rows\.jsonl|r\.md|both files", err)
        )
