"""What a caller may give: item ids, lists of them, k and boosts; everything else is one sentence."""

import enum
import uuid
from decimal import Decimal

import numpy as np
import pytest
from mini_bundle import write_bundle

from lightrec import Recommender
from lightrec.errors import ConfigError, DataError

KEY = uuid.UUID("12345678-1234-5678-1234-567812345678")
ITEMS = [str(number) for number in range(300)]


class Colour(str, enum.Enum):  # noqa: UP042 — its str() is not its value
    RED = "7"


class Number(enum.IntEnum):
    SEVEN = 7


class Unspeakable:
    def __repr__(self):
        raise RuntimeError("no")


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    return Recommender.load(write_bundle(tmp_path_factory.mktemp("requests") / "bundle"))


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """300 items; after any item the next best is always the lowest index left."""
    scores = np.tile(np.arange(300, 0, -1, dtype=np.float32), (300, 1))
    folder = tmp_path_factory.mktemp("many") / "bundle"
    return Recommender.load(write_bundle(folder, scores, ITEMS, None, popularity=range(300)))


def ids(answer):
    return [item.id for item in answer]


@pytest.mark.parametrize("item", ["7", 7, np.int8(7), np.uint64(7), np.str_("7"), Colour.RED, Number.SEVEN])
def test_text_and_whole_numbers_are_ids(own, item):
    assert ids(own.recommend([item], k=1)) == ["a"] and item in own and own.title(item) == "Seven"
    assert ids(own.recommend(["a"], k=9, exclude=[item])) == ["b", "c", "d", "e,f"]


def test_uuids_and_arrays_are_read_as_well(own, tmp_path):
    folder = write_bundle(tmp_path / "bundle", ids=[str(KEY), "b", "c", "d", "e", "f"])
    assert ids(Recommender.load(folder).recommend([KEY], k=1)) == ["b"]
    for history in (np.array([7]), np.array(["7"]), (item for item in ["7"]), {"7": 1}.keys(), ("7",)):
        assert ids(own.recommend(history, k=1)) == ["a"]


WRONG_ITEMS = [7.0, np.float32(7), float("nan"), None, True, np.bool_(True), b"7", bytearray(b"7"), ["7"], ("7",)]
WRONG_ITEMS += [np.array([7]), np.datetime64("2026-01-01"), Decimal(7), 10**5000, object(), Unspeakable(), 7j]


@pytest.mark.parametrize("item", WRONG_ITEMS, ids=lambda item: type(item).__name__)
def test_what_is_no_id_is_refused_wherever_it_stands(own, item):
    for request in (
        {"history": [item]},
        {"history": ["a"], "exclude": [item]},
        {"history": ["a"], "candidates": ["b", item]},
        {"history": ["a"], "boost": {item if item.__hash__ else 7.0: 1}},
    ):
        with pytest.raises(DataError, match="which is no item id") as error:
            own.recommend(**request)
        assert "\n" not in str(error.value) and len(str(error.value)) < 500
    with pytest.raises(DataError, match="block holds"):
        own.block([item])
    with pytest.raises(DataError, match="no item id"):
        own.session().add(item)
    assert item not in own


def test_the_sentence_says_how_to_mend_it(own):
    with pytest.raises(DataError, match=r"history holds 50\.0, which is no item id: give the whole number 50"):
        own.recommend([50.0])
    with pytest.raises(DataError, match=r"history holds \['a', 'b'\], .*one flat list"):
        own.recommend([["a", "b"]])
    with pytest.raises(DataError, match=r"history holds nan, .*leave out what is missing"):
        own.recommend([float("nan")])


WRONG_LISTS = [None, "50", b"50", bytearray(b"50"), memoryview(b"50"), 50, 50.0, {"50": 1}, np.array(50), object()]


