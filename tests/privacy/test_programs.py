"""Programs that use lightrec, and its examples, in a new home without a network."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from mini_bundle import write_bundle
from watched import watch

pytestmark = pytest.mark.slow
EXAMPLES = Path(__file__).parents[2] / "examples"

RECOMMEND = """
from lightrec import Recommender
for backend in ("onnxruntime", "openvino"):
    recommender = Recommender.load("bundle", backend=backend)
    assert len(recommender.recommend(["i3"], k=5)) == 5
    session = recommender.session()
    session.add("i3")
    assert len(session.recommend(k=5)) == 5
"""
CHILD = """
import subprocess, sys
import lightrec
subprocess.run([sys.executable, "-c", "import onnxruntime"], check=True)
"""
SSH = """#!/bin/sh
# Runs the last word as the shell of another machine would: in another home, with none of the variables from here.
for word; do command=$word; done
exec env -i PATH="$PATH" HOME="{home}" sh -c "$command"
"""


@pytest.fixture
def folder(tmp_path):
    """A working folder that holds a bundle of twenty items."""
    scores = np.random.default_rng(0).random((20, 20), dtype=np.float32)
    ids, titles = [f"i{item}" for item in range(20)], [f"Part {item} of the saga" for item in range(20)]
    write_bundle(tmp_path / "work/bundle", scores, ids, titles, range(20), openvino=True)
    return tmp_path / "work"


@pytest.mark.parametrize("script", [RECOMMEND, f"import openvino_telemetry\n{CHILD}", CHILD])
def test_a_program_writes_nothing_and_reaches_nobody(script, folder, tmp_path):
    found = watch([sys.executable, "-c", script], tmp_path / "home", folder)
    assert found.code == 0, found.said
    assert (found.foreign, found.reached) == (set(), set())


def test_an_explicit_wish_for_reports_is_overruled(folder, tmp_path):
    found = watch([sys.executable, "-c", RECOMMEND], tmp_path / "home", folder, ORT_DISABLE_TELEMETRY="0")
    assert (found.code, found.foreign, found.reached) == (0, set(), set())


def test_a_program_that_imports_onnx_runtime_first_is_silent_with_the_variable(folder, tmp_path):
    script = f"import onnxruntime\n{RECOMMEND}"
    found = watch([sys.executable, "-c", script], tmp_path / "home", folder, ORT_DISABLE_TELEMETRY="1")
    assert (found.code, found.foreign, found.reached) == (0, set(), set())


def test_without_it_lightrec_adds_nothing_to_what_that_import_wrote(folder, tmp_path):
    """What docs/privacy.md says cannot be undone: the id and the database that the program's own import made."""
    count = "silenced = []\nonnxruntime.disable_telemetry_events = lambda: silenced.append(1)"
    first = watch([sys.executable, "-c", "import onnxruntime"], tmp_path / "first", folder)
    script = f"import onnxruntime\n{count}\n{RECOMMEND}\nassert len(silenced) >= 2, silenced"
    second = watch([sys.executable, "-c", script], tmp_path / "second", folder)
    assert second.code == 0, second.said
    assert second.foreign == first.foreign != set()


def test_the_kiosk(folder, tmp_path):
    found = watch([sys.executable, EXAMPLES / "kiosk.py", "bundle"], tmp_path / "home", folder, "part 3\n")
    assert "After Part 3 of the saga" in found.said
    assert (found.code, found.foreign, found.reached) == (0, set(), set())


def test_the_notebook(folder, tmp_path):
    cells = json.loads((EXAMPLES / "notebook.ipynb").read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    found = watch([sys.executable, "-c", code], tmp_path / "home", folder)
    assert found.code == 0, found.said
    assert (found.foreign, found.reached) == (set(), set())


def test_bench_on_another_machine(folder, tmp_path):
    """By an ssh that runs its words here, in a home of its own."""
    there = tmp_path / "there"
    for name in ("bin", "there"):
        (tmp_path / name).mkdir()
    (tmp_path / "bin/ssh").write_text(SSH.format(home=there))
    (tmp_path / "bin/ssh").chmod(0o755)
    words = ["bench", "bundle", "--host", "board", "--host-python", sys.executable, "--json"]
    words += ["--scenario", "single-stream", "--cases", "3", "--seconds", "0.05"]
    path = os.pathsep.join([str(tmp_path / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    found = watch([sys.executable, "-m", "lightrec", *words], tmp_path / "home", folder, PATH=path)
    assert found.code == 0, found.said
    assert (found.foreign, found.reached) == (set(), set())
    assert list(there.rglob("*")) == []
