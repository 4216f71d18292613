"""Files of scores: what is read, and the sentence for each mistake."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from lightrec.data.scores import Scores, read_scores, write_scores
from lightrec.errors import DataError

ROW = {"user": "u3", "position": 2, "item": "i07", "score": 0.5}


def save(path, *rows):
    pl.DataFrame(list(rows)).write_parquet(path)
    return path


def test_scores_come_back_sorted_and_as_indices(tiny_dataset, tmp_path):
    file = tmp_path / "scores.csv"
    file.write_text("user,position,item,score\nu3,2,i07,0.25\nu3,2,i01,2\nu1,4,i07,-1e3\n")
    found = read_scores(file, tiny_dataset)
    ids = tiny_dataset.item_ids
    assert found.users.tolist() == [1, 3, 3]
    assert found.positions.tolist() == [4, 2, 2]
    assert found.items.tolist() == [ids.index("i07"), ids.index("i01"), ids.index("i07")]
    assert found.scores.tolist() == [-1000.0, 2.0, 0.25]


def test_ranks_stand_in_for_scores(tiny_dataset, tmp_path):
    rows = [{"user": "u3", "position": 2, "item": f"i{rank:02d}", "rank": rank} for rank in (3, 1, 2)]
    found = read_scores(save(tmp_path / "ranks.parquet", *rows), tiny_dataset)
    np.testing.assert_allclose(found.scores, -np.log([1, 2, 3]), rtol=1e-6)


def test_what_is_written_is_read(tiny_dataset, tmp_path):
    scores = Scores(*(np.array(part) for part in ([0, 0, 2], [1, 1, 5], [4, 9, 0])), np.float32([1.5, -2, 0]))
    write_scores(tmp_path / "new" / "scores.parquet", tiny_dataset, scores)
    found = read_scores(tmp_path / "new" / "scores.parquet", tiny_dataset)
    for name in ("users", "positions", "items", "scores"):
        np.testing.assert_array_equal(getattr(found, name), getattr(scores, name))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["scores.parquet"]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"user": "nobody"}, "Row 2 of scores.parquet names user 'nobody', which the data set does not hold"),
        ({"item": "i99"}, "Row 2 of scores.parquet names item 'i99', which the data set does not hold"),
        ({"position": -1}, "Row 2 of scores.parquet has position -1, but user u3 has positions 0 to"),
        ({"position": 400}, "Row 2 of scores.parquet has position 400, but user u3 has positions 0 to"),
        ({"position": None}, "Row 2 of scores.parquet has position None: it must be a whole number"),
        ({"score": float("nan")}, "Row 2 of scores.parquet has score nan: it must be a finite number"),
        ({"score": None}, "Row 2 of scores.parquet has score None: it must be a finite number"),
        ({"user": None}, "Column 'user' of scores.parquet has no id in 1 row \\(row 2\\)"),
        ({"item": "i07"}, "Row 2 of scores.parquet names item i07 again for the same user and position"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_row(tiny_dataset, tmp_path, wrong, sentence):
    file = save(tmp_path / "scores.parquet", ROW, {**ROW, "item": "i08", **wrong})
    with pytest.raises(DataError, match=sentence):
        read_scores(file, tiny_dataset)


def test_a_rank_below_one_and_a_missing_column_are_refused(tiny_dataset, tmp_path):
    ranks = save(tmp_path / "ranks.parquet", {"user": "u3", "position": 2, "item": "i07", "rank": 0})
    with pytest.raises(DataError, match=r"Row 1 of ranks.parquet has rank 0: ranks start at 1\."):
        read_scores(ranks, tiny_dataset)
    with pytest.raises(DataError, match=r"scores.parquet has no column 'position'"):
        read_scores(save(tmp_path / "scores.parquet", {"user": "u", "item": "i", "score": 1}), tiny_dataset)
    with pytest.raises(DataError, match="store positions as whole numbers"):
        read_scores(save(tmp_path / "float.parquet", {**ROW, "position": 2.0}), tiny_dataset)
