"""Model repositories for other servers: layout, and tensors as the graphs have them."""

import json
import re

import numpy as np
import onnxruntime
import openvino
import pytest
from mini_bundle import write_bundle
from typer.testing import CliRunner

from lightrec.bundle import read_golden
from lightrec.cli.app import app
from lightrec.errors import BundleError, ConfigError
from lightrec.serve.model_repository import package_for_ovms, package_for_triton

TYPES = {"TYPE_INT64": "tensor(int64)", "TYPE_FP32": "tensor(float)"}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("packaged") / "student", openvino=True)


def tensors(config, kind):
    """Name, type and shape of the inputs or outputs in a config.pbtxt."""
    (block,) = re.findall(rf"^{kind} \[\n(.*?)\n\]$", config, re.MULTILINE | re.DOTALL)
    found = re.findall(r'name: "(\w+)" data_type: (\w+) dims: \[ ([-\d, ]+) \]', block)
    return {name: (TYPES[kind], [int(size) for size in dims.split(",")]) for name, kind, dims in found}


def test_triton_finds_the_model_and_its_true_tensors(bundle, tmp_path):
    written = package_for_triton(bundle, tmp_path / "models")
    assert written.name == "student"
    assert {"student/config.pbtxt", "student/1/model.onnx", "student/items.json.gz"} <= set(written.files)
    config = (tmp_path / "models" / "student" / "config.pbtxt").read_text()
    assert config.count("{") == config.count("}") and config.count("[") == config.count("]")
    assert 'name: "student"\nbackend: "onnxruntime"' in config and "max_batch_size: 0" in config
    session = onnxruntime.InferenceSession(tmp_path / "models" / "student" / "1" / "model.onnx")
    for kind, values in (("input", session.get_inputs()), ("output", session.get_outputs())):
        shapes = {value.name: [size if isinstance(size, int) else -1 for size in value.shape] for value in values}
        assert tensors(config, kind) == {value.name: (value.type, shapes[value.name]) for value in values}


def test_the_model_server_of_openvino_finds_the_model_and_answers_the_golden_cases(bundle, tmp_path):
    written = package_for_ovms(bundle, tmp_path / "models", name="beauty_1.2")
    (entry,) = json.loads((written.path / "config.json").read_text())["model_config_list"]
    config = entry["config"]
    assert config["name"] == config["base_path"] == "beauty_1.2"
    file = written.path / config["base_path"] / "1" / "model.xml"
    model = openvino.Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    (case, *_), _ = read_golden(written.path / "beauty_1.2")
    inputs = {"history": [case.history], "length": [len(case.history)], "exclude": [[-1]], "k": [case.k]}
    answer = model({name: np.array(value, dtype=np.int64) for name, value in inputs.items()})
    assert answer["items"].tolist() == [case.items]


def test_what_cannot_be_packaged_is_refused(bundle, tmp_path):
    with pytest.raises(BundleError, match=r"holds no int8 model in a \.onnx file"):
        package_for_triton(bundle, tmp_path / "out", "int8")
    with pytest.raises(BundleError, match=r"no model in a \.xml file .* export --format openvino"):
        package_for_ovms(write_bundle(tmp_path / "onnx-only"), tmp_path / "out")
    with pytest.raises(ConfigError, match="give --name"):
        package_for_triton(bundle, tmp_path / "out", name="a/b")
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(ConfigError, match="no model repository"):
        package_for_triton(bundle, tmp_path)


@pytest.mark.parametrize(("place", "start"), [("triton", "tritonserver --model-repository="), ("ovms", "ovms --conf")])
def test_the_command_says_how_to_serve_it(bundle, tmp_path, place, start):
    words = ["package", str(bundle), "--for", place, "--out", str(tmp_path / "models")]
    done = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    assert done.exit_code == 0 and start in done.output
    again = json.loads(CliRunner().invoke(app, [*words, "--json"]).output)
    assert again["name"] == "student" and "student/1/" in " ".join(again["files"])
