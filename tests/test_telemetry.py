"""OpenVINO and nncf report no use of lightrec to anybody."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXPORT = """
import sys
from pathlib import Path
import onnx
from lightrec.export.to_openvino import to_openvino

value = lambda name: onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 4])
weights = onnx.numpy_helper.from_array(__import__("numpy").ones((4, 4), "float32"), "w")
node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
graph = onnx.helper.make_graph([node], "g", [value("x")], [value("y")], [weights])
to_openvino(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)]), "int8", Path(sys.argv[1]))
"""

LOAD = """
import sys
from lightrec.runtime.doctor import diagnose
diagnose()
assert "openvino" in sys.modules
"""


@pytest.mark.parametrize("script", [EXPORT, LOAD])
def test_nothing_that_could_report_is_loaded(script: str, tmp_path: Path) -> None:
    """A home without a declared refusal, and none of the variables by which a CI service is known."""
    home = tmp_path / "home"
    home.mkdir()
    script += "\nreporters = [name for name, module in sys.modules.items() if 'openvino_telemetry' in name and module]"
    script += "\nassert not reporters, reporters"
    environment = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env={**environment, "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not (home / "intel").exists(), "a folder where consent is kept was made"
