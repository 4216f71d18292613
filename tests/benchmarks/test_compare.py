import json

import pytest

from lightrec.benchmarks.compare import compare
from lightrec.benchmarks.rows import append_rows, read_rows
from lightrec.benchmarks.significance import shift
from lightrec.cli.app import main
from lightrec.errors import DataError

ROUNDS = [1.00, 1.01, 1.02, 0.99, 0.98, 1.00, 1.03, 0.97, 1.00, 1.01]


@pytest.fixture
def row(speed_row):
    """Makes a row whose rounds took ``ROUNDS`` times ``factor`` milliseconds."""

    def make(variant="ONNX Runtime int8", factor=1.0, **changes):
        made = speed_row(variant, factor, **{"per_second": {"1": 1e3 / factor}, **changes})
        call = {"p50": factor, "round_medians": [factor * median for median in ROUNDS]}
        return made | {"latency_ms": {"recommend": call, "graph": {"p50": 0.5, "round_medians": [0.5] * 10}}}

    return make


def verdicts(before, after, **options):
    """The changes that were found, by figure."""
    found = compare([before], [after], **options)
    return {change.figure: change.verdict for change in found.changes if change.verdict != "same"}


def test_the_shift_is_the_median_of_all_ratios():
    # The ratios are 2 b / a for a, b in 1..5: five of them are 2, as many are smaller as are larger. Of 25 pairs the
    # interval leaves out floor(12.5 - 2.5758 sqrt(25 * 11 / 12)) = floor(0.17) = 0 at each end.
    assert shift([1, 2, 3, 4, 5], [2, 4, 6, 8, 10]) == pytest.approx((2, 2 * 1 / 5, 2 * 5 / 1))


def test_the_interval_leaves_out_what_mann_and_whitney_would():
    # Of 100 pairs: floor(50 - 2.5758 sqrt(100 * 21 / 12)) = 15 at each end. Before is 1: each ratio stands ten times.
    after = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9]
    assert shift([1.0] * 10, after) == pytest.approx((1.45, 1.1, 1.8))


def test_few_rounds_show_nothing():
    assert shift([1.0] * 4, [9.0] * 10) is None


def test_rows_are_like_themselves(row):
    found = compare([row(), row("torch fp32", 3.0)], [row(), row("torch fp32", 3.0)])
    assert {change.verdict for change in found.changes} == {"same"}
    assert len(found.changes) == 2 * 4  # NDCG@10, request, graph, size
    assert not found.regressed and found.warnings == []


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.2, "worse"), (0.8, "better"), (1.04, "tolerated"), (1.2 + 1e-9, "worse")]
)
def test_a_latency_beyond_the_tolerance_is_a_change(row, factor, verdict):
    assert verdicts(row(), row(factor=factor)) == {"one request, ms": verdict}


def test_the_tolerance_is_a_matter_of_choice(row):
    assert verdicts(row(), row(factor=1.2), tolerance=0.25) == {"one request, ms": "tolerated"}


def test_a_difference_that_the_rounds_do_not_bear_out_is_noise(row):
    noisy = row(factor=1.06)
    noisy["latency_ms"]["recommend"]["round_medians"] = [0.8, 1.4, 0.9, 1.3, 0.7, 1.5, 1.0, 1.2, 0.85, 1.1]
    assert verdicts(row(), noisy) == {}


def test_what_the_fixed_loop_shows_as_well_is_the_machine(row):
    before, after = row(), row(factor=1.2)
    before["noise"] = {"calibration_ms": {"p50": 10.0}, "warning": None}
    after["noise"] = {"calibration_ms": {"p50": 12.0}, "warning": "Others took 30% of the time."}
    found = compare([before], [after])
    assert not found.regressed
    assert "The machine itself ran 20% slower the second time." in found.warnings
    assert "Of the second: Others took 30% of the time." in found.warnings


def test_size_memory_and_start(row):
    start = {"median": 100.0, "low": 90.0, "high": 110.0}
    before = row(memory_bytes={"peak": 50_000_000}, cold_start={"ms": start})
    larger = row(size_bytes=2 * 774_000, memory_bytes={"peak": 51_000_000}, cold_start={"ms": start})
    assert verdicts(before, larger) == {"size, MB": "worse", "peak memory, MB": "tolerated"}
    assert verdicts(before, before | {"memory_bytes": {"peak": 50_400_000}}) == {}  # 0.8% is noise
    for low, found in ((105.0, {}), (111.0, {"start to first answer, ms": "worse"})):
        slower = row(memory_bytes=None, cold_start={"ms": {"median": 130.0, "low": low, "high": 200.0}})
        assert verdicts(before, slower) == found


def test_quality_on_the_same_cases_is_exact(row):
    assert verdicts(row(), row(drop=0.02)) == {"NDCG@10": "worse"}
    assert verdicts(row(), row(drop=0.005)) == {"NDCG@10": "tolerated"}
    assert verdicts(row(), row(drop=-0.02)) == {"NDCG@10": "better"}
    assert verdicts(row(), row(drop=0.02), max_ndcg_drop=0.03) == {"NDCG@10": "tolerated"}


