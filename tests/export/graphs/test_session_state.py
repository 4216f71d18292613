"""A session's exported state: into other bundles, and forged."""

import io
import shutil

import numpy as np
import pytest

from lightrec import Recommender
from lightrec.bundle import Catalogue, read_catalogue, read_manifest, write_catalogue, write_manifest
from lightrec.errors import DataError
from lightrec.runtime import session_state

ITEMS = [f"i{number:02d}" for number in range(30)]


@pytest.fixture(scope="module")
def recommender(sasrec_bundle):
    return Recommender.load(sasrec_bundle)


@pytest.fixture
def state(recommender):
    session = recommender.session(ITEMS[:4])
    session.recommend()
    return session.export()


def with_ids(bundle, folder, ids):
    """The same model under other ids."""
    shutil.copytree(bundle, folder)
    manifest = read_manifest(folder)
    catalogue = read_catalogue(folder, manifest)
    write_catalogue(folder, Catalogue(ids, catalogue.popularity))
    write_manifest(folder, manifest)
    return Recommender.load(folder)


def ids(answer):
    return [item.id for item in answer]


def close(ours, theirs):
    assert ids(ours) == ids(theirs)
    np.testing.assert_allclose([item.score for item in ours], [item.score for item in theirs], atol=1e-4)


def test_what_was_seen_is_not_recommended_by_a_bundle_that_knows_more(recommender, sasrec_bundle, tmp_path):
    renamed = [*recommender.item_ids]
    place = renamed.index(ids(recommender.recommend(ITEMS[:4], 1))[0])
    best, renamed[place] = renamed[place], "not yet known"
    smaller = with_ids(sasrec_bundle, tmp_path / "smaller", renamed)
    session = smaller.session([ITEMS[0], best, *ITEMS[1:4]])
    assert session.recommend(3).unknown == (best,)
    after = recommender.session(state=session.export())
    close(after.recommend(30), recommender.recommend([ITEMS[0], best, *ITEMS[1:4]], 30))
    assert best not in ids(after.recommend(30)) and after.recommend().unknown == ()


def test_the_same_model_under_other_ids_reads_the_items_again(recommender, sasrec_bundle, tmp_path, state):
    turned = with_ids(sasrec_bundle, tmp_path / "turned", [*recommender.item_ids][::-1])
    close(turned.session(state=state).recommend(5), turned.recommend(ITEMS[:4], 5))


def test_any_text_is_an_id_and_comes_back(recommender):
    history = ["i03", "\0", "", "é\ud800", "x" * 10_000, "i03 ", "i05"]
    session = recommender.session(history)
    session.recommend()
    after = recommender.session(state=session.export()).recommend(5)
    close(after, recommender.recommend(history, 5))
    assert after.unknown == tuple(history[1:-1])
    assert sum(array.nbytes for array in session.export().values()) < 20_000


def forged(state, changes):
    """``state`` with other arrays and the right digest."""
    kept = {name: array for name, array in {**state, **changes}.items() if array is not None and name != "digest"}
    return kept | {"digest": np.array(session_state._digest(kept))}


def written(text):
    return np.frombuffer(text, dtype=np.uint8)


def past_of(state):
    return next(name for name in state if name.startswith("past:"))


CHANGES = {
    "state of another shape": lambda state: {"state": state["state"][:, :-1]},
    "state of another type": lambda state: {"state": state["state"].astype(np.float64)},
    "state that is no number": lambda state: {"state": state["state"] * np.nan},
    "past of another shape": lambda state: {past_of(state): state[past_of(state)][..., :-1]},
    "past that is too short": lambda state: {past_of(state): state[past_of(state)][:, :, :-1]},
    "past that is missing": lambda state: {past_of(state): None},
    "past that nobody asks for": lambda state: {"past:more": state["state"]},
    "past that is infinite": lambda state: {past_of(state): state[past_of(state)] + np.inf},
    "more read than there is": lambda state: {"read": np.array(5)},
    "nothing read": lambda state: {"read": np.array(0)},
    "less than nothing read": lambda state: {"read": np.array(-1)},
    "read as a float": lambda state: {"read": np.array(4.0)},
    "read as a list": lambda state: {"read": np.array([4])},
    "items as numbers": lambda state: {"items": written(b"[1, 2, 3, 4]")},
    "items as text": lambda state: {"items": np.array(ITEMS[:4])},
    "items that are no JSON": lambda state: {"items": state["items"][:-1]},
    "items in one another": lambda state: {"items": written(b"[" * 100_000)},
    "items as a mapping": lambda state: {"items": written(b"{}")},
    "items as a table": lambda state: {"items": state["items"][None]},
    "items as objects": lambda state: {"items": np.array(["i00", None], dtype=object)},
    "fewer items": lambda state: {"items": written(b'["i00", "i01"]')},
    "no items": lambda state: {"items": None},
    "key as a number": lambda state: {"key": np.array(1)},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_forged_state_is_one_sentence(recommender, state, change):
    recommender.session(state=forged(state, {})).recommend()
    with pytest.raises(DataError, match=r"state is not what Session\.export returned") as error:
        recommender.session(state=forged(state, CHANGES[change](state)))
    assert "\n" not in str(error.value)


WRONG = [[], "state", 5, {}, {"items": ["i00"]}, {"items": np.array(["i00"])}, {1: np.array(1)}]


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_state_is_one_sentence(recommender, wrong):
    with pytest.raises(DataError, match=r"not what Session\.export returned"):
        recommender.session(state=wrong)


def test_a_stored_state_with_a_changed_byte_is_not_used(recommender, state):
    """Some bytes of a file mean nothing; the others are found by the file's own sums or by the digest."""
    file = io.BytesIO()
    np.savez(file, **state)
    content, expected = file.getvalue(), recommender.recommend(ITEMS[:4], 5)
    refused = 0
    for place in range(0, len(content), 97):
        changed = bytearray(content)
        changed[place] ^= 0x20
        try:
            with np.load(io.BytesIO(bytes(changed)), allow_pickle=False) as kept:
                close(recommender.session(state=kept).recommend(5), expected)
        except DataError:
            refused += 1
        except Exception as error:  # numpy could not open the file at all
            assert error.__traceback__.tb_next is None or "lightrec" not in str(error.__traceback__.tb_frame)
            refused += 1
    assert refused > len(content) / 97 / 3
