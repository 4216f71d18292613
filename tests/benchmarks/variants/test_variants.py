"""Which variants there are on machines that these tests do not run on, and the peers."""

import dataclasses
import json
import sys
from pathlib import Path

import pytest

from lightrec.benchmarks.harness.harness import Harness
from lightrec.benchmarks.harness.workload import synthetic_workload
from lightrec.benchmarks.measure import measure_variants
from lightrec.benchmarks.plan import Plan
from lightrec.benchmarks.variants.find_variants import Wanted, find_variants
from lightrec.benchmarks.variants.variant import Absent, Variant, bundle_variants, peer_variants
from lightrec.bundle import FileRecord, ModelRecord
from lightrec.machine.doctor import diagnose


@pytest.fixture
def machine():
    """Makes a machine with these providers of ONNX Runtime and devices of OpenVINO."""
    here = diagnose()

    def make(providers=(), devices=("CPU",)):
        return dataclasses.replace(
            here,
            onnxruntime_providers=[*providers, "CPUExecutionProvider"],
            openvino_devices=dict.fromkeys(devices, "a device"),
        )

    return make


@pytest.fixture
def both(manifest):
    """The manifest of a bundle with a model for each runtime."""
    models = (*manifest.models, ModelRecord("openvino", "int8", ("model.xml",)))
    return dataclasses.replace(manifest, models=models, files={**manifest.files, "model.xml": FileRecord("", 7)})


@pytest.fixture
def names(chain_bundle, both, machine, monkeypatch):
    """The names of the variants that run, and of those that are absent."""
    monkeypatch.setattr("lightrec.benchmarks.variants.variant.catalogue_bytes", lambda bundle, manifest: 100)

    def make(*which, device=None):
        found = bundle_variants(chain_bundle, both, machine(*which), device)
        return tuple([one.name for one in found if isinstance(one, kind)] for kind in (Variant, Absent))

    return make


def test_every_device_has_its_variant_and_those_that_are_missing_are_named(names):
    assert names() == (
        ["ONNX Runtime fp32", "OpenVINO int8"],
        [
            "ORT format",
            "ONNX Runtime CUDA",
            "ONNX Runtime TensorRT",
            "ONNX Runtime OpenVINO",
            "OpenVINO GPU",
            "OpenVINO NPU",
        ],
    )
    running, absent = names(["CUDAExecutionProvider"], ["CPU", "GPU.0", "GPU.1"])
    assert running == [
        "ONNX Runtime fp32",
        "ONNX Runtime CUDA fp32",
        "OpenVINO int8",
        "OpenVINO GPU.0 int8",
        "OpenVINO GPU.1 int8",
    ]
    assert "OpenVINO GPU" not in absent and "ONNX Runtime CUDA" not in absent


@pytest.mark.parametrize(
    ("device", "running"),
    [
        ("cpu", ["ONNX Runtime fp32", "OpenVINO int8"]),
        ("gpu", ["OpenVINO GPU.0 int8"]),
        ("cuda", ["ONNX Runtime CUDA fp32"]),
    ],
)
def test_one_device_alone(names, device, running):
    assert names(["CUDAExecutionProvider"], ["CPU", "GPU.0"], device=device)[0] == running


def test_devices_of_openvino_are_named_without_a_model_for_it(chain_bundle, manifest, machine):
    found = bundle_variants(chain_bundle, manifest, machine(devices=["CPU", "GPU"]))
    reasons = {one.name: one.reason for one in found if isinstance(one, Absent)}
    no_model = "the bundle holds no model for it (lightrec export --format onnx --format openvino)"
    assert reasons["OpenVINO GPU"] == no_model
    assert reasons["OpenVINO NPU"] == (
        f"{no_model}, and OpenVINO finds none here: it needs an Intel NPU and its driver"
    )


@pytest.mark.parametrize(
    ("device", "running"),
    [
        (None, ["ONNX Runtime fp32", "ONNX Runtime CUDA fp32", "RePlay SasRec compiled"]),
        ("cpu", ["ONNX Runtime fp32", "RePlay SasRec compiled"]),
        ("cuda", ["ONNX Runtime CUDA fp32"]),
    ],
)
def test_peers_run_where_the_processor_is_asked_for(chain_bundle, manifest, machine, device, running):
    wanted = Wanted(device=device, replay=Path("python"))
    found = find_variants(chain_bundle, manifest, wanted, machine(["CUDAExecutionProvider"]))
    assert [one.name for one in found if isinstance(one, Variant)] == running
    absent = {one.name: one for one in found if isinstance(one, Absent)}
    elsewhere = Absent("RePlay SasRec compiled", "it runs on the CPU alone, and --device asks for cuda")
    assert absent.get("RePlay SasRec compiled") == (elsewhere if device == "cuda" else None)
    assert not absent["RecTools SASRec"].requested and not absent["torch"].requested


