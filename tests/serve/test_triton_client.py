"""Triton's own client asks ``lightrec serve``, and Triton's own schema reads the model repository.

The client is fetched through pip into lightrec's cache and runs in a process of its own: it asks for older versions of
libraries than the rest has.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys

import pytest
from google.protobuf import text_format
from mini_bundle import write_bundle
from service_process import Server

from lightrec.files.download import cache_folder
from lightrec.serve.model_repository import package_for_triton

pytest.importorskip("fastapi", reason="needs the extra serve")
pytestmark = pytest.mark.slow
CLIENT = "tritonclient[http]==2.73.0"
ASK = """
import json, sys
import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

client = triton.InferenceServerClient(f"127.0.0.1:{sys.argv[1]}")
told = {"live": client.is_server_live()}
told["ready"] = [client.is_model_ready("bundle"), client.is_model_ready("bundle", "1")]
told["absent"] = client.is_model_ready("no-such-model")
told["extensions"] = client.get_server_metadata()["extensions"]
told["inputs"] = [tensor["name"] for tensor in client.get_model_metadata("bundle")["inputs"]]

def tensor(name, values, datatype, binary):
    values = np.array(values, dtype=object if datatype == "BYTES" else np.int64)
    given = triton.InferInput(name, values.shape, datatype)
    given.set_data_from_numpy(values, binary_data=binary)
    return given

told["answers"] = []
for binary in (True, False):
    inputs = [tensor("history", [["a", ""], ["c", "b"]], "BYTES", binary), tensor("k", [2], "INT64", binary)]
    outputs = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("items", "scores", "fallback")]
    for answer in (client.infer("bundle", inputs, outputs=outputs), client.async_infer("bundle", inputs).get_result()):
        items = answer.as_numpy("items")  # bytes in the binary form, else strings
        items = [item.decode() if isinstance(item, bytes) else item for item in items.ravel()]
        told["answers"].append([items, answer.as_numpy("scores").tolist(), answer.as_numpy("fallback").tolist()])
try:
    client.infer("bundle", [tensor("histories", [1], "INT64", True)])
except InferenceServerException as error:
    told["mistake"] = [error.status(), error.message()]
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def client():
    """The folder with tritonclient and what it needs."""
    kept = cache_folder() / CLIENT
    if not kept.is_dir():
        part = kept.with_name(f"{CLIENT}.part")
        shutil.rmtree(part, ignore_errors=True)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--only-binary=:all:", "--target", part, CLIENT]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"needs {CLIENT}: {done.stderr.strip().splitlines()[-1]}")
        part.rename(kept)
    return kept


def test_it_is_answered(client, tmp_path):
    server = Server(write_bundle(tmp_path / "bundle"), "--timeout", "10")
    command = [sys.executable, "-c", ASK, str(server.port)]
    environment = {**os.environ, "PYTHONPATH": str(client)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert server.stop() == 0 and done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["live"], told["ready"], told["absent"]) == (True, [True, True], False)
    assert told["extensions"] == ["binary_tensor_data"] and told["inputs"][0] == "history"
    assert told["answers"] == 4 * [[["b", "c", "d", "e,f"], [[9, 8], [4, 3]], [False, False]]]
    status, sentence = told["mistake"]
    assert status == "422" and sentence == "There is no input 'histories' of type INT64: see /v2/models."


def test_its_schema_reads_the_configuration(client, tmp_path):
    package_for_triton(write_bundle(tmp_path / "student"), tmp_path / "models")
    source = client / "tritonclient" / "grpc" / "model_config_pb2.py"
    spec = importlib.util.spec_from_file_location("model_config_pb2", source)
    schema = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(schema)
    text = (tmp_path / "models" / "student" / "config.pbtxt").read_text()
    config = text_format.Parse(text, schema.ModelConfig())
    assert (config.name, config.backend, config.max_batch_size) == ("student", "onnxruntime", 0)
    assert [(group.count, group.kind) for group in config.instance_group] == [(1, schema.ModelInstanceGroup.KIND_CPU)]
    assert {key: value.string_value for key, value in config.parameters.items()} == {
        "intra_op_thread_count": "1",
        "inter_op_thread_count": "1",
    }