def test_quality_on_other_cases_must_leave_both_intervals(row):
    # Each 95% interval is 0.04 wide at 0.1: the 99% interval of the relative change is ±0.74.
    found = compare([row()], [row(drop=0.1, seed=1)]).changes[0]
    assert found.verdict == "same"
    assert found.high == pytest.approx(-0.1 + (0.04**2 * 2) ** 0.5 / 2 / 1.96 * 2.5758 / 0.1)
    assert verdicts(row(), row(drop=0.9, seed=1)) == {"NDCG@10": "worse"}


def test_throughput_and_sessions_are_one_figure_each(row):
    def rows(per_second, session, loop=10.0):
        noise = {"calibration_ms": {"p50": loop}, "warning": None}
        return row(per_second={"1": 1000.0, "32": per_second}, session_ms={"p50": session}, noise=noise)

    found = {change.figure: change for change in compare([rows(2000.0, 0.5)], [rows(1800.0, 0.6)]).changes}
    batch, session = found["batches of 32, a second"], found["session step, ms"]
    assert (batch.change, batch.verdict) == (pytest.approx(1800 / 2000 - 1), "worse")
    assert (session.change, session.verdict) == (pytest.approx(0.6 / 0.5 - 1), "worse")
    assert (batch.low, batch.high, batch.note) == (None, None, "one figure, no interval")
    assert verdicts(rows(2000.0, 0.5), rows(2200.0, 0.4)) == {
        "batches of 32, a second": "better",
        "session step, ms": "better",
    }
    # Nothing tells 4 % from noise, and a machine that took a fifth longer for its own loop explains the rest.
    assert verdicts(rows(2000.0, 0.5), rows(2000 * 0.96, 0.5 * 1.04)) == {}
    assert verdicts(rows(2000.0, 0.5), rows(2000 / 1.2, 0.6, loop=12.0)) == {}
    assert verdicts(rows(2000.0, 0.5), rows(1800.0, 0.6), tolerance=0.25) == {}


def served(max_rate, *rates, bound=10.0):
    """The server's part of a row that was asked at these rates."""
    return {"p99_bound_ms": bound, "max_rate": max_rate, "curve": [{"rate": rate} for rate in rates]}


@pytest.mark.parametrize(
    ("after", "found"),
    [
        # Before, between 100 kept and 120 broken: a span that reaches into it is no change.
        (served(90.0, 80.0, 90.0, 105.0), {}),
        (served(80.0, 80.0, 95.0), {"served, a second": "worse"}),
        (served(130.0, 130.0, 140.0), {"served, a second": "better"}),
        (served(None, 20.0, 40.0), {"served, a second": "worse"}),
        (served(80.0, 80.0, 95.0, bound=5.0), {}),  # another bound is another question
        (None, {}),
    ],
)
def test_the_highest_rates_differ_where_their_spans_are_apart(row, after, found):
    before = row(server=served(100.0, 50.0, 100.0, 120.0))
    assert verdicts(before, row(server=after)) == found


def test_what_was_measured_and_is_absent_now_is_a_regression(row):
    gone = {"kind": "absent", "variant": "torch fp32", "reason": "torch fp32 failed: MemoryError"}
    found = compare([row(), row("torch fp32")], [row(), gone])
    assert found.lost == ["torch fp32 was measured before and is absent now: torch fp32 failed: MemoryError"]
    assert found.regressed
    # Nothing is left to compare, but that is what is to be told.
    assert compare([row("torch fp32")], [gone]).regressed
    # The name of a runtime stands for all its variants; what nobody asked for, or was absent before, is not lost.
    runtime = {"kind": "absent", "variant": "torch", "reason": "not installed"}
    assert compare([row(), row("torch fp32")], [row(), runtime]).regressed
    assert not compare([row(), row("torch fp32")], [row(), runtime | {"requested": False}]).regressed
    assert not compare([row(), gone], [row(), gone]).regressed
    # A row that tells its conditions is of those alone.
    elsewhere = gone | {"threads": 2, "limits": None}
    assert not compare([row(), row("torch fp32")], [row(), elsewhere]).regressed
    assert compare([row(), row("torch fp32", threads=2)], [row(), elsewhere]).regressed


def test_a_scenario_that_fails_now_is_a_regression(row):
    failed = row(failed={"server": "ONNX Runtime int8 failed: MemoryError"})
    found = compare([row(failed={})], [failed])
    assert found.lost == ["ONNX Runtime int8: server fails now: ONNX Runtime int8 failed: MemoryError"]
    assert found.regressed and not compare([failed], [failed]).regressed


