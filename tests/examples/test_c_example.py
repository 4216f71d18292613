"""examples/c/recommend.c, compiled against the C library of ONNX Runtime, answers as Python does."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from debian_packages import unpack
from mini_bundle import TITLES, write_bundle

from lightrec import Recommender
from lightrec.bundle import read_golden, read_manifest, write_manifest
from lightrec.files.download import cache_folder
from lightrec.verify.compare import compare

pytestmark = pytest.mark.slow
SOURCE = Path(__file__).parents[2] / "examples" / "c" / "recommend.c"
FLAGS = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]


def include_folder():
    """The folder of onnxruntime_c_api.h: installed, or out of Debian's package (of 1.21, which later libraries run)."""
    places = [Path("/usr/include/onnxruntime"), cache_folder() / "onnxruntime-dev/usr/include/onnxruntime"]
    if not any((place / "onnxruntime_c_api.h").is_file() for place in places):
        unpack(["libonnxruntime-dev"], cache_folder() / "onnxruntime-dev", "trixie")
    return next(place for place in places if (place / "onnxruntime_c_api.h").is_file())


@pytest.fixture(scope="module")
def recommend(tmp_path_factory):
    """A function that runs the compiled program; it returns its exit code, its rows and what it says besides."""
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("c")
    libraries = list((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"))
    if not libraries:
        pytest.skip("this onnxruntime brings no shared library to link with")
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (folder / name).symlink_to(libraries[0])
    command = ["cc", *FLAGS, "-isystem", include_folder(), SOURCE, "-o", folder / "recommend"]
    command += ["-L", folder, "-lonnxruntime", "-lz", f"-Wl,-rpath,{folder}"]
    compiled = subprocess.run(command, capture_output=True, text=True, check=False)
    if "zlib.h: No such file" in compiled.stderr:
        pytest.skip("needs the header of zlib: apt-get install zlib1g-dev")
    assert compiled.returncode == 0, compiled.stderr

    def run(*arguments):
        words = [folder / "recommend", *map(str, arguments)]
        done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
        return done.returncode, [line.split("\t") for line in done.stdout.split("\n")[:-1]], done.stderr

    return run


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_golden_cases(recommend, bundles, precision):
    bundle = bundles[precision]
    ids = Recommender.load(bundle).item_ids
    cases, tolerance = read_golden(bundle)
    assert len(cases) >= 10 and any(case.exclude for case in cases)
    for case in cases:
        excluded = [word for item in case.exclude for word in ("-x", ids[item])]
        code, rows, said = recommend("-k", case.k, *excluded, bundle, *(ids[item] for item in case.history))
        items, scores = [ids.index(row[0]) for row in rows], [float(row[-1]) for row in rows]
        assert (code, said) == (0, "")
        assert compare(case, np.array(items), np.array(scores), tolerance) is None


def test_long_histories_unknown_ids_and_titles_are_those_of_python(recommend, bundles):
    bundle = bundles["fp32"]
    recommender = Recommender.load(bundle)
    history = ["i40", *(f"i{number}" for number in range(20, 36)), "nobody", 'q"uote', "Ünïcode"]  # longer than 8
    code, rows, said = recommend("-k", 60, "-x", "i3", bundle, *history)
    expected = recommender.recommend(history, k=60, exclude=["i3"])
    assert (code, said) == (0, "Not in the catalogue: nobody\n")
    assert len(rows) == len(expected) == 60 - 20
    assert {row[0]: "\t".join(row[1:-1]) for row in rows} == {item.id: item.title or "" for item in expected}
    assert [float(row[-1]) for row in rows] == pytest.approx([item.score for item in expected], abs=1e-4)


def test_without_a_known_item_it_answers_by_popularity(recommend, bundles):
    code, rows, said = recommend("-k", 3, "-x", "i7", bundles["fp32"])
    expected = Recommender.load(bundles["fp32"]).recommend([], k=3, exclude=["i7"])
    assert (code, said) == (0, "No item of the history is known: these are the most popular ones.\n")
    assert rows == [[item.id, item.title or "", ""] for item in expected]


@pytest.mark.parametrize("ascii_only", [True, False])
def test_every_form_of_json_string_is_read(recommend, tmp_path, ascii_only):
    ids = ['a"b', "back\\slash/", "\b\f", "é", "😀", "7"]
    bundle = write_bundle(tmp_path / "bundle", ids=ids)
    (bundle / "items.json.gz").write_text(json.dumps(ids, ensure_ascii=ascii_only, indent=1))  # not compressed: as good
    write_manifest(bundle, read_manifest(bundle))
    code, rows, said = recommend("-k", 5, bundle, "😀")
    assert (code, said) == (0, "")
    assert [row[0] for row in rows] == ["7", "é", "\b\f", "back\\slash/", 'a"b']
    assert [row[1] for row in rows] == [TITLES[place] or "" for place in (5, 3, 2, 1, 0)]


def test_each_mistake_is_one_sentence(recommend, bundles, tmp_path):
    newer = shutil.copytree(bundles["fp32"], tmp_path / "newer")
    told = re.sub(r'("format_version": )"2\.\d+"', r'\1"9.0"', (newer / "manifest.json").read_text())
    (newer / "manifest.json").write_text(told)
    damaged = shutil.copytree(bundles["fp32"], tmp_path / "damaged")
    (damaged / "items.json.gz").write_text('["one", "two')
    mistakes = {
        (tmp_path, "i1"): f"Error: {tmp_path}/manifest.json is missing: is this a bundle's folder?\n",
        (newer, "i1"): f"Error: {newer} has format version 9.0: this program reads version 2.\n",
        (damaged, "i1"): "Error: The bundle's JSON is damaged where '\"' is expected: copy the bundle again.\n",
        ("-k", "0", newer): "Error: -k must be a whole number of at least 1.\n",
        (): "Error: Usage: recommend [-k COUNT] [-x ID]... BUNDLE ID...\n",
    }
    for words, sentence in mistakes.items():
        assert recommend(*words) == (2, [], sentence)


def test_nothing_is_written_to_the_home(recommend, bundles, tmp_path, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    code, rows, said = recommend(bundles["fp32"], "i0")
    assert (code, said) == (0, "") and rows
    assert list(tmp_path.iterdir()) == []
