"""The base installation is enough to recommend, verify and look at the machine."""

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from mini_bundle import write_bundle

ROOT = Path(__file__).parents[2]
ABSENT = ["torch", "transformers", "polars", "openvino", "optimum", "onnx"]

USE_IT = """
import json, sys
blocked = json.loads(sys.argv[2])
for name in blocked:
    sys.modules[name] = None  # importing it is now an ImportError
from lightrec import Recommender
from lightrec.machine.doctor import diagnose
from lightrec.verify.verify_bundle import verify_bundle
answer = Recommender.load(sys.argv[1], verify=True).recommend(["a"], k=2)
assert [item.id for item in answer] == ["b", "c"], answer
verify_bundle(sys.argv[1]).require()
assert diagnose().problems == []
print(json.dumps(sorted(name for name in blocked if sys.modules.get(name))))
"""


def test_the_runtime_imports_nothing_but_the_base(tmp_path):
    bundle = write_bundle(tmp_path / "bundle")
    command = [sys.executable, "-c", USE_IT, str(bundle), json.dumps([*ABSENT, "rich", "typer"])]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


@pytest.mark.slow
def test_the_base_installation_recommends_in_its_own_environment(tmp_path):
    """Builds the wheel and installs it with its dependencies: needs the package index."""
    bundle = write_bundle(tmp_path / "bundle")
    python = _base_environment(tmp_path)
    lightrec = python.with_name("lightrec")

    code = f"import importlib.util as u; print([n for n in {ABSENT} if u.find_spec(n)])"
    assert _run(tmp_path, python, "-c", code) == "[]\n"
    answer = json.loads(_run(tmp_path, lightrec, "recommend", bundle, "--history", "a", "-k", "1", "--json"))
    assert [item["id"] for item in answer["recommendations"]] == ["b"]
    assert json.loads(_run(tmp_path, lightrec, "verify", bundle, "--json"))["passed"]
    diagnosis = json.loads(_run(tmp_path, lightrec, "doctor", "--json"))
    assert (diagnosis["packages"]["torch"], diagnosis["extras"]["openvino"]) == (None, ["openvino"])
    assert "Commands" in _run(tmp_path, lightrec, "--help")


def _base_environment(folder: Path) -> Path:
    """The python of a new virtual environment that holds the wheel of this checkout and its dependencies."""
    checkout = folder / "checkout"
    wanted = [name for name in ("lightrec", "export", "benchmarks", "cli") if (ROOT / name).is_dir()]
    for name in wanted:
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, checkout)
    _run(folder, sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, checkout)
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    _run(folder, python, "-m", "pip", "install", "--quiet", next(folder.glob("lightrec-*.whl")))
    return python


def _run(folder: Path, *command: object) -> str:
    done = subprocess.run([str(part) for part in command], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
