import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mini_bundle import IDS, NEXT_SCORES, POPULARITY, TITLES, pack, write_bundle

from lightrec import Recommender
from lightrec.errors import BundleIntegrityError, ConfigError, DataError
from lightrec.runtime import loaded_bundle
from lightrec.runtime import ranker as ranker_module

BACKENDS = ["onnxruntime", "openvino"]


@pytest.fixture(scope="module", params=BACKENDS)
def recommender(request, both_runtimes):
    return Recommender.load(both_runtimes, backend=request.param)


def ids(answer):
    return [item.id for item in answer]


def test_items_come_best_first_with_score_and_title(recommender):
    # Row "a" of the miniature student: b 9, c 8, d 7, "e,f" 6, "7" 5.
    answer = recommender.recommend(["a"], k=3)
    assert [(item.id, item.score, item.title) for item in answer] == [
        ("b", 9.0, "Brazil"),
        ("c", 8.0, "Casablanca"),
        ("d", 7.0, None),
    ]
    assert (answer.unknown, answer.fallback) == ((), False)


def test_the_last_known_item_decides_and_the_history_is_never_returned(recommender):
    # Row "b": c 5, d 4, "e,f" 3, "7" 2, a 1; a and b are seen.
    assert ids(recommender.recommend(["a", "b"])) == ["c", "d", "e,f", "7"]


def test_items_older_than_the_window_are_still_seen(recommender):
    assert recommender.manifest.max_length == 3
    # Row "e,f": 7 6, d 5, c 4, b 3, a 2; all but "7" are in the history of five.
    assert ids(recommender.recommend(["a", "b", "c", "d", "e,f"])) == ["7"]


def test_a_history_of_the_whole_catalogue_leaves_nothing(recommender):
    answer = recommender.recommend(recommender.item_ids)
    assert answer == []
    assert not answer.fallback


def test_unknown_items_are_skipped_and_reported_once(recommender):
    answer = recommender.recommend(["x", "a", "x", "y"], k=1, exclude=["z"])
    assert (ids(answer), answer.unknown) == (["b"], ("x", "y", "z"))


def test_ids_are_taken_as_strings(recommender):
    assert ids(recommender.recommend([7], k=1)) == ids(recommender.recommend(["7"], k=1)) == ["a"]
    assert ids(recommender.recommend(np.array([7]), k=1)) == ["a"]
    assert 7 in recommender and "x" not in recommender
    assert (recommender.title(7), recommender.title("d"), recommender.title("x")) == ("Seven", None, None)


@pytest.mark.parametrize("history", [[], ["x", "y"]])
def test_without_a_known_item_popularity_answers(recommender, history):
    # Popularity order: d a 7 b c "e,f".
    answer = recommender.recommend(history, k=3, exclude=["a"])
    assert ids(answer) == ["d", "7", "b"]
    assert [item.score for item in answer] == [None] * 3
    assert (answer.fallback, answer.unknown) == (True, tuple(history))
    assert ids(recommender.recommend(history, candidates=["c", "b"])) == ["b", "c"]


def test_only_candidates_come_back(recommender):
    answer = recommender.recommend(["a"], candidates=["7", "c", "a", "nowhere"])
    assert (ids(answer), answer.unknown) == (["c", "7"], ("nowhere",))
    assert ids(recommender.recommend(["a"], exclude=["c"], candidates=["7", "c"])) == ["7"]
    assert recommender.recommend(["a"], candidates=[]) == []
    assert recommender.recommend(["a"], candidates=["a", "nowhere"]) == []


def test_k_is_cut_to_what_remains(recommender):
    assert ids(recommender.recommend(["a"], k=1000)) == ["b", "c", "d", "e,f", "7"]
    assert len(recommender.recommend([], k=1000)) == 6


@pytest.mark.parametrize("k", [0, -1, 2.5, True, "3", None])
def test_a_senseless_k_is_refused(recommender, k):
    with pytest.raises(ConfigError, match="at least 1"):
        recommender.recommend(["a"], k=k)


def test_a_string_is_not_a_list_of_ids(recommender):
    for wrong in ({"history": "abc"}, {"history": ["a"], "exclude": "b"}, {"history": ["a"], "candidates": "b"}):
        with pytest.raises(DataError, match="give a list of item ids"):
            recommender.recommend(**wrong)


def test_a_batch_mixes_users_of_all_kinds(recommender):
    histories = [["a"], [], ["b", "c", "d", "e,f", "7"], ["x"], list(recommender.item_ids), ["7", "a"]]
    excludes = [["b"], ["d"], [], [], [], ["x"]]
    answers = recommender.recommend_batch(histories, k=4, exclude=excludes)
    alone = [recommender.recommend(h, 4, exclude=e) for h, e in zip(histories, excludes, strict=True)]
    assert answers == alone
    assert [a.unknown for a in answers] == [(), (), (), ("x",), (), ("x",)]
    assert [a.fallback for a in answers] == [False, True, False, True, False, False]
    assert ids(answers[2]) == ["a"]


def test_a_batch_is_cut_into_portions_without_a_trace(recommender, monkeypatch):
    histories = [[item] for item in recommender.item_ids] * 3
    whole = recommender.recommend_batch(histories, k=2)
    monkeypatch.setattr(ranker_module, "MAX_SCORES_PER_RUN", 2 * recommender.n_items)
    assert recommender.recommend_batch(histories, k=2) == whole


