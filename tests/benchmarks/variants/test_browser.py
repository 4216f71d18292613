"""``lightrec bench --browser``: a bundle timed in headless Chromium, in the same rows as the rest."""

import importlib.util
import json
import re

import pytest

from lightrec.benchmarks.variants import browser
from lightrec.benchmarks.variants.browser import browser_variants, chromium
from lightrec.benchmarks.variants.variant import Absent, Variant
from lightrec.cli.app import main
from lightrec.web.package import ONNXRUNTIME_WEB


def test_what_is_missing_is_said(chain_bundle, manifest, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    [absent] = browser_variants(chain_bundle, manifest)
    assert isinstance(absent, Absent) and absent.name == "Chromium"
    assert absent.reason.startswith("not installed: ") and absent.requested


def test_what_is_not_asked_for_is_said(chain_bundle, manifest, monkeypatch):
    monkeypatch.setattr(browser, "_missing", lambda manifest: None)
    found = browser_variants(chain_bundle, manifest, requested=False)
    assert found == [Absent("Chromium", "ask for it with --browser", requested=False)]


@pytest.mark.slow
def test_its_row_stands_beside_the_others(chain_bundle, manifest, tmp_path, monkeypatch, capsys):
    if importlib.util.find_spec("playwright") is None or chromium() is None:
        pytest.skip("needs playwright and Chromium")
    assert [type(one) for one in browser_variants(chain_bundle, manifest)] == [Variant]
    rows = tmp_path / "rows.jsonl"
    words = ["lightrec", "bench", str(chain_bundle), "--browser", "--seconds", "0.5", "--cases", "20"]
    monkeypatch.setattr("sys.argv", [*words, "--out", str(rows)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code, capsys.readouterr().err
    found = [json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()]
    row = next(row for row in found if row["variant"] == "Chromium fp32")
    assert row["kind"] == "speed", row
    latency = row["latency_ms"]["recommend"]
    assert 0 < latency["p50"] <= latency["p99"] and latency["count"] > 10
    assert latency["speedup"]["over"] == "ONNX Runtime fp32"
    assert row["agreement"]["golden"] is None and row["agreement"]["overlap@10"] == 1
    assert re.fullmatch(r"\d+(\.\d+)+", row["versions"]["chromium"])
    assert row["versions"]["onnxruntime-web"] == ONNXRUNTIME_WEB
    assert row["cpu_ms_per_call"] > 0 and row["cold_start"] is None and row["threads_scaling"] is None
    assert [stream["streams"] for stream in row["streams"]] == [1, 2, 4]
    assert row["server"]["curve"][0]["count"] >= 10
    assert row["session_ms"]["incremental"] is False  # a miniature bundle has no graph for one step
