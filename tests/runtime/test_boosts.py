"""Boosts and blocked items: what comes is what ranking the whole score vector anew would give."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mini_bundle import IDS, write_bundle

from lightrec import Recommender
from lightrec.errors import DataError

ITEMS = [f"i{number}" for number in range(12)]
SCORES = np.random.default_rng(3).normal(size=(12, 12)).astype(np.float32)


@pytest.fixture(scope="module", params=["onnxruntime", pytest.param("openvino", marks=pytest.mark.slow)])
def recommender(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("boosts") / "bundle"
    write_bundle(folder, SCORES, ITEMS, popularity=range(12), titles=None, openvino=request.param == "openvino")
    return Recommender.load(folder, backend=request.param)


def ids(answer):
    return [item.id for item in answer]


def by_hand(history, k, exclude, candidates, boost):
    """All scores of the last item's row, boosted, ranked; of equal scores the lower index first."""
    scores = SCORES[ITEMS.index(history[-1])].astype(np.float64)
    for item, amount in boost.items():
        scores[ITEMS.index(item)] += amount
    left = [
        place
        for place, item in enumerate(ITEMS)
        if item not in {*history, *exclude} and (candidates is None or item in candidates)
    ]
    return [(ITEMS[place], scores[place]) for place in sorted(left, key=lambda place: (-scores[place], place))[:k]]


some = st.lists(st.sampled_from(ITEMS), max_size=6)
amounts = st.floats(-6, 6, width=32)


@settings(deadline=None, max_examples=25)
@given(
    history=st.lists(st.sampled_from(ITEMS), min_size=1, max_size=5),
    k=st.integers(1, 14),
    exclude=some,
    candidates=st.none() | some,
    boost=st.dictionaries(st.sampled_from(ITEMS), amounts, max_size=12),
)
def test_boosts_equal_ranking_all_scores_anew(recommender, history, k, exclude, candidates, boost):
    expected = by_hand(history, k, exclude, candidates, boost)
    answer = recommender.recommend(history, k, exclude, candidates, boost)
    assert [(item.id, item.score) for item in answer] == expected
    several = recommender.recommend_batch([history, [], history], k, [exclude, [], exclude], candidates, boost)
    assert several[0] == several[2] == answer and several[1].fallback
    assert recommender.session(history).recommend(k, exclude, candidates, boost) == answer


@pytest.fixture
def own(tmp_path):
    return Recommender.load(write_bundle(tmp_path / "bundle"))


def test_a_boost_lifts_an_item_from_far_below(own):
    # Row "a" of the miniature student: b 9, c 8, d 7, "e,f" 6, "7" 5.
    answer = own.recommend(["a"], k=2, boost={7: 3.5, "c": -2, "x": 1})
    assert [(item.id, item.score) for item in answer] == [("b", 9), ("7", 8.5)]
    assert answer.unknown == ("x",)
    assert own.recommend(["a"], k=2, boost={"x": 9}) == own.recommend(["a"], k=2, boost={}) == own.recommend(["a"], k=2)


def test_popularity_is_not_boosted(own):
    assert ids(own.recommend([], k=2, boost={"7": 99})) == ids(own.recommend([], k=2)) == ["d", "a"]


@pytest.mark.parametrize(
    ("boost", "sentence"),
    [
        ({"a": float("nan")}, "The boost of item 'a' is nan: give a finite number"),
        ({"a": "much"}, "The boost of item 'a' is 'much'"),
        (["a"], r"boost is \['a'\]: give a mapping"),
    ],
)
def test_what_is_no_boost_is_refused(own, boost, sentence):
    with pytest.raises(DataError, match=sentence):
        own.recommend(["a"], boost=boost)


def test_blocked_items_are_never_returned_but_still_read(own):
    assert own.block(["b", "nobody", "b"], skip_unknown=True) == ("nobody",)
    assert own.blocked == ["b"]
    # Row "b": c 5, d 4, "e,f" 3, "7" 2, a 1.
    assert ids(own.recommend(["a"], k=2)) == ["c", "d"]
    assert ids(own.recommend(["b"], k=2)) == ["c", "d"]
    assert ids(own.recommend(["a"], candidates=["b", "7"])) == ["7"]
    assert ids(own.recommend(["a"], k=2, boost={"b": 99})) == ["c", "d"]
    assert ids(own.session(["a"]).recommend(1)) == ["c"]
    assert [ids(answer) for answer in own.recommend_batch([["a"], []], k=1, exclude=[["c"], ["d"]])] == [["d"], ["a"]]
    assert own.top_k([np.array([0])], 1).tolist() == [[1]]
    own.block([])
    assert ids(own.recommend(["a"], k=1)) == ["b"]


def test_items_are_blocked_while_loading(tmp_path):
    recommender = Recommender.load(write_bundle(tmp_path / "bundle"), block=IDS[1:])
    assert recommender.recommend(["a"]) == [] and sorted(recommender.blocked) == sorted(IDS[1:])


def test_an_unknown_id_in_block_is_refused_so_that_a_typo_is_not_recommended(tmp_path):
    bundle = write_bundle(tmp_path / "bundle", ids=["alien", "brazil", "casablanca", "d", "e,f", "7"])
    with pytest.raises(DataError, match=r"block holds 'braziil' and 1 more, .*did you mean 'brazil'\?"):
        Recommender.load(bundle, block=["alien", "braziil", "x"])
    recommender = Recommender.load(bundle, block=["brazil"])
    with pytest.raises(DataError, match="block holds 'x', which the bundle does not know: correct it"):
        recommender.block(["alien", "x"])
    assert recommender.blocked == ["brazil"]  # as before
