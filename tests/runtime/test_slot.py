import threading

import pytest
from mini_bundle import NEXT_SCORES, write_bundle

from lightrec import RecommenderSlot
from lightrec.errors import BundleError


@pytest.fixture
def two_bundles(tmp_path):
    """After item a the first recommends b, the second "7"."""
    return write_bundle(tmp_path / "first"), write_bundle(tmp_path / "second", scores=NEXT_SCORES[:, ::-1].copy())


def test_swapping_under_load_never_fails_a_request(two_bundles):
    slot = RecommenderSlot(two_bundles[0])
    answers, errors, stop = [[], [], []], [], threading.Event()

    def ask(into):
        try:
            while not stop.is_set():
                into.append(tuple(item.id for item in slot.current.recommend(["a"], k=2)))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=ask, args=(into,)) for into in answers]
    for thread in threads:
        thread.start()
    for turn in range(9):
        slot.swap(two_bundles[(turn + 1) % 2])
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == []
    given = {answer for into in answers for answer in into}
    assert given == {("b", "c"), ("b", "c")} | {tuple(i.id for i in slot.current.recommend(["a"], k=2))}
    assert all(into for into in answers)


def test_a_bundle_that_cannot_be_loaded_leaves_the_old_one(two_bundles, tmp_path):
    slot = RecommenderSlot(two_bundles[0], threads=1)
    old = slot.current
    (two_bundles[1] / "model.onnx").write_bytes(b"no model")
    for wrong in (two_bundles[1], tmp_path / "nowhere"):
        with pytest.raises(BundleError):
            slot.swap(wrong)
    assert slot.current is old
    assert slot.current.recommend(["a"], k=1)[0].id == "b"
