import dataclasses
import json
import shutil
import time

import numpy as np
import pytest

from lightrec.benchmarks import variants as variants_module
from lightrec.benchmarks.measure import _graph_inputs, bench, measure_variants
from lightrec.benchmarks.traffic import real_traffic
from lightrec.benchmarks.turns import chunks
from lightrec.benchmarks.variants import Variant
from lightrec.bundle import deployed_bytes, write_manifest
from lightrec.errors import BundleError, ConfigError, ModelError
from lightrec.runtime.backends import Backend
from lightrec.runtime.recommender import Recommender


class SlowBackend(Backend):
    """Takes 2 ms longer than the true one."""

    def __init__(self, true):
        super().__init__(true.record)
        self.true = true

    def run(self, *inputs):
        end = time.perf_counter() + 0.002
        answer = self.true.run(*inputs)
        while time.perf_counter() < end:
            pass
        return answer


class WrongBackend(SlowBackend):
    """Returns its items from worst to best."""

    def run(self, *inputs):
        items, scores = self.true.run(*inputs)
        return (items + 11) % 30, scores


@pytest.fixture
def traffic(tiny_dataset, chain_bundle, manifest, catalogue):
    return real_traffic(tiny_dataset.path, chain_bundle, manifest, catalogue, cases=1000, seed=0)


@pytest.fixture
def variant(chain_bundle, manifest, catalogue):
    """Makes a variant whose backend is ``wrap`` around ONNX Runtime."""

    def make(name, wrap=lambda backend: backend):
        true = Recommender.load(chain_bundle).backend
        return Variant(name, "fp32", 1000, lambda: Recommender(manifest, catalogue, wrap(true)))

    return make


def test_a_slow_backend_is_measured_as_slow(variant, traffic):
    fast, slow = measure_variants([variant("fast"), variant("slow", SlowBackend)], traffic, seconds=0.3, rounds=4)
    for probe in ("graph", "recommend"):
        assert slow["latency_ms"][probe]["min"] >= 2.0
        assert slow["latency_ms"][probe]["speedup"]["value"] < 0.9
        assert slow["latency_ms"][probe]["speedup"]["over"] == "fast fp32"
        assert fast["latency_ms"][probe]["speedup"] == {"over": "fast fp32", "value": 1.0, "low": 1.0, "high": 1.0}
    assert 2.0 <= slow["latency_ms"]["graph"]["min"] < 2.2
    assert slow["per_second"]["1"] <= 500
    assert slow["per_second"]["32"] <= 32 * 500
    assert fast["quality"]["ndcg@10"] == slow["quality"]["ndcg@10"]


def test_wrong_items_show_as_a_loss_of_quality(variant, traffic):
    right, wrong = measure_variants([variant("right"), variant("wrong", WrongBackend)], traffic, seconds=0.1, rounds=1)
    ranked = variant("right").load().top_k(traffic.histories, 10)
    ranks = [
        row.tolist().index(t) + 1 if t in row else None for row, t in zip(ranked, traffic.cases.targets, strict=True)
    ]
    expected = sum(1 / np.log2(rank + 1) for rank in ranks if rank) / len(ranks)
    assert right["quality"]["ndcg@10"]["value"] == pytest.approx(expected)
    assert right["quality"]["hr@10"]["value"] == pytest.approx(sum(rank is not None for rank in ranks) / len(ranks))
    assert right["quality"]["ndcg_drop"] == 0
    assert wrong["quality"]["ndcg_drop"] > 0.5
    loss = 1 - wrong["quality"]["ndcg@10"]["value"] / expected
    assert wrong["quality"]["ndcg_drop"] == pytest.approx(loss)


def test_every_model_of_a_bundle_has_a_complete_row(both_bundle, tiny_dataset):
    steps = []
    rows = bench(both_bundle, tiny_dataset.path, cases=20, seconds=0.1, seed=3, progress=steps.append)
    assert [row["variant"] for row in rows] == ["ONNX Runtime fp32", "OpenVINO fp32"]
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    for row in rows:
        assert (row["kind"], row["bundle"], row["threads"], row["seed"], row["n_items"]) == ("speed", "both", 1, 3, 30)
        assert row["data"]["checksum"] == tiny_dataset.checksum
        assert row["quality"]["cases"] == row["data"]["histories"] == 20
        assert row["machine"]["packages"]["numpy"] == np.__version__
        assert row["command"].startswith(f"lightrec bench {both_bundle} --data {tiny_dataset.path} --cases 20")
        assert len(row["latency_ms"]["graph"]["round_medians"]) == 10
    both = sum(row["size_bytes"] for row in rows)
    shared = both - deployed_bytes(both_bundle)  # ids, popularity and manifest are counted in each
    assert 0 < shared < min(row["size_bytes"] for row in rows)
    assert steps[-1] == "Timing 2 variants in turns"


