"""Items come to and leave a bundle whose table lies in a file of its own."""

import numpy as np
import onnx
import pytest

from lightrec.errors import BundleError, DataError
from lightrec.export import random_bundle as random_bundle_module
from lightrec.export.edit.add_items import add_items
from lightrec.export.edit.remove_items import remove_items
from lightrec.export.edit.resize_table import detach_table, grow_table, shrink_table
from lightrec.export.graphs.large_catalogue import attach_table
from lightrec.export.random_bundle import made_up, random_bundle
from lightrec.export.writers.large_table import BLOCK, read_codes, turn, write_table
from lightrec.models.students.sasrec import SasrecConfig
from lightrec.runtime.recommender import Recommender
from lightrec.verify.verify_bundle import verify_bundle

N, D = 300, 16
FILES = ("model.onnx", "items.bin")
HISTORY = ["12", "200", "7"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    out = tmp_path_factory.mktemp("large") / "bundle"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(random_bundle_module, "LARGE", N)
        config = SasrecConfig(n_items=N, hidden_size=D, num_layers=1, num_heads=2, max_length=8)
        assert random_bundle(made_up(N), config, "int8", out).models[0].files == FILES
    return out


@pytest.fixture(scope="module")
def grown(bundle, tmp_path_factory):
    """With two items: a copy of item 17, as it is stored, and zeros."""
    _, layout = detach_table(bundle / FILES[0])
    stored = read_codes(bundle / FILES[1], layout)(17, 18) * layout.scale @ turn(D).T
    out = tmp_path_factory.mktemp("grown") / "bundle"
    add_items(bundle, out, ["copy", "nothing"], np.concatenate([stored, np.zeros((1, D))]), ["A", None])
    return out


def scores(bundle, exclude=()):
    return {r.id: r.score for r in Recommender.load(bundle).recommend(HISTORY, k=N + 9, exclude=exclude)}


def test_old_items_keep_their_scores_and_new_ones_have_those_of_their_vectors(bundle, grown):
    before, after = scores(bundle), scores(grown)
    assert len(before) == N - 3 and set(after) == {*before, "copy", "nothing"}
    assert {item: after[item] for item in before} == pytest.approx(before, abs=1e-5)
    assert after["copy"] == after["17"] and after["nothing"] == 0
    order = list(after)
    assert order.index("copy") == order.index("17") + 1
    assert verify_bundle(grown).passed


def test_a_new_item_is_read_in_a_history(grown):
    recommender = Recommender.load(grown)
    copy, original = (recommender.recommend([item, "5"], k=5, exclude=["copy", "17"]) for item in ("copy", "17"))
    assert [r.id for r in copy] == [r.id for r in original]


def test_items_that_stay_keep_their_scores(bundle, grown, tmp_path):
    gone = ["0", "64", "65", "299", "nothing"]
    remove_items(grown, tmp_path / "fewer", gone)
    before, after = scores(grown, exclude=gone), scores(tmp_path / "fewer")
    assert set(before) == set(after) and not set(gone) & set(after)
    assert after == pytest.approx(before, abs=1e-5)


def test_a_vector_beyond_the_scale_is_refused(bundle, tmp_path):
    with pytest.raises(DataError, match="new item 2 is longer than the table's scale allows"):
        add_items(bundle, tmp_path / "out", ["a", "b"], np.stack([np.zeros(D), np.full(D, 1e3)]))
    assert not (tmp_path / "out").exists()


def test_a_table_of_an_earlier_layout_is_refused(bundle, tmp_path):
    graph = onnx.load(bundle / FILES[0], load_external_data=False)
    kept = [tensor for tensor in graph.graph.initializer if tensor.name != "table.blocks"]
    del graph.graph.initializer[:]
    graph.graph.initializer.extend(kept)
    (tmp_path / FILES[0]).write_bytes(graph.SerializeToString())
    with pytest.raises(BundleError, match="laid out by an earlier lightrec: export its run again"):
        shrink_table(tmp_path, tmp_path, FILES, np.arange(3))


def test_codes_stay_as_they_are_across_blocks(bundle, tmp_path):
    """Three blocks become two, and two three: what lies where changes, what is stored does not."""
    rng = np.random.default_rng(0)
    n_items = 2 * BLOCK + 100
    rows = rng.normal(size=(n_items, D)).astype(np.float32)
    encoder, _ = detach_table(bundle / FILES[0])
    layout = write_table(tmp_path / FILES[1], lambda start, stop: rows[start:stop], n_items, D)
    codes = read_codes(tmp_path / FILES[1], layout)(0, n_items)
    (tmp_path / FILES[0]).write_bytes(attach_table(encoder, layout).SerializeToString())
    for folder in ("fewer", "more"):
        (tmp_path / folder).mkdir()
    kept = np.setdiff1d(np.arange(n_items), rng.integers(0, n_items, 500))
    shrink_table(tmp_path, tmp_path / "fewer", FILES, kept)
    _, small = detach_table(tmp_path / "fewer" / FILES[0])
    assert (layout.n_blocks, small.n_blocks, small.n_items) == (3, 2, len(kept))
    np.testing.assert_array_equal(read_codes(tmp_path / "fewer" / FILES[1], small)(0, len(kept)), codes[kept])
    grow_table(tmp_path / "fewer", tmp_path / "more", FILES, rows[:1000])
    _, large = detach_table(tmp_path / "more" / FILES[0])
    assert (large.n_blocks, large.n_items) == (3, len(kept) + 1000)
    assert large.scale == pytest.approx(layout.scale)
    again = read_codes(tmp_path / "more" / FILES[1], large)(0, large.n_items)
    np.testing.assert_array_equal(again, np.concatenate([codes[kept], codes[:1000]]))