def test_a_model_in_ort_format_has_a_name_of_its_own(chain_bundle, manifest, machine):
    model = dataclasses.replace(manifest.models[0], files=("model.ort",))
    files = {**manifest.files, "model.ort": FileRecord("", 7)}
    found = bundle_variants(chain_bundle, dataclasses.replace(manifest, models=(model,), files=files), machine())
    assert found[0].name == "ORT format fp32"


def test_a_model_of_a_later_lightrec_is_absent(chain_bundle, manifest, machine):
    unknown = dataclasses.replace(manifest, models=(ModelRecord("abacus", "fp32", ("model.onnx",)),))
    assert bundle_variants(chain_bundle, unknown, machine())[0] == Absent(
        "abacus fp32", "this lightrec does not know it: upgrade lightrec"
    )


PEER = """
import json, sys
from pathlib import Path
from lightrec.benchmarks.workers.worker_protocol import chunks, own_channel, serve
channel, request = own_channel(), json.loads(Path(sys.argv[-1]).read_text())
histories, ids = (json.loads(Path(request[name]).read_text()) for name in ("histories", "item_ids"))
assert all(item in ids for history in histories for item in history)
shape = [request[name] for name in ("hidden_size", "max_length", "num_layers", "num_heads", "k", "threads")]
calls = {"single": (len, histories), "batch 32": (len, chunks(histories, 32))}
serve(channel, calls, {"shape": shape, "versions": {"abacus": "1.2"}})
"""


def test_a_peer_is_told_the_shape_and_asked_the_same_histories(chain_bundle, manifest, catalogue, tmp_path):
    workload = synthetic_workload(manifest, catalogue, 20, seed=0)
    harness = Harness(chain_bundle, workload, Plan(), tmp_path)
    peer = Variant("peer", "fp32", None, command=(sys.executable, "-c", PEER), label="a peer", peer=True)
    assert harness.cold_command(peer) is None
    with harness.start_worker(peer) as worker:
        assert worker.facts["shape"] == [1, 5, 2, 2, 10, 1]
        assert worker.facts["calls"] == ["single", "batch 32"]
    raw = json.loads((tmp_path / "histories.json").read_text())
    assert raw == [[catalogue.item_ids[item] for item in history] for history in workload.histories]
    assert harness.rankings(peer) is None


def test_a_peer_tells_its_versions_and_no_memory_of_the_process_that_was_timed(chain_bundle, manifest, catalogue):
    workload = synthetic_workload(manifest, catalogue, 20, seed=0)
    peer = Variant("peer", "fp32", None, command=(sys.executable, "-c", PEER), label="a peer", peer=True)
    plan = Plan(scenarios=("single-stream",), seconds=0.05, rounds=2)
    (row,) = measure_variants([peer], chain_bundle, workload, plan)
    assert row["versions"] == {"abacus": "1.2"}
    assert row["memory_bytes"] == {"peak": None, "steady": None} and row["failed"] == {}


def test_peers_are_run_by_the_interpreters_given(tmp_path):
    replay, rectools, sentences = peer_variants(Path("replay/bin/python"), None)
    assert replay.command[:2] == ("replay/bin/python", "-I") and Path(replay.command[2]).is_file()
    assert replay.size_bytes is None and replay.peer
    reason = "give an interpreter that has it with --rectools PYTHON"
    assert rectools == Absent("RecTools SASRec", reason, requested=False)
    assert sentences.name == "Sentence encoder" and "--sentences" in sentences.reason


@pytest.mark.slow
def test_a_sentence_encoder_answers_raw_ids_with_unseen_titles(chain_bundle, manifest, catalogue, tmp_path):
    pytest.importorskip("transformers", reason="needs the training extra")
    workload = synthetic_workload(manifest, catalogue, 20, seed=0)
    *_, sentences = peer_variants(None, None, sentences=True)
    harness = Harness(chain_bundle, workload, Plan(batches=(4,)), tmp_path)
    with harness.start_worker(sentences) as worker:
        assert worker.facts["calls"] == ["single", "batch 4"]
        assert min(worker.time("single", 0, 0.05)) > 100_000  # six layers take more than a tenth of a millisecond
        assert min(worker.time("batch 4", 0, 0.05)) > 100_000
