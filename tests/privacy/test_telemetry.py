"""The reports of the libraries that lightrec loads are off, whoever imported them first."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from lightrec.telemetry import AUDITED, SWITCHES, silence_onnxruntime

ROOT = Path(__file__).parents[2]
SOURCES = [
    path for name in ("lightrec", "export", "benchmarks", "cli", "examples") for path in (ROOT / name).rglob("*.py")
]

OPENVINO_FIRST = """
import openvino, nncf
from openvino_telemetry.utils.sender import TelemetrySender
sent = []
TelemetrySender.send = lambda *message: sent.append(message)
"""

NOTHING_SENT = """
assert not sent, sent
"""

CONVERT = """
import sys
from pathlib import Path
import numpy, onnx
from lightrec.export.writers.to_openvino import to_openvino

value = lambda name: onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 4])
weights = onnx.numpy_helper.from_array(numpy.ones((4, 4), "float32"), "w")
node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
graph = onnx.helper.make_graph([node], "g", [value("x")], [value("y")], [weights])
to_openvino(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)]), "int8", Path(sys.argv[1]))
"""

DIAGNOSE = """
import sys
from lightrec.machine.doctor import diagnose
diagnose()
assert "openvino" in sys.modules
"""

NOT_LOADED = """
import sys
reporters = [name for name, module in sys.modules.items() if "openvino_telemetry" in name and module]
assert not reporters, reporters
"""


def run(script: str, *arguments: object, home: Path, **variables: str) -> str:
    """Run ``script`` in a home of its own, without the variables by which a CI service is known."""
    home.mkdir(exist_ok=True)
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        env={**kept, "HOME": str(home), **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("script", [CONVERT, DIAGNOSE])
def test_openvino_and_nncf_report_nothing(script, tmp_path):
    run(script + NOT_LOADED, tmp_path, home=tmp_path / "home")
    assert list((tmp_path / "home").rglob("*")) == [], "a record of consent or use was written"


def test_an_openvino_that_was_imported_first_reports_no_further_event(tmp_path):
    run(OPENVINO_FIRST + CONVERT + NOTHING_SENT, tmp_path, home=tmp_path / "home")


def test_onnx_runtime_writes_nothing_when_lightrec_is_imported_first(tmp_path):
    home = tmp_path / "home"
    run("import lightrec, onnxruntime", home=home, ORT_DISABLE_TELEMETRY="0", XDG_CACHE_HOME=str(home / "cache"))
    assert list(home.rglob("*")) == []


def test_the_variables_replace_other_values_and_reach_child_processes(tmp_path):
    script = "import lightrec, subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]], check=True)"
    show = f"import os; print(*(os.environ[name] for name in {list(SWITCHES)}))"
    said = run(script, show, home=tmp_path / "home", **dict.fromkeys(SWITCHES, "0"))
    assert said.split() == list(SWITCHES.values())


def test_an_onnx_runtime_that_was_imported_first_reports_no_further_event(monkeypatch):
    calls = []
    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace(disable_telemetry_events=lambda: calls.append(1)))
    silence_onnxruntime()
    assert calls == [1]


@pytest.mark.parametrize("order", ["import lightrec, huggingface_hub", "import huggingface_hub.constants, lightrec"])
def test_requests_to_the_hub_say_nothing_of_the_machine(order, tmp_path):
    script = f"{order}\nfrom huggingface_hub.utils import build_hf_headers as headers\nprint(headers()['user-agent'])"
    said = run(script, home=tmp_path / "home", AI_AGENT="someone")
    assert said.startswith("unknown/None; hf_hub/") and "torch" not in said and "agent" not in said


def imported(path: Path) -> set[str]:
    """The libraries that a file imports, those of type checkers too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    libraries = {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"lightrec"}
    # The workers of peers import one another by their own folder.
    return {name for name in libraries if not (path.parent / f"{name}.py").is_file()}


def required() -> set[str]:
    """The libraries that lightrec and its users' extras install, by the names that they are imported by."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [needs for extra, needs in project["optional-dependencies"].items() if extra not in ("dev", "docs")]
    needed = {re.split(r"[><=;\[]", need)[0] for needs in [project["dependencies"], *extras] for need in needs}
    return {name.strip().replace("-", "_") for name in needed} - {"lightrec"}


def test_every_library_is_audited():
    known = {library for path in SOURCES for library in imported(path)} | required()
    assert known - set(AUDITED) == set(), "say in AUDITED and docs/privacy.md what each sends and what stops it"
    assert set(AUDITED) - known == set(), "no longer used"


def test_the_page_names_every_library_and_variable():
    page = (ROOT / "docs/privacy.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w.]+)", page))
    assert {*AUDITED, *SWITCHES} - named == set()


def test_a_new_import_is_seen(tmp_path):
    source = tmp_path / "new.py"
    source.write_text("import os\ndef f():\n    from reporting.client import send\n    import lightrec.bundle\n")
    assert imported(source) == {"reporting"}


def test_each_import_of_onnx_runtime_is_silenced():
    texts = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in SOURCES}
    loading = {name: text for name, text in texts.items() if re.search(r"^ *import onnxruntime", text, re.MULTILINE)}
    silent = {name for name, text in loading.items() if re.search(r"silence_onnxruntime\(\)|disable_telemetry", text)}
    assert "lightrec/runtime/backends/onnxruntime_backend.py" in loading
    assert set(loading) - silent == set()
