"""The prepared data set: what is written is what is opened, and parts that do not fit are refused."""

import subprocess
import sys

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from lightrec.data.dataset import Dataset, write_dataset
from lightrec.errors import DataError
from lightrec.files.atomic import read_json, write_json


def parts(**changes):
    values = {
        "name": "two users",
        "user_ids": ["a", "007"],
        "item_ids": ["x", "y", "z"],
        "item_texts": ["X, 1999", None, "Z"],
        "offsets": [0, 2, 5],
        "items": [0, 1, 2, 0, 2],
        "timestamps": [10, 20, 5, 5, 6],
        "order_only": False,
    }
    return values | changes


def test_what_is_written_is_what_is_opened(tmp_path):
    written = write_dataset(tmp_path / "d", **parts(item_titles=["X", None, "Z"], details={"source": "by hand"}))
    opened = Dataset.open(tmp_path / "d")
    assert opened.checksum == written.checksum
    assert (opened.n_users, opened.n_items, opened.order_only, opened.name) == (2, 3, False, "two users")
    assert opened.user_ids == ["a", "007"] and opened.item_ids == ["x", "y", "z"]
    assert opened.item_texts == ["X, 1999", None, "Z"] and opened.item_titles == ["X", None, "Z"]
    assert opened.sequence(1).tolist() == [2, 0, 2]
    assert opened.timestamps.tolist() == [10, 20, 5, 5, 6]
    assert not opened.items.flags.writeable and opened.items.dtype == np.int32
    assert opened.description["source"] == "by hand"


def test_titles_are_the_texts_unless_given(tmp_path):
    assert write_dataset(tmp_path / "d", **parts()).item_titles == ["X, 1999", None, "Z"]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"offsets": [0, 5]}, "one entry per user"),
        ({"offsets": [0, 2, 4]}, "rise from 0"),
        ({"offsets": [0, 6, 5]}, "rise from 0"),
        ({"items": [0, 1, 3, 0, 2]}, "indices into item_ids"),
        ({"items": [0, 1, -1, 0, 2]}, "indices into item_ids"),
        ({"timestamps": [1]}, "timestamps must match"),
        ({"item_texts": ["X"], "item_titles": [None, None, None]}, "item_texts must match"),
        ({"item_titles": []}, "item_titles must match"),
        ({"user_ids": ["a", "a"]}, "user_ids must differ"),
        ({"item_ids": ["x", "x", "z"]}, "item_ids must differ"),
    ],
)
def test_parts_that_do_not_fit_are_refused_and_nothing_is_left(tmp_path, changes, complaint):
    with pytest.raises(DataError, match=complaint):
        write_dataset(tmp_path / "d", **parts(**changes))
    assert list(tmp_path.iterdir()) == []


def test_the_checksum_tells_every_kind_of_content_apart(tmp_path):
    changes = [
        {},
        {"user_ids": ["b", "007"]},
        {"item_ids": ["w", "y", "z"]},
        {"item_texts": [None, None, "Z"]},
        {"item_titles": [None, None, None]},
        {"items": [0, 1, 2, 1, 2]},
        {"offsets": [0, 3, 5]},
        {"timestamps": [10, 20, 5, 5, 7]},
        {"order_only": True},
    ]
    checksums = [write_dataset(tmp_path / str(i), **parts(**change)).checksum for i, change in enumerate(changes)]
    assert len(set(checksums)) == len(changes)
    assert write_dataset(tmp_path / "again", **parts(name="another name")).checksum == checksums[0]


def test_a_folder_of_something_else_is_not_overwritten(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="choose another folder"):
        write_dataset(tmp_path / "d", **parts())
    assert (tmp_path / "d" / "thesis.txt").read_text() == "years of work"


def test_a_file_in_the_way_is_not_overwritten(tmp_path):
    (tmp_path / "d").write_text("a file")
    with pytest.raises(DataError, match="is a file"):
        write_dataset(tmp_path / "d", **parts())


def test_an_earlier_data_set_is_replaced_as_a_whole(tmp_path):
    write_dataset(tmp_path / "d", **parts())
    write_dataset(tmp_path / "d", **parts(user_ids=["c", "d"]))
    assert Dataset.open(tmp_path / "d").user_ids == ["c", "d"]
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_opening_something_else_says_how_to_prepare(tmp_path):
    with pytest.raises(DataError, match="lightrec data prepare"):
        Dataset.open(tmp_path)


def test_opening_a_newer_format_says_so(tmp_path):
    write_dataset(tmp_path / "d", **parts())
    write_json(tmp_path / "d" / "dataset.json", read_json(tmp_path / "d" / "dataset.json") | {"format_version": 2})
    with pytest.raises(DataError, match="format version 2"):
        Dataset.open(tmp_path / "d")


@pytest.mark.parametrize("damage", ["dataset.json", "items.npy", "item_ids.json"])
def test_a_damaged_or_missing_file_is_named(tmp_path, damage):
    write_dataset(tmp_path / "d", **parts())
    (tmp_path / "d" / damage).write_text('{"half": ')
    with pytest.raises(DataError, match=damage):
        _ = Dataset.open(tmp_path / "d").item_ids
    (tmp_path / "d" / damage).unlink()
    with pytest.raises(DataError, match=damage):
        _ = Dataset.open(tmp_path / "d").item_ids


def test_verify_names_the_files_that_were_changed(tmp_path):
    dataset = write_dataset(tmp_path / "d", **parts())
    assert dataset.damaged_files() == []
    (tmp_path / "d" / "user_ids.json").write_text('["a", "b"]')
    (tmp_path / "d" / "timestamps.npy").unlink()
    assert dataset.damaged_files() == ["timestamps.npy", "user_ids.json"]


def test_opening_and_splitting_need_no_polars_and_reading_says_which_extra():
    """In a process of its own, where polars cannot be imported."""
    program = """
import sys
sys.modules["polars"] = None
import lightrec.data.dataset, lightrec.data.splits, lightrec.data.describe
try:
    import lightrec.data.prepare
except ImportError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip().endswith("pip install 'lightrec[data]'")


@settings(max_examples=40, deadline=None)
@given(ids=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=6, unique=True))
def test_any_text_survives_as_an_id(tmp_path_factory, ids):
    folder = tmp_path_factory.mktemp("ids") / "d"
    offsets = np.arange(len(ids) + 1)
    dataset = write_dataset(
        folder,
        name="ids",
        user_ids=ids,
        item_ids=ids,
        item_texts=ids,
        offsets=offsets,
        items=offsets[:-1],
        timestamps=offsets[:-1],
        order_only=True,
    )
    assert dataset.user_ids == ids and dataset.item_ids == ids and dataset.item_texts == ids
