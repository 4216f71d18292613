"""A writer was killed while its old output was moved aside: whoever reads or writes the output next finds it again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from mini_bundle import write_bundle

from lightrec import Recommender
from lightrec.bundle import retitle_bundle
from lightrec.data.dataset import Dataset
from lightrec.errors import BundleError
from lightrec.models.load import read_run
from lightrec.web.package import RUNTIME_FILES, package_for_web


def move_aside(path: Path) -> None:
    path.rename(path.with_name(f".{path.name}.lightrec-0123abcd.old"))


def test_a_data_set_is_found_again(tiny_dataset, tmp_path):
    move_aside(Path(shutil.copytree(tiny_dataset.path, tmp_path / "data")))
    assert Dataset.open(tmp_path / "data").checksum == tiny_dataset.checksum
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_run_is_found_again(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text(json.dumps({"kind": "student"}))
    move_aside(tmp_path / "run")
    assert read_run(tmp_path / "run")["kind"] == "student"


@pytest.fixture
def bundle(tmp_path) -> Path:
    write_bundle(tmp_path / "bundle")
    return tmp_path / "bundle"


def test_a_bundle_is_found_again(bundle):
    move_aside(bundle)
    assert Recommender.load(bundle).recommend(["a"], 1)[0].id == "b"


def test_a_bundle_that_is_being_replaced_by_itself_is_found_again(bundle):
    move_aside(bundle)
    retitle_bundle(bundle, bundle, {"a": "Another"})
    assert Recommender.load(bundle).title("a") == "Another"


def test_a_web_package_keeps_the_users_own_page(bundle, tmp_path):
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    for name in RUNTIME_FILES:
        (runtime / name).write_text("runtime")
    package_for_web(bundle, tmp_path / "web", onnxruntime_web=runtime)
    (tmp_path / "web" / "own.html").write_text("mine")
    move_aside(tmp_path / "web")
    package_for_web(bundle, tmp_path / "web", onnxruntime_web=runtime)
    assert (tmp_path / "web" / "own.html").read_text() == "mine"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_nothing_is_found_where_nothing_was(tmp_path):
    with pytest.raises(BundleError, match="is not a bundle"):
        Recommender.load(tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []
