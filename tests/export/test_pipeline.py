"""A run in, a bundle out: what it holds, what it must not hold, and what is refused."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from lightrec import Recommender
from lightrec.bundle import PARTS, GoldenCase, read_catalogue, read_golden, read_manifest
from lightrec.cli.app import app
from lightrec.data.splits import leave_one_out
from lightrec.errors import ConfigError, DataError, ModelError, ParityError
from lightrec.evaluation.protocol import evaluate
from lightrec.export import pipeline as write_bundle
from lightrec.export.golden_cases import tolerance
from lightrec.export.parity_gate import Parity
from lightrec.export.pipeline import export_bundle, open_data, provenance
from lightrec.export.precision.choose_precision import AS_FAST, Candidate, Speed, choose
from lightrec.export.writers import write_models
from lightrec.files.atomic import read_json
from lightrec.models.scoring import ModelScorer
from lightrec.verify.verify_bundle import verify_bundle


def test_bundle_holds_what_its_manifest_says(sasrec_bundle, tiny_dataset):
    manifest = read_manifest(sasrec_bundle)
    assert (manifest.model_type, manifest.n_items, manifest.max_length, manifest.hidden_size) == (
        "lightrec-sasrec",
        30,
        8,
        32,
    )
    assert manifest.k_limit == 30  # of the 100 promised, the catalogue has 30
    assert [(m.backend, m.precision, m.files) for m in manifest.models] == [
        ("onnxruntime", "fp32", ("model.onnx",)),
        ("openvino", "fp32", ("model.xml", "model.bin")),
    ]
    assert manifest.gate["cases"] == 40 and manifest.gate["equal_rankings"] == 1
    assert [model["backend"] for model in manifest.gate["models"]] == ["onnxruntime", "openvino"]
    # Test histories are one event shorter than the sequences of 6 to 17 events.
    lengths = np.diff(tiny_dataset.offsets) - 1
    assert manifest.history_lengths["p0"] == lengths.min() and manifest.history_lengths["p100"] == lengths.max()
    assert manifest.history_lengths["mean"] == pytest.approx(lengths.mean())
    # Of each sequence the last two events are for validation and test.
    counts = sorted(leave_one_out(tiny_dataset).popularity(), reverse=True)
    assert manifest.item_events == {str(rank): sum(counts[:rank]) for rank in (1, 2, 4, 8, 16, 30)}
    assert manifest.item_events["30"] == len(tiny_dataset.items) - 2 * 40
    assert manifest.format_version == "2.3"
    assert verify_bundle(sasrec_bundle).passed


def test_catalogue_has_the_ids_titles_and_training_popularity(sasrec_bundle, tiny_dataset):
    catalogue = read_catalogue(sasrec_bundle, read_manifest(sasrec_bundle))
    assert catalogue.item_ids == tiny_dataset.item_ids
    assert catalogue.titles == tiny_dataset.item_titles
    counts = leave_one_out(tiny_dataset).popularity()
    assert (np.diff(counts[catalogue.popularity]) <= 0).all()


def test_bundle_names_no_folder_of_this_machine(sasrec_bundle, tiny_dataset, sasrec_run):
    training = read_manifest(sasrec_bundle).training
    assert training["dataset"] == {"name": "tiny", "checksum": tiny_dataset.checksum, "users": 40, "items": 30}
    assert training["config"] == {"data": "dataset", "seed": 0, "init": "runs/teacher"}
    for file in sasrec_bundle.iterdir():
        for folder in (tiny_dataset.path.parent, sasrec_run.parent, sasrec_bundle.parent):
            assert str(folder).encode() not in file.read_bytes(), file.name


def test_paths_of_other_systems_are_cut_down_too():
    record = {
        "dataset": {"path": "x"},
        "teachers": [{"run": r"C:\Users\ann\teacher"}, {"run": "~/t", "base": "org/model"}],
    }
    assert provenance(record)["teachers"] == [{"run": "teacher"}, {"run": "t", "base": "org/model"}]


def test_golden_histories_are_synthetic_and_span_the_lengths(sasrec_bundle, tiny_dataset):
    cases, allowed = read_golden(sasrec_bundle)
    assert {len(case.history) for case in cases} == set(range(1, 9))
    assert any(case.exclude for case in cases) and cases[-1].k == 30
    assert allowed < 0.01
    real = {tuple(tiny_dataset.sequence(user)[start : start + 8]) for user in range(40) for start in range(10)}
    assert not real & {tuple(case.history) for case in cases if len(case.history) == 8}


def test_the_tolerance_covers_sessions_and_candidates_too():
    """In 8 bits they round elsewhere than the model that answers at once."""
    scores = {"at once": [[1.0, 0.5]], "in steps": [[1.0, 0.53]], "as candidates": [1.05, 0.5]}
    found = {name: np.array(values) for name, values in scores.items()}
    parts = SimpleNamespace(
        start=lambda: None,
        step=lambda history, past: (None, None),
        score=lambda *asked: (np.array([[1, 2]]), found["in steps"]),
        score_candidates=lambda *asked: found["as candidates"],
    )
    graph = SimpleNamespace(run=lambda *asked: (np.array([[1, 2]]), found["at once"]), parts=parts)
    case = GoldenCase([0], [], 2, [1, 2], [1.0, 0.5])
    assert tolerance([case], "int8", [graph]) == pytest.approx(4 * 0.05)
    parts.score_candidates = lambda *asked: found["at once"][0]
    assert tolerance([case], "int8", [graph]) == pytest.approx(4 * 0.03)
    graph.parts = None
    assert tolerance([case], "int8", [graph]) == 0.01


def test_exported_bundle_evaluates_to_the_figures_of_the_model(sasrec, sasrec_bundle, tiny_dataset):
    split = leave_one_out(tiny_dataset)
    options = {"train_popularity": split.popularity(), "bootstrap": 0}
    ours = evaluate(Recommender.load(sasrec_bundle), split.test, **options)
    theirs = evaluate(ModelScorer(sasrec), split.test, ties="lowest-index", rank_limit=30, **options)
    np.testing.assert_array_equal(ours.ranks, theirs.ranks)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_smaller_precisions_make_a_bundle_that_verifies(sasrec_run, tmp_path, precision):
    report = export_bundle(sasrec_run, tmp_path / "b", precision=precision, titles=False, max_ndcg_drop=0.2, k_limit=5)
    assert verify_bundle(tmp_path / "b").passed
    assert not (tmp_path / "b" / "titles.json.gz").exists()
    assert report.manifest.k_limit == 5
    assert report.parity[0].top10_overlap > 0.9
    assert report.deployed_bytes == sum(
        file.stat().st_size for file in (tmp_path / "b").iterdir() if file.stem not in PARTS
    )


def test_auto_keeps_the_fastest_precision_and_says_why(sasrec_run, tmp_path):
    report = export_bundle(sasrec_run, tmp_path / "b", precision="auto", max_ndcg_drop=0.5)
    told = read_json(tmp_path / "b" / "precision.json")
    assert [(c["backend"], c["precision"]) for c in told["candidates"]] == [
        ("onnxruntime", "fp32"),
        ("onnxruntime", "fp16"),
        ("onnxruntime", "int8"),
        ("onnxruntime", "int4"),
        ("onnxruntime", "int8-static"),
    ]
    model = report.manifest.models[0]
    assert told["chosen"] == [{"backend": model.backend, "precision": model.precision}]
    chosen = next(c for c in told["candidates"] if c["precision"] == model.precision)
    assert chosen["bytes"] == (tmp_path / "b" / "model.onnx").stat().st_size
    assert chosen["milliseconds"] <= AS_FAST * min(c["milliseconds"] for c in told["candidates"])
    assert chosen["parity"]["ndcg@10_exported"] == report.manifest.gate["ndcg@10_exported"]
    assert "precision.json" in report.manifest.files and verify_bundle(tmp_path / "b").passed
    (tmp_path / "b" / "precision.json").unlink()  # no device needs it
    assert verify_bundle(tmp_path / "b").passed


@pytest.mark.slow
@pytest.mark.parametrize("formats", [("onnx", "openvino"), ("openvino", "ort")])
def test_auto_chooses_for_each_format_by_itself(sasrec_run, tmp_path, formats):
    report = export_bundle(sasrec_run, tmp_path / "b", formats=formats, precision="auto", max_ndcg_drop=0.5)
    models = {model.backend: model for model in report.manifest.models}
    assert [model.backend for model in report.manifest.models] == [
        "openvino" if name == "openvino" else "onnxruntime" for name in formats
    ]
    assert models["onnxruntime"].files == ("model.ort" if "ort" in formats else "model.onnx",)
    told = read_json(tmp_path / "b" / "precision.json")
    tried = {
        backend: [c["precision"] for c in told["candidates"] if c["backend"] == backend]
        for backend in ("onnxruntime", "openvino")
    }
    smaller = ["fp32", "fp16", "int8"]
    assert tried == {"onnxruntime": [*smaller, "int4", "int8-static"], "openvino": [*smaller, "int8-static"]}
    times = {(c["backend"], c["precision"]): c["milliseconds"] for c in told["candidates"]}
    for entry in report.manifest.gate["models"]:
        speed = entry["speed"]
        assert speed["milliseconds"] == times[entry["backend"], entry["precision"]]
        assert speed["milliseconds_fp32"] == times[entry["backend"], "fp32"]
    assert verify_bundle(tmp_path / "b").passed
    for backend, model in models.items():
        assert Recommender.load(tmp_path / "b", backend, cache=False).backend.record == model


def test_what_cannot_be_written_is_no_choice(sasrec_run, tmp_path, monkeypatch):
    def refuse(graph):
        raise ModelError("A weight exceeds half precision.")

    monkeypatch.setitem(write_models.PRECISIONS, "fp16", refuse)
    report = export_bundle(sasrec_run, tmp_path / "b", precision="auto", max_ndcg_drop=0.5)
    told = read_json(tmp_path / "b" / "precision.json")["candidates"]
    assert {c["precision"]: c["problem"] for c in told if c["milliseconds"] is None} == {
        "fp16": "A weight exceeds half precision."
    }
    assert report.manifest.models[0].precision != "fp16"


@pytest.mark.slow
def test_the_manifest_says_whether_openvinos_smaller_copy_is_faster(sasrec_run, tmp_path):
    report = export_bundle(sasrec_run, tmp_path / "b", ("openvino",), "int8", max_ndcg_drop=0.2)
    speed = read_manifest(tmp_path / "b").gate["models"][0]["speed"]
    assert speed["milliseconds"] > 0 and speed["milliseconds_fp32"] > 0
    assert speed["faster_than_fp32"] == (speed["milliseconds"] * AS_FAST < speed["milliseconds_fp32"])
    assert report.manifest.models[0].files == ("model.xml", "model.bin")
    assert sorted(file.name for file in (tmp_path / "b").glob("model*")) == ["model.bin", "model.xml"]


def test_a_speed_is_faster_only_beyond_the_noise():
    assert Speed(1.0, 1.1).to_json() == {"milliseconds": 1.0, "milliseconds_fp32": 1.1, "faster_than_fp32": True}
    assert not Speed(1.0, 1.02).faster and not Speed(2.0, 1.0).faster


def test_the_choice_is_the_fastest_that_may_be_chosen_and_the_smallest_of_those_as_fast():
    parity = Parity(1, 1.0, 1.0, 0.1, 0.1, (0.0, 0.0), 0.0)

    def candidate(precision, size, milliseconds, problem=""):
        return Candidate("onnxruntime", precision, size, milliseconds, parity, problem)

    slow, fast, small = candidate("fp32", 400, 2.0), candidate("fp16", 200, 1.0), candidate("int8", 100, 1.02)
    assert choose([slow, fast, small]) == small
    assert choose([slow, fast, candidate("int8", 100, 1.04)]) == fast
    assert choose([slow, fast, candidate("int8", 100, 0.5, "loses too much.")]) == fast
    with pytest.raises(ParityError, match=r"fp32 loses\. int8 loses\."):
        choose([candidate("fp32", 1, 1.0, "fp32 loses."), candidate("int8", 1, 1.0, "int8 loses.")])


def test_refusal_leaves_nothing_and_keeps_the_bundle_that_was_there(
    sasrec_graph, sasrec_run, sasrec_bundle, tmp_path, monkeypatch
):
    broken = onnx.ModelProto()
    broken.CopyFrom(sasrec_graph)
    bias = next(tensor for tensor in broken.graph.initializer if tensor.name.endswith("qkv.bias"))
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + np.float32(3), bias.name))
    expand = next(tensor for tensor in broken.graph.initializer if tensor.name.endswith("distance_bias"))
    expand.CopyFrom(onnx.numpy_helper.from_array(-onnx.numpy_helper.to_array(expand) * 9, expand.name))
    monkeypatch.setattr(write_models, "to_onnxruntime", lambda model: broken)
    with pytest.raises(ParityError, match="no bundle was written"):
        export_bundle(sasrec_run, tmp_path / "new", precision="fp32")
    assert list(tmp_path.iterdir()) == []

    shutil.copytree(sasrec_bundle, tmp_path / "old")
    with pytest.raises(ParityError):
        export_bundle(sasrec_run, tmp_path / "old", precision="fp32")
    assert verify_bundle(tmp_path / "old").passed
    assert [file.name for file in tmp_path.iterdir()] == ["old"]


def test_data_must_be_there_and_be_the_runs_own(tiny_dataset, tmp_path):
    known = {"name": "tiny", "path": str(tmp_path / "gone"), "checksum": tiny_dataset.checksum}
    with pytest.raises(DataError, match=r"no longer at .*gone: say with --data"):
        open_data({"dataset": known})
    assert open_data({"dataset": known}, tiny_dataset.path).n_items == 30
    with pytest.raises(DataError, match="not the data set that the run was trained on"):
        open_data({"dataset": {**known, "checksum": "0" * 64}}, tiny_dataset.path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"formats": ("tflite",)}, "The format is tflite: choose from onnx, openvino"),
        ({"formats": ()}, "The format is missing"),
        ({"precision": "int2"}, "The precision is 'int2': choose one of fp32, fp16, int8, int4, int8-static, auto"),
        ({"max_ndcg_drop": 1.5}, "--max-ndcg-drop is 1.5"),
        ({"k_limit": 0}, "--k-limit is 0"),
    ],
)
def test_wrong_arguments_are_refused_before_any_work(sasrec_run, tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        export_bundle(sasrec_run, tmp_path / "b", **options)


def test_out_must_not_be_somebody_elses_folder(sasrec_run, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="exists and is not a bundle"):
        export_bundle(sasrec_run, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(ModelError, match="is not a run"):
        export_bundle(tmp_path, tmp_path / "b")


def test_command_prints_the_gate_as_table_and_as_json(sasrec_run, tmp_path):
    arguments = ["export", str(sasrec_run), "--precision", "fp16", "--max-ndcg-drop", "1", "--out", str(tmp_path / "b")]
    result = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["gate"] == dict(read_manifest(tmp_path / "b").gate)
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert "onnxruntime" in result.stdout and "40 validation histories" in result.stdout
    assert f"lightrec bench {tmp_path / 'b'}" in result.stdout.replace("\n", "")


def test_a_teacher_is_not_exported(sasrec_run, tmp_path, monkeypatch):
    monkeypatch.setattr(write_bundle, "load_model", lambda run: (object(), read_json(Path(run) / "run.json")))
    with pytest.raises(ModelError, match="holds a teacher: distil it first"):
        export_bundle(sasrec_run, tmp_path / "b")