@pytest.mark.parametrize("items", WRONG_LISTS, ids=lambda items: type(items).__name__)
def test_what_is_no_list_is_refused_by_its_name(own, items):
    for name in ("history", "exclude", "candidates"):
        if name == "candidates" and items is None:
            continue
        with pytest.raises(DataError, match=f"^{name} is .*give .*list of item ids"):
            own.recommend(**{"history": ["a"], name: items})
    with pytest.raises(DataError, match=r"^histories is "):
        own.recommend_batch(items)
    with pytest.raises(DataError, match=r"^history is "):
        own.recommend_batch([items])
    with pytest.raises(DataError, match=r"^candidates is "):
        own.recommend_batch([["a"]], candidates=items if items is not None else 0)
    with pytest.raises(DataError, match=r"^block is "):
        own.block(items)


def test_a_set_has_no_order_and_is_no_history(own):
    with pytest.raises(DataError, match="history is a set"):
        own.recommend({"a", "b"})
    assert ids(own.recommend(["a"], 1, exclude={"b"}, candidates=frozenset(["b", "c"]))) == ["c"]


@pytest.mark.parametrize("k", [np.uint8(100), np.int8(100), np.int64(100), 100])
def test_numbers_of_numpy_do_not_overflow(many, k):
    # The items 0 to 199 are excluded, and 299 is the history: 200 to 298 are left.
    expected = ITEMS[200:299]
    assert ids(many.recommend(["299"], k, exclude=ITEMS[:200])) == expected
    assert ids(many.recommend(["299"], k, exclude=ITEMS[:200], boost=dict.fromkeys(ITEMS[:250], 0.0))) == expected
    assert ids(many.recommend([], k, exclude=ITEMS[:199])) == [*ITEMS[199:299]]
    assert ids(many.session(["299"]).recommend(k, exclude=ITEMS[:200])) == expected
    assert ids(many.recommend_batch([["299"]] * 2, k, [ITEMS[:200]] * 2)[1]) == expected


def test_any_large_k_asks_for_all(many):
    for k in (300, 2**31, 2**63, 10**30, np.uint64(2**64 - 1)):
        assert ids(many.recommend(["0"], k)) == ITEMS[1:]
        assert ids(many.recommend([], k)) == ITEMS
        assert ids(many.recommend(["0"], k, candidates=["5", "2"])) == ["2", "5"]
        assert len(many.recommend(["0"], k, boost={"5": 1})) == 299


WRONG_K = [
    0,
    -1,
    np.int8(-1),
    2.0,
    np.float64(2),
    True,
    np.bool_(True),
    "3",
    b"3",
    None,
    [3],
    np.array([3]),
    -(10**5000),
]


@pytest.mark.parametrize("k", WRONG_K, ids=lambda k: type(k).__name__)
def test_a_senseless_k_is_refused(own, k):
    for ask in (own.recommend, lambda history, k: own.session(history).recommend(k)):
        with pytest.raises(ConfigError, match="it must be a whole number of at least 1"):
            ask(["a"], k=k)


WRONG_AMOUNTS = [None, True, "1", float("inf"), 10**5000, 1j, [1], np.array([1.0]), np.bool_(True)]


@pytest.mark.parametrize("amount", WRONG_AMOUNTS, ids=lambda amount: type(amount).__name__)
def test_a_boost_is_a_finite_number(own, amount):
    with pytest.raises(DataError, match=r"The boost of item 'b' is .*: give a finite number"):
        own.recommend(["a"], boost={"b": amount})


def test_a_boost_is_a_mapping_with_each_item_once(own):
    for boost in ([], "", 0, False, [("a", 1)]):
        with pytest.raises(DataError, match=r"boost is .*: give a mapping"):
            own.recommend(["a"], boost=boost)
    with pytest.raises(DataError, match="boost holds item '7' twice"):
        own.recommend(["a"], boost={7: 1, "7": 2})
    assert ids(own.recommend(["a"], 1, boost={7: np.float32(5)})) == ["7"]


def test_indices_of_an_evaluation_are_those_of_items(own):
    for wrong in ([6], [-1], [2**40]):
        with pytest.raises(DataError, match="items 0 to 5"):
            own.top_k([np.array([0]), np.array(wrong)], 3)
    with pytest.raises(ConfigError, match="k is 0"):
        own.top_k([np.array([0])], 0)