def test_a_runtime_that_is_missing_is_absent_with_the_way_to_get_it(both_bundle, monkeypatch):
    monkeypatch.setattr(variants_module, "is_installed", lambda backend: backend != "openvino")
    rows = bench(both_bundle, cases=5, seconds=0.05)
    assert [(row["kind"], row["variant"]) for row in rows] == [
        ("speed", "ONNX Runtime fp32"),
        ("absent", "OpenVINO fp32"),
    ]
    assert rows[1]["reason"] == "not installed: pip install 'lightrec[openvino]'"
    assert rows[0]["quality"] is None
    monkeypatch.setattr(variants_module, "is_installed", lambda backend: False)
    with pytest.raises(BundleError, match=r"Nothing in .* runs here .*OpenVINO fp32: not installed"):
        bench(both_bundle)


@pytest.fixture
def run(tiny_dataset, tmp_path):
    """A finished run with an untrained student for the miniature data set."""
    from lightrec.models.sasrec import Sasrec, SasrecConfig

    config = SasrecConfig(n_items=30, max_length=5, hidden_size=8, num_layers=1, num_heads=1)
    Sasrec(config).save_pretrained(tmp_path / "run")
    data = {"name": "tiny", "path": str(tiny_dataset.path), "checksum": tiny_dataset.checksum}
    record = {"kind": "student", "dataset": data, "seed": 4, "validation": {"ndcg@10": 0.5}}
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))
    return tmp_path / "run"


def test_the_torch_student_comes_first_and_is_what_others_are_compared_with(chain_bundle, tiny_dataset, run):
    torch_row, onnx_row = bench(chain_bundle, tiny_dataset.path, run, cases=40, seconds=0.2)
    assert (torch_row["variant"], torch_row["quality"]["ndcg_drop"]) == ("torch fp32", 0)
    assert onnx_row["latency_ms"]["graph"]["speedup"]["over"] == "torch fp32"
    assert onnx_row["latency_ms"]["graph"]["speedup"]["value"] > 1
    assert onnx_row["quality"]["ndcg_drop"] < 0  # the miniature knows the rule, the untrained student does not
    assert torch_row["size_bytes"] > (run / "model.safetensors").stat().st_size


def test_a_run_that_the_bundle_was_not_made_from_is_refused(chain_bundle, manifest, run, tmp_path):
    bundle = shutil.copytree(chain_bundle, tmp_path / "bundle")
    write_manifest(bundle, dataclasses.replace(manifest, training={"seed": 5, "validation": {"ndcg@10": 0.5}}))
    with pytest.raises(ModelError, match="was not exported from"):
        bench(bundle, run=run)


def test_numbers_out_of_range_are_refused(chain_bundle):
    for wrong in ({"cases": 0}, {"threads": 0}, {"seconds": 0.0}):
        with pytest.raises(ConfigError, match=f"--{next(iter(wrong))} is 0"):
            bench(chain_bundle, **wrong)


def test_graph_inputs_are_those_that_the_recommender_makes(chain_bundle, manifest, catalogue):
    class Recorder(SlowBackend):
        def run(self, *inputs):
            self.inputs = inputs
            return self.true.run(*inputs)

    recorder = Recorder(Recommender.load(chain_bundle).backend)
    recommender = Recommender(manifest, catalogue, recorder)
    for history in ([3], [1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5, 6, 7]):
        recommender.recommend([catalogue.item_ids[item] for item in history], 10)
        for given, expected in zip(_graph_inputs(np.array(history), 5), recorder.inputs, strict=True):
            assert given.dtype == expected.dtype
            assert given.tolist() == expected.tolist()


def test_batches_hold_every_history_and_are_full():
    assert chunks([["a"], ["b"], ["c"]], 2) == [[["a"], ["b"]], [["c"], ["a"]]]
    assert chunks([["a"]], 3) == [[["a"]] * 3]
