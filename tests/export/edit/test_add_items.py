"""A bundle with new items: old answers unchanged, new items recommended, in every runtime and precision."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from mini_bundle import pack
from mini_language_model import save_bert
from typer.testing import CliRunner

from lightrec.bundle import TEXT_PROJECTION, deployed_bytes, read_catalogue, read_golden, read_manifest
from lightrec.cli.app import app
from lightrec.errors import BundleError, ConfigError, DataError, LightrecError
from lightrec.export.edit.add_items import add_items
from lightrec.export.pipeline import export_bundle
from lightrec.models.students.text_projection import TextProjection
from lightrec.models.teachers.language_model import load_language_model
from lightrec.runtime.backends.registry import open_backend
from lightrec.runtime.recommender import Recommender
from lightrec.training.items.text_vectors import encode_texts, fingerprint
from lightrec.verify.verify_bundle import verify_bundle

NEW = ["new-a", "new-b", "new-c"]


@pytest.fixture(scope="module")
def table(sasrec) -> np.ndarray:
    return sasrec.item_table.detach().numpy()


EXPORTED_ANEW = [pytest.param(precision, marks=pytest.mark.slow) for precision in ("fp16", "int8")]


@pytest.fixture(scope="module", params=["fp32", *EXPORTED_ANEW])
def old(request, sasrec_run, sasrec_bundle, tmp_path_factory) -> Path:
    """The student in one precision for both runtimes."""
    if request.param == "fp32":
        return sasrec_bundle
    out = tmp_path_factory.mktemp("bundles") / request.param
    export_bundle(sasrec_run, out, formats=("onnx", "openvino"), precision=request.param, max_ndcg_drop=1)
    return out


@pytest.fixture(scope="module")
def grown(old, table, tmp_path_factory) -> Path:
    """With three items: a copy of item 0 one and a half times as long, the mean item, and zeros."""
    vectors = np.stack([1.5 * table[0], table.mean(axis=0), np.zeros_like(table[0])])
    out = tmp_path_factory.mktemp("grown") / "bundle"
    add_items(old, out, NEW, vectors, ["A", None, "C"], {"vectors": "by hand"})
    return out


def ask(path: Path, backend: str, exclude: list[int]) -> dict[int, float]:
    """The score of every item that is left after the history 3, 7, 1."""
    manifest = read_manifest(path)
    graph = open_backend(path, manifest, backend)
    inputs = ([[3, 7, 1, 0]], [3], [exclude or [-1]], [manifest.n_items + 9])
    items, scores = graph.run(*(np.array(value, dtype=np.int64) for value in inputs))
    return dict(zip(items[0].tolist(), scores[0].tolist(), strict=True))


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_old_items_score_as_before_and_a_new_one_as_its_vector_says(old, grown, backend):
    before, after = ask(old, backend, []), ask(grown, backend, [])
    n_items = read_manifest(old).n_items
    assert sorted(after) == sorted([*before, n_items, n_items + 1, n_items + 2])
    scale = max(abs(score) for score in before.values())
    for item, score in before.items():
        assert after[item] == pytest.approx(score, abs=1e-5 * scale)
    coarse = {"fp32": 1e-5, "fp16": 1e-2, "int8": 2e-2}[read_manifest(old).models[0].precision] * scale
    assert after[n_items] == pytest.approx(1.5 * before[0], abs=coarse)
    # Codes of zero are 128: what they sum to is taken off again, and rounds.
    assert after[n_items + 2] == pytest.approx(0, abs=1e-4 * scale)


def test_items_are_added_in_four_bits(sasrec_run, table, tmp_path):
    export_bundle(sasrec_run, tmp_path / "old", precision="int4", max_ndcg_drop=1)
    n_items = read_manifest(tmp_path / "old").n_items
    add_items(tmp_path / "old", tmp_path / "new", NEW[:1], table[:1], ["A"], {"vectors": "by hand"})
    before, after = ask(tmp_path / "old", "onnxruntime", []), ask(tmp_path / "new", "onnxruntime", [])
    assert {item: after[item] for item in before} == pytest.approx(before, abs=1e-5)
    # The same vector as item 0, quantized in the same way.
    assert after[n_items] == pytest.approx(before[0], abs=1e-5)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_new_item_in_the_history_is_read_and_not_returned(old, grown, backend):
    n_items = read_manifest(old).n_items
    graph = open_backend(grown, read_manifest(grown), backend)
    history = np.array([[n_items + 2, 5]])
    items, scores = graph.run(history, np.array([2]), np.array([[-1]]), np.array([99]))
    assert n_items + 2 not in items and 5 not in items and n_items in items
    # Padding behind the history changes nothing: the padding row is still the last.
    padded = np.array([[n_items + 2, 5, 0, 0]])
    again, same = graph.run(padded, np.array([2]), np.array([[-1]]), np.array([99]))
    assert again.tolist() == items.tolist()
    np.testing.assert_allclose(same, scores, atol=1e-4)


def test_the_grown_bundle_is_whole(old, grown):
    before, after = read_manifest(old), read_manifest(grown)
    report = verify_bundle(grown)
    assert report.passed and {check.status for check in report.models} == {"passed"}
    assert after.n_items == before.n_items + 3
    assert after.additions[0]["items"] == 3 and after.additions[0]["vectors"] == "by hand"
    gate = after.additions[0]["gate"]
    assert gate["cases"] == 2 * len(read_golden(old)[0]) and 0 <= gate["max_score_difference"] <= read_golden(old)[1]
    assert (after.training, after.gate) == (before.training, before.gate)
    catalogue = read_catalogue(grown, after)
    assert catalogue.item_ids[-3:] == NEW and catalogue.titles[-3:] == ["A", None, "C"]
    assert catalogue.popularity[-3:].tolist() == [before.n_items, before.n_items + 1, before.n_items + 2]
    cases, _ = read_golden(grown)
    assert any(item >= before.n_items for case in cases for item in case.history)
    assert (grown / "model.onnx").stat().st_size > (old / "model.onnx").stat().st_size


def test_a_new_item_can_be_recommended(grown, table):
    recommender = Recommender.load(grown)
    found = [r.id for r in recommender.recommend([recommender.item_ids[3]], k=recommender.n_items)]
    assert set(NEW) <= set(found)


def test_items_can_be_added_again(grown, table, tmp_path):
    manifest = add_items(grown, tmp_path / "more", ["newer"], table[:1])
    assert [addition["items"] for addition in manifest.additions] == [3, 1]
    assert read_catalogue(tmp_path / "more", manifest).titles[-1] is None


def test_items_can_be_added_to_a_packed_catalogue(sasrec_bundle, table, tmp_path):
    packed = pack(shutil.copytree(sasrec_bundle, tmp_path / "packed"))
    known = Recommender.load(packed).item_ids
    with pytest.raises(DataError, match="in the bundle already"):
        add_items(packed, tmp_path / "more", [known[2]], table[:1])
    add_items(packed, tmp_path / "more", ["newer"], table[:1])
    assert list(Recommender.load(tmp_path / "more").item_ids) == [*known, "newer"]


@pytest.mark.parametrize(
    ("ids", "rows", "message"),
    [
        (["x", "x"], np.zeros((2, 32)), r"'x' \(new item 2\) is among the new items twice"),
        (["x"], np.zeros((2, 32)), r"shape \(2, 32\) for 1 new items"),
        (["x"], np.zeros(32), r"shape \(32,\)"),
        (["x"], np.full((1, 32), np.nan), r"item 'x' \(row 1\) holds NaN"),
        (["x"], np.zeros((1, 31)), "31 wide, not 32"),
        ([], np.zeros((0, 32)), "no new items"),
    ],
)
def test_what_does_not_fit_is_refused(sasrec_bundle, tmp_path, ids, rows, message):
    with pytest.raises(DataError, match=message):
        add_items(sasrec_bundle, tmp_path / "out", ids, rows)
    assert not (tmp_path / "out").exists()


def test_known_ids_and_foreign_folders_are_refused(sasrec_bundle, tmp_path):
    known = Recommender.load(sasrec_bundle).item_ids[2]
    with pytest.raises(DataError, match="in the bundle already"):
        add_items(sasrec_bundle, tmp_path / "out", ["x", known], np.zeros((2, 32)))
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not a bundle"):
        add_items(sasrec_bundle, tmp_path, ["x"], np.zeros((1, 32)))
    with pytest.raises(BundleError):
        add_items(tmp_path, tmp_path / "out", ["x"], np.zeros((1, 32)))


@pytest.fixture(scope="module")
def projected(sasrec_run, table, tmp_path_factory) -> tuple[Path, TextProjection]:
    """A bundle with a projection, and that projection."""
    folder = tmp_path_factory.mktemp("projected")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTREC_CACHE", str(folder / "cache"))
        base = load_language_model(str(save_bert(folder / "bert")))
        rng = np.random.default_rng(0)
        weight = rng.normal(size=(table.shape[1], 32)).astype(np.float32)
        projection = TextProjection(weight, table[4], base.name, fingerprint(base), {"items": 9})
        projection.save(sasrec_run / TEXT_PROJECTION)
        export_bundle(sasrec_run, folder / "bundle", precision="int8", max_ndcg_drop=1)
        (sasrec_run / TEXT_PROJECTION).unlink()
        yield folder / "bundle", projection


def items_add(*words: object) -> dict:
    done = CliRunner().invoke(app, ["items", "add", *map(str, words), "--json"])
    if isinstance(done.exception, LightrecError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_the_command_adds_items_from_their_texts(projected, tmp_path):
    bundle, projection = projected
    manifest = read_manifest(bundle)
    assert manifest.text_projection["fingerprint"] == projection.fingerprint
    assert manifest.text_projection["language_model"] == "bert"
    assert deployed_bytes(bundle) < sum(file.stat().st_size for file in bundle.iterdir())
    file = tmp_path / "new.csv"
    file.write_text("item_id,title,year\n007,item 7 12,1999\nn2,item 3,\n")
    found = items_add(bundle, file, "--base", projection.language_model, "--out", tmp_path / "out")
    assert (found["added"], found["items"]) == (2, manifest.n_items + 2)
    base = load_language_model(projection.language_model)
    vectors = projection.project(encode_texts(base, ["item 7 12, 1999", "item 3"]))
    expected = tmp_path / "by-hand"
    add_items(bundle, expected, ["007", "n2"], vectors, ["item 7 12", "item 3"])
    assert (tmp_path / "out" / "model.onnx").read_bytes() == (expected / "model.onnx").read_bytes()
    assert (tmp_path / "out" / TEXT_PROJECTION).is_file()
    assert Recommender.load(tmp_path / "out").item_ids[-2:] == ["007", "n2"]


def test_the_command_adds_items_from_vectors(sasrec_bundle, tmp_path):
    (tmp_path / "new.csv").write_text("item_id,title\na,\nb,B\n")
    np.save(tmp_path / "v.npy", np.ones((2, 32)))
    words = (sasrec_bundle, tmp_path / "new.csv", "--out", tmp_path / "out", "--vectors")
    assert items_add(*words, tmp_path / "v.npy")["added"] == 2
    with pytest.raises(DataError, match="no NumPy file"):
        items_add(*words, tmp_path / "new.csv")


def test_the_command_refuses_what_it_cannot_place(projected, sasrec_bundle, tmp_path):
    bundle, _ = projected
    file, out = tmp_path / "new.csv", ("--out", tmp_path / "out")
    file.write_text("item_id,title\na,item 1\nb,\n")
    with pytest.raises(LightrecError, match="holds no text projection"):
        items_add(sasrec_bundle, file, *out)
    with pytest.raises(DataError, match=r"Item 'b' of .* has no title \(1 such\)"):
        items_add(bundle, file, *out)
    file.write_text("item_id,title\na,item 1\na,item 2\n")
    with pytest.raises(DataError, match="names 1 items twice"):
        items_add(bundle, file, *out)
    file.write_text("item_id,title\na,item 1\n")
    other = save_bert(tmp_path / "other")
    with pytest.raises(LightrecError, match="are not those that the text projection was fitted to"):
        items_add(bundle, file, *out, "--base", other)
    assert not (tmp_path / "out").exists()
