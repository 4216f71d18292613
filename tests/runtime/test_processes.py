"""Recommenders in other processes: pickled, copied, and used after a fork."""

import copy
import os
import pickle
import shutil
import signal

import pytest
from mini_bundle import NEXT_SCORES, write_bundle

from lightrec import Recommender, RecommenderSlot
from lightrec.errors import BundleError

OPTIONS = [{"threads": 1}, {"threads": 2}, {"backend": "openvino"}]
PATIENCE = 60
"""Seconds after which a forked process counts as hanging."""


def ids(answer):
    return [item.id for item in answer]


def succeeds_in_a_fork(work):
    """Whether ``work`` returns true in a forked process; one that hangs is killed by the alarm."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(PATIENCE)
            code = 0 if work() else 2
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@needs_fork
@pytest.mark.parametrize("options", OPTIONS)
def test_a_recommender_goes_on_in_a_process_forked_after_its_threads_started(both_runtimes, options):
    recommender = Recommender.load(both_runtimes, block=["d"], cache=False, **options)
    expected, session = recommender.recommend(["a"], 3), recommender.session(["a"])
    many = recommender.recommend_batch([["a"]] * 100, 3)

    def work():
        alike = recommender.recommend(["a"], 3) == session.recommend(3) == expected
        return alike and recommender.recommend_batch([["a"]] * 100, 3) == many

    assert ids(expected) == ["b", "c", "e,f"]
    assert succeeds_in_a_fork(work) and succeeds_in_a_fork(work)
    assert recommender.recommend(["a"], 3) == expected


@needs_fork
def test_a_fork_whose_bundle_is_gone_is_told_so(tmp_path):
    recommender = Recommender.load(write_bundle(tmp_path / "bundle"), threads=2)
    shutil.rmtree(tmp_path / "bundle")

    def work():
        with pytest.raises(BundleError, match="holds no bundle here"):
            recommender.recommend(["a"])
        return True

    assert ids(recommender.recommend(["a"], 1)) == ["b"]
    assert succeeds_in_a_fork(work)


@pytest.mark.parametrize("options", OPTIONS)
def test_pickling_loads_the_same_model_from_the_path(both_runtimes, options, monkeypatch):
    monkeypatch.chdir(both_runtimes.parent)
    recommender = Recommender.load(both_runtimes.name, cache=False, **options)
    recommender.block(["b"])
    monkeypatch.chdir("/")
    stored = pickle.dumps(recommender)
    assert len(stored) < 1000
    again = pickle.loads(stored)
    assert again.backend.record == recommender.backend.record and again.blocked == ["b"]
    assert again.recommend(["a"], 3) == recommender.recommend(["a"], 3)


def test_a_session_and_a_slot_pickle_as_well(both_runtimes):
    session = Recommender.load(both_runtimes).session(["a", "x"])
    assert pickle.loads(pickle.dumps(session)).recommend(2) == session.recommend(2)
    slot = RecommenderSlot(both_runtimes, block=["b"])
    assert ids(pickle.loads(pickle.dumps(slot)).current.recommend(["a"], 1)) == ["c"]


def test_what_was_pickled_says_if_its_bundle_is_gone_or_another(tmp_path):
    stored = pickle.dumps(Recommender.load(write_bundle(tmp_path / "bundle")))
    shutil.rmtree(tmp_path / "bundle")
    with pytest.raises(BundleError, match="bundle holds no bundle here"):
        pickle.loads(stored)
    write_bundle(tmp_path / "bundle", NEXT_SCORES[:, ::-1].copy())
    with pytest.raises(BundleError, match="holds another bundle"):
        pickle.loads(stored)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_shares_the_model_and_blocks_items_of_its_own(tmp_path, copied):
    recommender = Recommender.load(write_bundle(tmp_path / "bundle"), block=["b"])
    shutil.rmtree(tmp_path / "bundle")
    other = copied(recommender)
    other.block(["c"])
    assert (ids(other.recommend(["a"], 1)), ids(recommender.recommend(["a"], 1))) == (["b"], ["c"])
    assert other.backend is recommender.backend


def test_a_slot_keeps_a_block_list_that_was_an_iterator(both_runtimes):
    slot = RecommenderSlot(both_runtimes, block=iter(["b"]))
    slot.swap(both_runtimes)
    assert slot.current.blocked == ["b"]
