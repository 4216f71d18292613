"""What is told about a data set, on an example counted by hand."""

import numpy as np
import pytest

from lightrec.data.dataset import write_dataset
from lightrec.data.describe import describe, distribution, gini, top_share


@pytest.fixture
def dataset(tmp_path):
    """Users a: x x y (times 0, 0, 60), b: y (time 86400), c: z y z (times 5, 5, 5); item w has no event."""
    return write_dataset(
        tmp_path / "d",
        name="by hand",
        user_ids=["a", "b", "c"],
        item_ids=["x", "y", "z", "w"],
        item_texts=["X of 1999", None, "X of 1999", "W"],
        offsets=[0, 3, 4, 7],
        items=[0, 0, 1, 1, 2, 1, 2],
        timestamps=[0, 0, 60, 86_400, 5, 5, 5],
        order_only=False,
    )


def test_every_figure_by_hand(dataset):
    told = describe(dataset)
    assert (told["users"], told["items"], told["interactions"]) == (3, 4, 7)
    assert told["density"] == 7 / 12
    lengths = told["history_length"]
    assert (lengths["mean"], lengths["min"], lengths["median"], lengths["max"]) == (7 / 3, 1, 3, 3)
    assert lengths["histogram"] == [[1, 1], [2, 2]]
    popularity = told["item_popularity"]  # x 2, y 3, z 2, w 0
    assert popularity["histogram"] == [[0, 1], [1, 0], [2, 3]]
    assert popularity["top_1_percent_share"] == 3 / 7
    # Sorted 0 2 2 3 with weights -3 -1 1 3: (0 - 2 + 2 + 9) / (4 * 7)
    assert popularity["gini"] == pytest.approx(9 / 28)
    # Distinct pairs: a-x, a-y, b-y, c-z, c-y are 5 of 7 events.
    assert told["repeats"] == {"consecutive": 1, "share": pytest.approx(2 / 7)}
    # Neighbouring pairs within users: a 2, c 2; tied: a 1, c 2.
    assert told["times"] == {"first": "1970-01-01T00:00:00Z", "last": "1970-01-02T00:00:00Z", "tied_share": 3 / 4}
    assert told["text"]["coverage"] == 3 / 4
    assert told["text"]["distinct"] == 2
    assert told["text"]["mean_words"] == pytest.approx((3 + 3 + 1) / 3)
    assert told["damaged_files"] == []


def test_positions_are_not_told_as_times(dataset, tmp_path):
    parts = {name: getattr(dataset, name) for name in ("user_ids", "item_ids", "item_texts", "offsets", "items")}
    copy = write_dataset(tmp_path / "o", name="o", timestamps=[0, 1, 2, 0, 0, 1, 2], order_only=True, **parts)
    assert describe(copy)["times"] is None


def test_a_changed_file_is_named(dataset):
    (dataset.path / "item_ids.json").write_text('["x", "y", "z", "v"]')
    assert describe(dataset)["damaged_files"] == ["item_ids.json"]


def test_times_beyond_the_calendar_are_told_as_numbers(tmp_path):
    parts = {"user_ids": ["a"], "item_ids": ["x"], "item_texts": [None], "offsets": [0, 1], "items": [0]}
    far = write_dataset(tmp_path / "d", name="far", timestamps=[2**60], order_only=False, **parts)
    assert describe(far)["times"]["last"] == str(2**60)


def test_distributions_of_nothing_and_of_one():
    assert distribution(np.array([], dtype=int))["histogram"] == []
    one = distribution(np.array([7]))
    assert (one["min"], one["median"], one["max"], one["mean"], one["histogram"]) == (7, 7, 7, 7.0, [[5, 1]])


def test_inequality_at_its_ends():
    assert gini(np.zeros(3, dtype=int)) == 0
    assert top_share(np.array([1, 1, 1, 7]), 0.01) == 0.7
