"""Items leave a bundle: those that stay are scored as before, in every runtime and precision."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from mini_bundle import IDS, pack, write_bundle
from typer.testing import CliRunner

from lightrec import Recommender
from lightrec.bundle import (
    events_by_rank,
    read_catalogue,
    read_golden,
    read_manifest,
    retitle_bundle,
    write_manifest,
)
from lightrec.cli.app import app
from lightrec.errors import BundleError, ConfigError, DataError, LightrecError, ParityError
from lightrec.export.edit import remove_items as remove_items_module
from lightrec.export.edit.add_items import add_items
from lightrec.export.edit.remove_items import remove_items
from lightrec.export.pipeline import export_bundle
from lightrec.verify.verify_bundle import verify_bundle

GONE = [0, 7, 8, 29]


BOTH, ONNX = ("onnx", "openvino"), ("onnx",)
SLOW = [("fp32", BOTH), ("fp16", BOTH), ("int8", BOTH), ("int4", ONNX), ("int8-static", BOTH)]


@pytest.fixture(scope="module")
def bundle(sasrec_run, tmp_path_factory):
    """In 8 bits, for one runtime: quickly made and quickly changed."""
    out = tmp_path_factory.mktemp("bundles") / "int8"
    export_bundle(sasrec_run, out, formats=ONNX, precision="int8", max_ndcg_drop=1)
    return out


@pytest.fixture(scope="module", params=[None, *(pytest.param(case, marks=pytest.mark.slow) for case in SLOW)])
def old(request, bundle, sasrec_run, tmp_path_factory):
    if request.param is None:
        return bundle
    precision, formats = request.param
    out = tmp_path_factory.mktemp("bundles") / precision
    export_bundle(sasrec_run, out, formats=formats, precision=precision, max_ndcg_drop=1)
    return out


@pytest.fixture(scope="module")
def shrunk(old, tmp_path_factory):
    out = tmp_path_factory.mktemp("shrunk") / "bundle"
    remove_items(old, out, [Recommender.load(old).item_ids[place] for place in GONE])
    return out


def test_what_stays_is_scored_as_before(old, shrunk):
    for model in read_manifest(old).models:
        before = Recommender.load(old, model.backend)
        after = Recommender.load(shrunk, model.backend)
        removed = [before.item_ids[place] for place in GONE]
        history = [after.item_ids[place] for place in (3, 20, 11)]
        expected = before.recommend(history, k=99, exclude=removed)
        answer = after.recommend(history, k=99)
        assert len(answer) == before.n_items - len(GONE) - len(history)
        theirs = {item.id: (item.score, item.title) for item in expected}
        for item in answer:
            assert item.title == theirs[item.id][1]
            assert item.score == pytest.approx(theirs[item.id][0], abs=1e-4)
        assert after.recommend([*removed, *history], k=3).unknown == tuple(removed)
        assert [item.id for item in after.recommend([], k=5)] == [
            item.id for item in before.recommend([], k=5, exclude=removed)
        ]


def test_the_smaller_bundle_is_whole(old, shrunk):
    before, after = read_manifest(old), read_manifest(shrunk)
    report = verify_bundle(shrunk)
    assert report.passed and {check.status for check in report.models} == {"passed"}
    assert (after.n_items, after.removals[0]["items"]) == (before.n_items - 4, 4)
    assert after.k_limit == min(before.k_limit, after.n_items)
    catalogue = read_catalogue(shrunk, after, thorough=True)
    assert len(catalogue.titles) == after.n_items
    assert (shrunk / "model.onnx").stat().st_size < (old / "model.onnx").stat().st_size
    assert all(item < after.n_items for case in read_golden(shrunk)[0] for item in case.history)


def test_a_session_goes_on_in_the_smaller_bundle(bundle, tmp_path):
    before = Recommender.load(bundle)
    ids = list(before.item_ids)
    remove_items(bundle, tmp_path / "new", ids[:2])
    after = Recommender.load(tmp_path / "new")
    session = before.session([ids[9], ids[1], ids[4]])
    session.recommend(1)
    moved = after.session(state=session.export())
    assert moved.recommend(4) == after.recommend([ids[9], ids[1], ids[4]], 4)
    assert moved.incremental


def test_what_was_added_can_be_removed_in_place(bundle, tmp_path):
    width = read_manifest(bundle).hidden_size
    add_items(bundle, tmp_path / "bundle", ["new"], np.ones((1, width)), ["New"])
    remove_items(tmp_path / "bundle", tmp_path / "bundle", ["new"])
    before, after = Recommender.load(bundle), Recommender.load(tmp_path / "bundle")
    assert list(after.item_ids) == list(before.item_ids)
    assert after.recommend(before.item_ids[:2], 9) == before.recommend(before.item_ids[:2], 9)


def test_the_popularity_is_that_of_the_items_that_stay(bundle, tmp_path):
    told = {"1": 16, "2": 24, "4": 36, "8": 48}  # in order of popularity 16 8 6 6 3 3 3 3, and no event for the rest
    old = shutil.copytree(bundle, tmp_path / "old")
    write_manifest(old, dataclasses.replace(read_manifest(old), item_events=told))
    catalogue = read_catalogue(old, read_manifest(old))
    first, third, fifth, last = (catalogue.item_ids[catalogue.popularity[rank]] for rank in (0, 2, 4, 29))
    removed = remove_items(old, tmp_path / "fewer", [first, third, fifth, last])
    # 8 6 3 3 3 stay: together 8, 14, 17, 20, 23.
    assert removed.item_events == {"1": 8, "2": 14, "4": 20, "5": 23}
    added = add_items(tmp_path / "fewer", tmp_path / "more", ["new"], np.ones((1, removed.hidden_size)), ["New"])
    assert added.item_events == removed.item_events  # nobody has chosen the new one yet
    assert events_by_rank(added).tolist() == [8, 6, 3, 3, 3, *[0] * 22]
    assert retitle_bundle(old, tmp_path / "retitled", {first: "Old"}).item_events == told
    without = write_manifest(old, dataclasses.replace(read_manifest(old), item_events=None))
    assert without.item_events is None
    assert remove_items(old, tmp_path / "older", [first]).item_events is None


def test_items_are_removed_from_a_packed_catalogue(bundle, tmp_path):
    packed = pack(shutil.copytree(bundle, tmp_path / "packed"))
    known = list(Recommender.load(packed).item_ids)
    remove_items(packed, tmp_path / "new", known[1:3])
    assert list(Recommender.load(tmp_path / "new").item_ids) == [known[0], *known[3:]]


def test_what_cannot_be_removed_is_refused(bundle, tmp_path):
    ids, out = list(Recommender.load(bundle).item_ids), tmp_path / "out"
    for items, sentence in [
        (["x", ids[0], "y"], r"holds no item 'x' \(2 such\)"),
        ([], "No item"),
        (ids[1:], "1 would stay"),
    ]:
        with pytest.raises(DataError, match=sentence):
            remove_items(bundle, out, items)
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(ConfigError, match="is not a bundle"):
        remove_items(bundle, tmp_path, ids[:1])
    with pytest.raises(BundleError, match="no item table that can change"):
        remove_items(write_bundle(tmp_path / "miniature"), out, IDS[:1])
    ort = shutil.copytree(bundle, tmp_path / "ort")
    (ort / "model.onnx").rename(ort / "model.ort")
    manifest = json.loads((ort / "manifest.json").read_text().replace("model.onnx", "model.ort"))
    (ort / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="own format, which cannot change"):
        remove_items(ort, out, ids[:1])
    assert not out.exists()


def test_a_bundle_that_answers_otherwise_is_not_written(bundle, tmp_path, monkeypatch):
    """The gate sees a table whose rows were mixed up."""
    shrink = remove_items_module.shrink_onnx
    monkeypatch.setattr(remove_items_module, "shrink_onnx", lambda graph, kept, n: shrink(graph, np.roll(kept, 1), n))
    with pytest.raises(ParityError, match="nothing was written"):
        remove_items(bundle, tmp_path / "out", [Recommender.load(bundle).item_ids[0]])
    assert list(tmp_path.iterdir()) == []


def items(*words):
    done = CliRunner().invoke(app, ["items", *map(str, words), "--json"])
    if isinstance(done.exception, LightrecError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_the_command_removes_items(bundle, tmp_path):
    ids = list(Recommender.load(bundle).item_ids)
    (tmp_path / "gone.txt").write_text(f"{ids[5]}\n\n{ids[1]}\n")
    words = (f"{ids[0]},{ids[1]}", "--file", tmp_path / "gone.txt", "--out", tmp_path / "out")
    assert items("remove", bundle, *words) == {
        "path": str(tmp_path / "out"),
        "removed": 3,
        "items": len(ids) - 3,
    }
    with pytest.raises(DataError, match="given to --file"):
        items("remove", bundle, "--file", tmp_path / "none", "--out", tmp_path / "out")


@pytest.mark.parametrize("packed", [False, True])
def test_titles_change_alone(tmp_path, packed):
    bundle = write_bundle(tmp_path / "bundle")
    bundle = pack(bundle) if packed else bundle
    (tmp_path / "titles.csv").write_text("item_id,title\nd,Dune\na,\n")
    assert items("retitle", bundle, tmp_path / "titles.csv", "--out", bundle)["retitled"] == 2
    recommender = Recommender.load(bundle, verify=True)
    titles = {item: recommender.title(item) for item in IDS}
    assert titles == {"a": None, "b": "Brazil", "c": "Casablanca", "d": "Dune", "e,f": "Emma, Frances", "7": "Seven"}
    assert verify_bundle(bundle).passed


def test_titles_of_unknown_items_and_foreign_folders_are_refused(tmp_path):
    bundle = write_bundle(tmp_path / "bundle", titles=None)
    with pytest.raises(DataError, match="holds no item 'x'"):
        retitle_bundle(bundle, tmp_path / "out", {"x": "X", "a": "A"})
    with pytest.raises(BundleError, match="is not a bundle"):
        retitle_bundle(bundle, tmp_path, {"a": "A"})
    retitle_bundle(bundle, tmp_path / "out", {"a": "A"})
    assert Recommender.load(tmp_path / "out").recommend(["b"], candidates=["a"])[0].title == "A"
