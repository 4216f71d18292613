import json

import pytest
from rich.console import Console
from typer.testing import CliRunner

from lightrec.benchmarks.project.readme_tables import comparisons_table, fill_tables, main
from lightrec.benchmarks.quality_rows import comparison_lines
from lightrec.benchmarks.report.absent import absent_lines
from lightrec.benchmarks.report.speed_table import speed_table
from lightrec.benchmarks.rows import append_rows, read_rows
from lightrec.cli.app import app
from lightrec.errors import ConfigError, DataError


@pytest.fixture
def rows(speed_row):
    return [
        speed_row("torch fp32", 1.0),
        speed_row("ONNX Runtime int8", 0.125, drop=0.004),
        {"kind": "absent", "variant": "OpenVINO int8", "reason": "not installed"},
    ]


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal_table_cuts_nothing(rows, speed_row, width):
    rows.append(speed_row("RePlay SasRec compiled on something", 1234.5, size_bytes=12_345_678))
    console = Console(width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(speed_table(rows))
    text = capture.get()
    assert "…" not in text and max(map(len, text.splitlines())) <= width
    for words in ("per s", "1 by 1", "by 32", "by 256", "1,234", "12.3", "NDCG", "16.0k"):
        assert words in text
    for words in ("ONNX Runtime int8", "0.125", "8.0×", "24.0k", "0.0996", "-0.40%", "12.5", "0.77"):
        assert words in text
    assert absent_lines(rows) == ["OpenVINO int8: not installed"]


def test_the_best_of_each_column_is_bold(rows):
    cells = [list(column.cells) for column in speed_table(rows).columns]
    assert ["bold" in str(cell.style) for cell in cells[1][:4:2]] == [False, True]  # p50 of the whole call
    assert ["bold" in str(cell.style) for cell in cells[7][:4:2]] == [False, False]  # equal sizes
    assert ["bold" in str(cell.style) for cell in cells[8][:4:2]] == [True, False]  # NDCG@10


def test_a_table_without_quality_leaves_it_empty(speed_row):
    cells = list(speed_table([speed_row("ONNX Runtime int8", 1.0, quality=None)]).columns[8].cells)
    assert [str(cell) for cell in cells] == ["", ""]


def test_what_a_peer_does_not_have_stays_empty(speed_row):
    row = speed_row("RePlay fp32", 2.0, size_bytes=None, load_ms=None, quality=None, per_second={"1": 500.0})
    row["latency_ms"] = {"recommend": row["latency_ms"]["recommend"], "graph": None}
    cells = [list(column.cells) for column in speed_table([speed_row("ONNX Runtime int8", 1.0), row]).columns]
    assert [str(column[2]) for column in cells] == ["RePlay fp32", "2.00", "3.80", "3.98", "0.5×", "500", *[""] * 3]
    assert [str(column[3]) for column in cells] == ["  graph alone", *[""] * 8]


def test_rows_are_appended_and_read_back(rows, tmp_path):
    append_rows(tmp_path / "new" / "rows.jsonl", rows[:1])
    append_rows(tmp_path / "new" / "rows.jsonl", rows[1:])
    assert read_rows(tmp_path / "new" / "rows.jsonl") == rows


def test_a_line_that_is_no_row_is_named(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"kind": "serve"}\n[1]\n')
    with pytest.raises(DataError, match=r"Line 2 of .*rows\.jsonl is no result row"):
        read_rows(tmp_path / "rows.jsonl")


README = """# Title

<!-- table: quality -->
old
<!-- /table -->

Between.

<!-- table: speed -->
<!-- /table -->
"""


@pytest.fixture
def results(rows, quality_row, tmp_path):
    quality = [
        quality_row("SASRec", 0.1, seed=0),
        quality_row("SASRec", 0.12, seed=1),
        quality_row("popularity|all", 0.03),
        quality_row("SASRec", 0.5, data="other"),
    ]
    append_rows(tmp_path / "results" / "quality.jsonl", quality)
    append_rows(tmp_path / "results" / "speed.jsonl", rows)
    return tmp_path / "results"


def test_readme_tables_are_made_from_the_rows(results):
    text = fill_tables(README, results)
    assert "old" not in text
    assert "Between." in text
    assert "| data | model | HR@10 | NDCG@10 | seeds |\n| --- | --- | ---: | ---: | ---: |\n" in text
    # mean (0.1 + 0.12) / 2, standard deviation sqrt(2 * 0.01^2 / 1)
    assert "| tiny | SASRec | **0.2200** ± 0.0283 | **0.1100** ± 0.0141 | 2 |" in text
    assert "| tiny | popularity\\|all | 0.0600 | 0.0300 (0.0200–0.0400) | 1 |" in text
    assert "| other | SASRec | **1.0000** | **0.5000** (0.4900–0.5100) | 1 |" in text
    assert "| ONNX Runtime int8 | 0.125 | 0.249 | 0.125 | 8.0× | 24.0k | 0.77 | 0.0996 (-0.40%) |" in text
    assert "Measured on Processor 9000, 2 cores usable, 8 GiB, Linux, x86_64; 1 thread." in text
    assert fill_tables(text, results) == text


def test_a_mark_selects_rows_by_name_and_orders_them(results):
    text = fill_tables("<!-- table: speed: ONNX Runtime int8 | torch fp32 -->\n<!-- /table -->", results)
    assert [line.split(" | ")[0] for line in text.splitlines()[3:5]] == ["| ONNX Runtime int8", "| torch fp32"]
    only = fill_tables("<!-- table: speed: torch fp32 -->\n<!-- /table -->", results)
    assert "torch fp32 |" in only and "| ONNX" not in only
    with pytest.raises(DataError, match="'nothing'"):
        fill_tables("<!-- table: speed: nothing -->\n<!-- /table -->", results)


def test_campaigns_show_their_latest_counts(tmp_path):
    row = {"kind": "campaign", "campaign": "kills", "promise": "Nothing is half-written.", "seconds": 90.0}
    first = {**row, "attempts": 3, "right": 1, "refused": 1, "other": 1, "commit": "aaa"}
    last = {**row, "attempts": 1200, "right": 1000, "refused": 200, "other": 0, "commit": "bbb"}
    append_rows(tmp_path / "campaigns.jsonl", [first, last])
    text = fill_tables("<!-- table: campaigns -->\n<!-- /table -->", tmp_path)
    assert "| promise | attempts | right | refused | anything else | minutes | commit |" in text
    assert "| Nothing is half-written. | 1,200 | 1,000 | 200 | 0 | 1.5 | bbb |" in text and "aaa" not in text


def test_the_row_measured_last_counts(results, speed_row):
    append_rows(results / "speed.jsonl", [speed_row("torch fp32", 4.0)])
    text = fill_tables(README, results)
    assert text.count("torch fp32") == 1
    assert "| torch fp32 | 4.00 |" in text


def test_check_tells_whether_the_readme_is_up_to_date(results, tmp_path, capsys):
    readme = tmp_path / "README.md"
    readme.write_text(README)
    assert main([str(readme), str(results), "--check"]) == 1
    assert "differs from" in capsys.readouterr().err
    assert readme.read_text() == README
    assert main([str(readme), str(results)]) == 0
    assert main([str(readme), str(results), "--check"]) == 0
    append_rows(results / "speed.jsonl", [{**json.loads((results / "speed.jsonl").read_text().splitlines()[0])}])
    assert main([str(readme), str(results), "--check"]) == 0
    (results / "speed.jsonl").unlink()
    assert main([str(readme), str(results), "--check"]) == 2
    assert "There is no" in capsys.readouterr().err


def test_a_claim_is_a_sentence_and_a_comparison_a_line(rows, tmp_path):
    compared = {
        "metric": "ndcg@10",
        "difference": {"value": 0.004, "low": -0.001, "high": 0.009},
        "relative": {"value": 0.05, "low": -0.01, "high": 0.1},
        "users": 943,
        "seeds": [5, 5],
    }
    comparison = {"kind": "comparison", "a": "distilled", "b": "alone", "data": "tiny", "comparison": compared}
    append_rows(tmp_path / "all.jsonl", [*rows, comparison])
    text = fill_tables("<!-- claim: all -->\n<!-- /claim -->\n<!-- table: all -->\nold\n<!-- /table -->\n", tmp_path)
    assert "<!-- claim: all -->\nOn one thread of a Processor 9000 (x86_64) take ONNX Runtime int8: 0.125 ms" in text
    assert "| model | against | NDCG@10 | 95 % | relative | users | seeds | a difference |\n" in text
    assert "| distilled | alone | +0.0040 | -0.0010 to +0.0090 | +5.0% | 943 | 5 | no |\n" in text
    assert fill_tables(text, tmp_path) == text
    with pytest.raises(DataError, match="claim needs rows of kind speed"):
        append_rows(tmp_path / "some.jsonl", [comparison])
        fill_tables("<!-- claim: some -->\n<!-- /claim -->\n", tmp_path)


def test_deployed_megabytes_and_other_splits_stand_in_the_table(quality_row, tmp_path):
    rows = [
        quality_row("distilled", 0.1, seed=0, deployed_bytes=774_000),
        quality_row("distilled", 0.12, seed=1),
        quality_row("ease", 0.05),
        quality_row("distilled", 0.08, split={"name": "temporal", "quantile": 0.9}),
    ]
    append_rows(tmp_path / "all.jsonl", rows)
    lines = fill_tables("<!-- table: all -->\n<!-- /table -->\n", tmp_path).splitlines()
    assert lines[1] == "| data | model | HR@10 | NDCG@10 | MB deployed | seeds |"
    assert lines[3] == "| tiny | distilled | **0.2200** ± 0.0283 | **0.1100** ± 0.0141 | 0.77 | 2 |"
    assert lines[4] == "| tiny | ease | 0.1000 | 0.0500 (0.0400–0.0600) |  | 1 |"
    assert lines[5] == "| tiny, temporal | distilled | **0.1600** | **0.0800** (0.0700–0.0900) |  | 1 |"


def sliced(**ndcg):
    """Slices as an evaluation has them: head=0.1 for popularity, short=0.2 for history."""
    kinds = {"popularity": ("head", "torso", "tail", "cold"), "history": ("short", "medium", "long")}
    return {
        kind: {part: {"cases": 9, "metrics": {"ndcg@10": {"value": ndcg[part]}}} for part in parts if part in ndcg}
        for kind, parts in kinds.items()
    }


def test_slices_are_means_over_seeds(quality_row, tmp_path):
    rows = [
        quality_row("distilled", 0.1, seed=0, slices=sliced(head=0.2, tail=0.01, short=0.1)),
        quality_row("distilled", 0.1, seed=1, slices=sliced(head=0.4, tail=0.03, short=0.2)),
        quality_row("ease", 0.1, slices=sliced(head=0.31, tail=0.0, short=0.1)),
    ]
    append_rows(tmp_path / "all.jsonl", rows)
    lines = fill_tables("<!-- slices: all -->\nold\n<!-- /slices -->\n", tmp_path).splitlines()
    assert lines[1] == "| model | head items | tail items | short histories |"
    assert lines[3] == "| distilled | 0.3000 | **0.0200** | **0.1500** |"  # (0.2 + 0.4) / 2, and so on
    assert lines[4] == "| ease | **0.3100** | 0.0000 | 0.1000 |"
    append_rows(tmp_path / "cold.jsonl", [quality_row("ease", 0.1, slices=sliced(cold=0.0, short=0.1))])
    assert "| ease | 0.0000 | **0.1000** |" in fill_tables("<!-- slices: cold -->\n<!-- /slices -->\n", tmp_path)
    append_rows(tmp_path / "none.jsonl", [quality_row("ease", 0.1)])
    with pytest.raises(DataError, match="Marked slices need rows"):
        fill_tables("<!-- slices: none -->\n<!-- /slices -->\n", tmp_path)


def test_a_comparison_of_unequal_numbers_of_seeds_says_so():
    compared = {
        "metric": "ndcg@10",
        "difference": {"value": 0.004, "low": 0.001, "high": 0.009},
        "relative": None,
        "users": 40,
        "seeds": [5, 1],
    }
    row = {"a": "distilled", "b": "teacher", "data": "tiny", "comparison": compared}
    assert "| distilled | teacher | +0.0040 | +0.0010 to +0.0090 |  | 40 | 5 and 1 | yes |\n" in comparisons_table(
        [row]
    )
    (line,) = comparison_lines([row]).splitlines()
    assert line.endswith("40 users and 5 and 1 seed(s) resampled together: a difference.")


@pytest.mark.parametrize("text", ["user,item,time\na,b,1\n", "[\n  {}\n]\n", "{\n", "\x00\xff", "7\n"])
def test_rows_are_added_to_no_file_of_another_kind(tmp_path, text):
    file = tmp_path / "log.csv"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, match=r"log\.csv exists and holds no JSON lines"):
        append_rows(file, [{"kind": "speed"}])
    assert file.read_text(encoding="latin-1") == text
    done = CliRunner().invoke(app, ["bench", str(tmp_path), "--out", str(file)])
    assert isinstance(done.exception, ConfigError) and str(file) in str(done.exception)
