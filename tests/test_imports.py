"""The import rules: the contracts of import-linter in pyproject.toml hold, and no modules form a circle."""

import graphlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("importlinter", reason="needs import-linter: pip install import-linter")

ROOT = Path(__file__).parents[1]
MAPPED = ("export", "benchmarks", "cli")

EDGES = """
import grimp, json
graph = grimp.build_graph("lightrec", exclude_type_checking_imports=True, cache_dir=None)
print(json.dumps({module: sorted(graph.find_modules_directly_imported_by(module)) for module in graph.modules}))
"""

KNOWN_CIRCLES = {("lightrec.cli.recipes.run_steps", "lightrec.cli.app")}
"""Imports that still close a circle: importer and imported."""


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    """The environment of a process that finds all of lightrec in one folder, as the wheel has it."""
    folder = tmp_path_factory.mktemp("sources")
    only_python = shutil.ignore_patterns("__pycache__", "*.js", "*.mjs", "*.html", "*.toml", "*.jsonl")
    shutil.copytree(ROOT / "lightrec", folder / "lightrec", ignore=only_python)
    for name in MAPPED:
        shutil.copytree(ROOT / name, folder / "lightrec" / name, ignore=only_python)
    return os.environ | {"PYTHONPATH": str(folder), "PYTHONUTF8": "1"}


def test_the_contracts_hold(environment):
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    # Run in that folder, because import-linter looks in the working folder first.
    command = [sys.executable, "-P", "-c", code, str(ROOT / "pyproject.toml"), "--no-cache"]
    done = subprocess.run(
        command, env=environment, cwd=environment["PYTHONPATH"], capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_modules_import_each_other_in_a_circle(environment):
    command = [sys.executable, "-P", "-c", EDGES]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    imported = {
        importer: [module for module in modules if (importer, module) not in KNOWN_CIRCLES]
        for importer, modules in json.loads(done.stdout).items()
    }
    assert len(imported) > 300  # all of the package was found
    graphlib.TopologicalSorter(imported).prepare()  # raises CycleError, which names the circle
