"""The kiosk script and the notebook run as they are."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lightrec import Recommender

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(command, folder, words=None):
    done = subprocess.run(command, cwd=folder, input=words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_kiosk_answers_visitor_after_visitor(bundles, tmp_path):
    bundle = bundles["int8"]
    typed = "amélie\nPART 1 of\nno such thing\n\nbrazil\n"
    said = run([sys.executable, EXAMPLES / "kiosk.py", bundle], tmp_path, typed)
    recommender = Recommender.load(bundle)

    def shown(history):
        answer = recommender.recommend(history, k=5)
        return [f"  {place}. {item.title or item.id}" for place, item in enumerate(answer, start=1)]

    expected = ["60 titles. What do you like?"]
    expected += ["", "After Amélie:", *shown(["i5"])]
    expected += ["", "After Part 1 of the saga:", *shown(["i5", "i11"])]
    expected += ["There is nothing called 'no such thing' here.", "", "Welcome! What do you like?"]
    expected += ["", "After Brazil:", *shown(["i1"])]
    assert said.splitlines() == expected


def notebook():
    return json.loads((EXAMPLES / "notebook.ipynb").read_text(encoding="utf-8"))


def test_the_notebook_is_well_formed_and_holds_no_output():
    found = notebook()
    assert (found["nbformat"], found["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in found["cells"]]
    assert len(set(ids)) == len(ids) and set("".join(ids)) <= set("abcdefghijklmnopqrstuvwxyz-")
    for cell in found["cells"]:
        assert set(cell) == {"cell_type", "id", "metadata", "source"} | (
            {"outputs", "execution_count"} if cell["cell_type"] == "code" else set()
        )
        assert not cell.get("outputs")


@pytest.mark.slow
def test_the_cells_of_the_notebook_run_in_order(bundles, tmp_path):
    (tmp_path / "bundle").symlink_to(bundles["fp32"])
    cells = ["".join(cell["source"]) for cell in notebook()["cells"] if cell["cell_type"] == "code"]
    said = run([sys.executable, "-c", "\n".join(cells)], tmp_path)
    assert "60 items; the model reads the last 8 of a history" in said
    assert "unknown: no such item" in said and "onnxruntime fp32: 16 cases passed" in said
    assert " 10 items, " in said