def test_several_threads_share_the_portions_of_a_batch(tmp_path, monkeypatch):
    bundle = write_bundle(tmp_path / "bundle")
    one, two = (Recommender.load(bundle, threads=threads) for threads in (1, 2))
    histories = [[item, *one.item_ids[:more]] for more in range(5) for item in one.item_ids]
    monkeypatch.setattr(ranker_module, "MAX_USERS_PER_RUN", 4)
    assert two.recommend_batch(histories, k=3) == one.recommend_batch(histories, k=3)
    # The model is loaded once more for this, when it is first needed: not where another lies by then.
    late = Recommender.load(bundle, threads=2)
    (bundle / "model.onnx").rename(bundle / "old.onnx")
    write_bundle(tmp_path / "other", scores=NEXT_SCORES[:, ::-1].copy())
    (tmp_path / "other" / "model.onnx").rename(bundle / "model.onnx")
    assert late.recommend_batch(histories, k=3) == one.recommend_batch(histories, k=3)
    assert late.recommend(histories[0], k=3) == one.recommend(histories[0], k=3)


def test_the_mapped_files_of_a_large_catalogue_outlive_their_folder(tmp_path):
    bundle = pack(write_bundle(tmp_path / "bundle"))
    recommender, untouched = Recommender.load(bundle), Recommender.load(write_bundle(tmp_path / "same"))
    shutil.rmtree(bundle)
    pack(write_bundle(bundle, NEXT_SCORES[:, ::-1].copy(), IDS[::-1], TITLES[::-1], POPULARITY[::-1]))
    for history in (["a", "c"], ["nobody"]):
        assert recommender.recommend(history, exclude=["d"]) == untouched.recommend(history, exclude=["d"])


def test_an_empty_batch_is_an_empty_list(recommender):
    assert recommender.recommend_batch([]) == []
    with pytest.raises(ConfigError, match="2 entries for 1 histories"):
        recommender.recommend_batch([["a"]], exclude=[[], []])


def test_candidates_of_a_batch_may_be_an_iterator(recommender):
    answers = recommender.recommend_batch([["a"], ["b"]], candidates=iter(["c", "d"]))
    assert [ids(answer) for answer in answers] == [["c", "d"], ["c", "d"]]


def test_top_k_ranks_by_index_for_evaluation(recommender):
    ranked = recommender.top_k([np.array([0]), np.array([], dtype=np.int64), np.arange(5, dtype=np.int32)], 4)
    assert ranked.dtype == np.int64
    assert ranked.tolist() == [[1, 2, 3, 4], [3, 0, 5, 1], [5, -1, -1, -1]]
    assert (recommender.n_items, recommender.k_limit) == (6, 6)
    with pytest.raises(ConfigError, match="always filters seen items"):
        recommender.top_k([np.array([0])], 1, filter_seen=False)


def test_many_threads_get_the_answers_of_one(recommender):
    histories = [[a, b] for a in recommender.item_ids for b in recommender.item_ids] * 3
    alone = [recommender.recommend(history, 3) for history in histories]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda history: recommender.recommend(history, 3), histories))
    assert together == alone


def test_small_files_are_always_checked_and_small_models_unless_it_is_switched_off(tmp_path, monkeypatch):
    bundle = write_bundle(tmp_path / "bundle")
    with (bundle / "model.onnx").open("ab") as file:
        file.write(b"\x72\x00")  # an empty metadata entry: another file, the same graph
    for verify in (None, True):
        with pytest.raises(BundleIntegrityError, match=r"model\.onnx differs"):
            Recommender.load(bundle, verify=verify)
    assert ids(Recommender.load(bundle, verify=False).recommend(["a"], k=1)) == ["b"]
    # Reading a large model takes longer than loading it: it is checked when that is asked for.
    monkeypatch.setattr(loaded_bundle, "MAX_BYTES_CHECKED", (bundle / "model.onnx").stat().st_size - 3)
    assert ids(Recommender.load(bundle).recommend(["a"], k=1)) == ["b"]
    with pytest.raises(BundleIntegrityError, match=r"model\.onnx differs"):
        Recommender.load(bundle, verify=True)
    (bundle / "popularity.npy").write_bytes(b"")
    with pytest.raises(BundleIntegrityError, match=r"popularity\.npy differs"):
        Recommender.load(bundle)


def test_a_bundle_without_titles_recommends(tmp_path):
    answer = Recommender.load(write_bundle(tmp_path / "bundle", titles=None)).recommend(["a"], k=1)
    assert (ids(answer), answer[0].title) == (["b"], None)


N = 12
CODES = [f"item {number}" for number in range(N)]
SCORES = np.random.default_rng(4).permutation(N * N).reshape(N, N).astype(np.float32)
ORDER = [int(index) for index in np.random.default_rng(5).permutation(N)]


@pytest.fixture(scope="module", params=BACKENDS)
def random_recommender(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("random") / "bundle"
    write_bundle(folder, SCORES, CODES, titles=None, popularity=ORDER, openvino=True)
    return Recommender.load(folder, backend=request.param)


some_ids = st.lists(st.sampled_from([*CODES, "nobody", ""]), max_size=8)


@settings(deadline=None, max_examples=80)
@given(history=some_ids, exclude=some_ids, candidates=st.none() | some_ids, k=st.integers(1, 15))
def test_any_request_equals_the_plain_computation(random_recommender, history, exclude, candidates, k):
    answer = random_recommender.recommend(history, k, exclude=exclude, candidates=candidates)

    known = [CODES.index(item) for item in history if item in CODES]
    order = np.argsort(-SCORES[known[-1]]) if known else ORDER
    allowed = [CODES[i] for i in order if CODES[i] not in history and CODES[i] not in exclude]
    expected = [item for item in allowed if candidates is None or item in candidates][:k]
    assert ids(answer) == expected
    assert answer.fallback == (not known)
    assert set(answer.unknown) == {*history, *exclude, *(candidates or [])} - set(CODES)
    if known:
        assert [item.score for item in answer] == [SCORES[known[-1], CODES.index(item)] for item in expected]
