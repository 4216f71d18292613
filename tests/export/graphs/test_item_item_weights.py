"""Students whose items vote for neighbours: every graph of their bundles adds the same votes, and keeps them as items
come and go."""

import numpy as np
import onnx
import openvino
import pytest
import torch
from onnx.numpy_helper import to_array

from lightrec import Recommender
from lightrec.bundle import read_manifest
from lightrec.export.edit.add_items import add_items
from lightrec.export.edit.remove_items import remove_items
from lightrec.export.graphs.builder import NEIGHBOURS, VOTES
from lightrec.export.pipeline import export_bundle
from lightrec.verify.verify_bundle import verify_bundle

HISTORY = [3, 7, 1, 3, 12]


@pytest.fixture(scope="module")
def bundle(voting_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("bundles") / "voting"
    export_bundle(voting_run, out, formats=("onnx", "openvino"), precision="fp32")
    return out


@pytest.fixture(scope="module")
def expected(voting_sasrec):
    """The score of every item after :data:`HISTORY`: what the layers say, and the votes added one by one."""
    with torch.no_grad():
        state = voting_sasrec.last_state(torch.tensor([HISTORY]), torch.tensor([len(HISTORY)]))
        scores = voting_sasrec.logits(state)[0].double().numpy()
    voters = voting_sasrec.neighbours
    for age, item in enumerate(reversed(HISTORY)):
        for neighbour, votes in zip(voters.items[item].tolist(), voters.votes[item].tolist(), strict=True):
            scores[neighbour] += votes * float(voters.by_age[age])
    return scores


def scores_of(answer, recommender):
    return {recommender.item_ids.index(item.id): item.score for item in answer}


def require_close(found, expected, left):
    assert sorted(found) == sorted(left)
    np.testing.assert_allclose([found[item] for item in left], expected[left], atol=1e-4)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_each_runtime_adds_the_votes(bundle, expected, backend):
    recommender = Recommender.load(bundle, backend)
    history = [recommender.item_ids[item] for item in HISTORY]
    left = np.setdiff1d(np.arange(len(expected)), HISTORY)
    require_close(scores_of(recommender.recommend(history, len(expected)), recommender), expected, left)
    # Beside a longer one, a history is padded: what stands there has no vote.
    batch = recommender.recommend_batch([history[:2], history], k=len(expected))
    require_close(scores_of(batch[1], recommender), expected, left)
    alone = recommender.recommend(history[:2], len(expected))
    np.testing.assert_allclose([item.score for item in batch[0]], [item.score for item in alone], atol=1e-4)


def test_sessions_and_candidates_add_them_too(bundle, expected):
    recommender = Recommender.load(bundle)
    history = [recommender.item_ids[item] for item in HISTORY]
    session = recommender.session(history[:2])
    session.recommend(1)
    session.extend(history[2:])
    left = np.setdiff1d(np.arange(len(expected)), HISTORY)
    require_close(scores_of(session.recommend(len(expected)), recommender), expected, left)
    some = left[::5]
    candidates = [recommender.item_ids[item] for item in some]
    for asked in (
        recommender.recommend(history, 30, candidates=candidates),
        session.recommend(30, candidates=candidates),
    ):
        require_close(scores_of(asked, recommender), expected, some)


def test_new_items_vote_for_nobody(bundle, expected, tmp_path):
    vectors = np.zeros((2, 16), dtype=np.float32)
    add_items(bundle, tmp_path / "grown", ["new-a", "new-b"], vectors, ["A", "B"], {"vectors": "by hand"})
    assert verify_bundle(tmp_path / "grown").passed
    for backend in ("onnxruntime", "openvino"):
        recommender = Recommender.load(tmp_path / "grown", backend)
        history = [recommender.item_ids[item] for item in HISTORY]
        left = np.setdiff1d(np.arange(len(expected)), HISTORY)
        everything = scores_of(recommender.recommend(history, len(expected) + 2), recommender)
        require_close(everything, np.append(expected, [0, 0]), np.append(left, [len(expected), len(expected) + 1]))
        assert scores_of(recommender.recommend([*history, "new-a"], 99), recommender)
    some = [recommender.item_ids[left[0]], "new-b"]
    assert Recommender.load(tmp_path / "grown").recommend(history, 2, candidates=some)


def test_who_is_removed_gets_no_votes_any_more(bundle, expected, tmp_path):
    before = Recommender.load(bundle)
    gone = [0, 2, 9, 29]
    remove_items(bundle, tmp_path / "shrunk", [before.item_ids[item] for item in gone])
    assert verify_bundle(tmp_path / "shrunk").passed
    left = np.setdiff1d(np.arange(len(expected)), [*HISTORY, *gone])
    for backend in ("onnxruntime", "openvino"):
        recommender = Recommender.load(tmp_path / "shrunk", backend)
        answer = recommender.recommend([before.item_ids[item] for item in HISTORY], 99)
        require_close({before.item_ids.index(item.id): item.score for item in answer}, expected, left)


def test_small_precisions_keep_the_votes_as_they_are(voting_run, voting_sasrec, tmp_path):
    """Two bytes of an item's index and one of its votes, whatever the precision of the rest."""
    export_bundle(voting_run, tmp_path / "int8", formats=("onnx",), precision="int8", max_ndcg_drop=1)
    stored = {tensor.name: to_array(tensor) for tensor in onnx.load(tmp_path / "int8" / "model.onnx").graph.initializer}
    assert (stored[NEIGHBOURS].dtype, stored[VOTES].dtype) == (np.uint16, np.uint8)
    np.testing.assert_array_equal(stored[NEIGHBOURS], voting_sasrec.neighbours.items[:-1].numpy())
    np.testing.assert_array_equal(stored[VOTES], voting_sasrec.neighbours.votes[:-1].numpy())
    assert verify_bundle(tmp_path / "int8").passed
    assert read_manifest(tmp_path / "int8").models[0].parts.keys() == {"step", "score", "candidates"}


def test_openvino_stores_them_likewise(bundle):
    constants = {op.get_friendly_name(): op for op in openvino.Core().read_model(bundle / "model.xml").get_ops()}
    assert [constants[name].get_element_type().to_dtype() for name in (NEIGHBOURS, VOTES)] == [np.uint16, np.uint8]