def test_rows_of_other_limits_and_hosts_are_other_rows(row):
    edge = {"cores": 1, "memory_bytes": 512 * 2**20, "profile": "edge", "enforced_by": {}}
    conditions = [{}, {"limits": edge}, {"host": "user@board"}]
    before = [row(factor=factor, **more) for factor, more in zip((1.0, 2.0, 3.0), conditions, strict=True)]
    after = [row(factor=factor, **more) for factor, more in zip((1.0, 2.0, 4.0), conditions, strict=True)]
    found = [change for change in compare(before, after).changes if change.verdict != "same"]
    assert [(change.variant, change.figure) for change in found] == [
        ("ONNX Runtime int8, user@board", "one request, ms")
    ]
    with pytest.raises(DataError, match=r"ONNX Runtime int8, 1 core and 512 MiB against ONNX Runtime int8\)"):
        compare([before[1]], [after[0]])


def test_wrong_items_are_a_regression(row):
    found = compare([row()], [row(agreement={"wrong_items": True})])
    assert found.broken == ["ONNX Runtime int8"] and found.regressed
    assert not compare([row(agreement={"wrong_items": True})], [row(agreement={"wrong_items": True})]).regressed


def test_the_last_row_of_a_variant_counts(row):
    assert compare([row(factor=9.0), row()], [row()]).regressed is False


def test_doubts_are_told(row):
    other = row()
    other["machine"] = {**other["machine"], "processor": "Processor 1"}
    other["data"] = {**other["data"], "checksum": "other"}
    found = compare([row(), row("torch fp32")], [other, row("OpenVINO fp32")])
    assert [words.split(":")[0] for words in found.warnings] == [
        "torch fp32 is in the first file only.",
        "OpenVINO fp32 is in the second file only.",
        "The two were measured on different machines",
        "The two were asked about different data",
    ]


def test_histories_made_up_in_another_way_are_other_data(row):
    zipf, told = (
        row(data={"name": "synthetic", "checksum": None, "source": f"made up: items by {law}"})
        for law in ("Zipf's law", "their training events")
    )
    assert compare([zipf], [told]).warnings == ["The two were asked about different data: compare with care."]
    assert compare([told], [told]).warnings == []


def test_a_bundle_may_be_renamed_unless_there_are_several(row):
    assert len(compare([row(bundle="old")], [row(bundle="new")]).changes) == 4
    with pytest.raises(DataError, match="No variant is in both files"):
        compare([row(bundle="a"), row(bundle="b")], [row(bundle="c")])


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run ``lightrec compare`` on two lists of rows; returns exit code, standard output, standard error."""

    def of(before, after, *options):
        for name, rows in (("a", before), ("b", after)):
            (tmp_path / f"{name}.jsonl").unlink(missing_ok=True)
            append_rows(tmp_path / f"{name}.jsonl", rows)
        files = [str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")]
        monkeypatch.setattr("sys.argv", ["lightrec", "compare", *files, *options])
        monkeypatch.setenv("COLUMNS", "100")
        with pytest.raises(SystemExit) as stop:
            main()
        output = capsys.readouterr()
        return stop.value.code or 0, output.out, output.err

    return of


def test_the_exit_code_is_1_on_a_regression(run, row):
    code, out, _ = run([row()], [row(factor=1.2)])
    assert code == 1
    for words in ("worse", "ONNX Runtime int8", "one request, ms", "+20.0%", "1 of 4 figures changed"):
        assert words in out
    code, out, _ = run([row()], [row()])
    assert (code, out.strip()) == (0, "0 of 4 figures changed beyond noise.")


def test_one_list_as_json_prints_it_is_read_too(row, tmp_path):
    (tmp_path / "list.json").write_text(json.dumps([row(), row("torch fp32")], indent=2))
    append_rows(tmp_path / "lines.jsonl", [row(), row("torch fp32")])
    assert read_rows(tmp_path / "list.json") == read_rows(tmp_path / "lines.jsonl")
    (tmp_path / "wrong.json").write_text('[{"kind": "serve"}, 5]')
    with pytest.raises(DataError, match=r"^Entry 2 of .*wrong.json is no result row .*: remove the entry, or"):
        read_rows(tmp_path / "wrong.json")


def test_what_is_lost_and_what_has_no_interval_is_told(run, row):
    gone = {"kind": "absent", "variant": "torch fp32", "reason": "torch fp32 failed: MemoryError"}
    before = row(per_second={"32": 2000.0})
    code, out, _ = run([before, row("torch fp32")], [row(per_second={"32": 1000.0}), gone])
    assert code == 1
    for words in ("batches of 32", "-50.0%", "one figure, no interval", "is absent now: torch fp32 failed"):
        assert words in " ".join(out.split())


def test_json_holds_every_change(run, row):
    code, out, _ = run([row()], [row(factor=1.2)], "--json")
    found = json.loads(out)
    assert code == 1 and found["regressed"] is True
    assert [change["verdict"] for change in found["changes"]] == ["same", "worse", "same", "same"]


def test_wrong_input_is_one_sentence(run, row):
    for arguments, sentence in [
        (([row()], [], ()), "No variant is in both files"),
        (([row()], [row()], ("--tolerance", "5")), "--tolerance is 5"),
    ]:
        code, out, err = run(*arguments[:2], *arguments[2])
        assert (code, out) == (2, "")
        assert sentence in err and err.count("\n") == 1
