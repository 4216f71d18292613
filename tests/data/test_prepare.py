"""Preparing: order, filters, numbering and counts, by hand and against a plain re-implementation."""

import hypothesis.strategies as st
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings

from lightrec.data.columns.choice import ColumnFlags
from lightrec.data.dataset import Dataset
from lightrec.data.prepare import prepare
from lightrec.errors import ConfigError, DataError


def csv(path, text):
    path.write_text("\n".join(line.strip() for line in text.strip().splitlines()) + "\n")
    return path


def histories(dataset):
    """Each user's item ids, oldest first."""
    return {
        user: [dataset.item_ids[item] for item in dataset.sequence(place)]
        for place, user in enumerate(dataset.user_ids)
    }


EVENTS = """user_id,item_id,timestamp
            b,x,1700000030
            a,007,1700000020
            a,1.0,1700000010
            b,7,1700000030
            b,x,1700000010
            a,x,1700000020"""
T = 1_700_000_000


def test_events_are_sorted_by_time_and_ties_keep_the_order_of_the_file(tmp_path):
    dataset = prepare(csv(tmp_path / "e.csv", EVENTS), tmp_path / "d", k_core=0)
    assert dataset.user_ids == ["b", "a"]  # by first appearance
    assert dataset.item_ids == ["x", "007", "1.0", "7"]  # by first appearance, as text
    assert histories(dataset) == {"b": ["x", "7"], "a": ["1.0", "007", "x"]}  # b's second x repeats the first
    assert dataset.timestamps.tolist() == [T + 10, T + 30, T + 10, T + 20, T + 20]
    assert dataset.item_texts == dataset.item_titles == [None] * 4
    assert dataset.name == "d" and not dataset.order_only
    assert dataset.description["dropped"]["consecutive_repeats"] == 1
    assert dataset.description["source"]["rows"] == 6


def test_repeats_can_be_kept(tmp_path):
    dataset = prepare(csv(tmp_path / "e.csv", EVENTS), tmp_path / "d", k_core=0, drop_repeats=False)
    assert histories(dataset)["b"] == ["x", "x", "7"]


def test_order_only_stores_positions(tmp_path):
    dataset = prepare(csv(tmp_path / "e.csv", EVENTS), tmp_path / "d", k_core=0, order_only=True)
    assert dataset.order_only
    assert dataset.timestamps.tolist() == [0, 1, 0, 1, 2]


def test_without_a_time_column_the_rows_are_in_order(tmp_path):
    dataset = prepare(csv(tmp_path / "e.csv", "uid,asin\n a,q\n b,p\n a,p"), tmp_path / "d", k_core=0)
    assert dataset.order_only
    assert histories(dataset) == {"a": ["q", "p"], "b": ["p"]}
    assert dataset.timestamps.tolist() == [0, 1, 0]
    assert dataset.description["source"]["columns"]["time"] is None
    assert dataset.description["notes"]["users_with_one_event"] == 1


def test_the_k_core_is_a_fixed_point(tmp_path):
    """With k = 2: z occurs once and goes, then c has one event left and goes, then y has one event left and goes."""
    rows = ["a,w", "a,x", "b,w", "b,x", "a,y", "c,y", "c,z"]
    dataset = prepare(csv(tmp_path / "e.csv", "\n".join(["user,item", *rows])), tmp_path / "d", k_core=2)
    assert histories(dataset) == {"a": ["w", "x"], "b": ["w", "x"]}
    dropped = dataset.description["dropped"]
    assert (dropped["interactions_by_k_core"], dropped["users_by_k_core"], dropped["items_by_k_core"]) == (3, 1, 2)


def test_repeats_that_the_k_core_brings_together_are_dropped_too(tmp_path):
    """y occurs once: without it a's two x are neighbours, and x is left with two events, still enough."""
    rows = ["a,x", "a,y", "a,x", "a,w", "b,w", "b,x"]
    dataset = prepare(csv(tmp_path / "e.csv", "\n".join(["user,item", *rows])), tmp_path / "d", k_core=2)
    assert histories(dataset) == {"a": ["x", "w"], "b": ["w", "x"]}
    assert dataset.description["dropped"]["consecutive_repeats"] == 1
    assert dataset.description["dropped"]["interactions_by_k_core"] == 1


def test_titles_and_texts_come_from_the_items_file(tmp_path):
    items = csv(
        tmp_path / "i.csv",
        """movieId,title,genres,year
           x,  The   Thing ,Horror|Sci-Fi,1982
           7,,Drama,
           x,Another,Drama,1999
           unused,Nobody saw it,Drama,2000
           007,,,""",
    )
    dataset = prepare(csv(tmp_path / "e.csv", EVENTS), tmp_path / "d", items=items, k_core=0)
    texts = dict(zip(dataset.item_ids, dataset.item_texts, strict=True))
    titles = dict(zip(dataset.item_ids, dataset.item_titles, strict=True))
    assert texts == {"x": "The Thing, 1982, Horror Sci-Fi", "007": None, "1.0": None, "7": "Drama"}
    assert titles == {"x": "The Thing", "007": None, "1.0": None, "7": None}
    counts = dataset.description["dropped"] | dataset.description["notes"]
    assert counts["catalogue_items_without_interactions"] == 1
    assert counts["catalogue_duplicate_ids"] == 1
    assert counts["items_missing_from_catalogue"] == 1
    assert counts["items_without_text"] == 2


def test_text_columns_can_be_chosen(tmp_path):
    items = csv(tmp_path / "i.csv", "item,plot,title\n x,A dog.,Rex")
    flags = ColumnFlags(text=("plot", "title"))
    dataset = prepare(csv(tmp_path / "e.csv", EVENTS), tmp_path / "d", items=items, columns=flags, k_core=0)
    assert (dataset.item_titles[0], dataset.item_texts[0]) == ("A dog.", "A dog., Rex")


def test_lists_in_json_lines_and_parquet_become_words(tmp_path):
    (tmp_path / "i.jsonl").write_text(
        '{"asin": "x", "title": "Go", "categories": [["Toys & Games", "Board"], ["Old"]]}\n'
    )
    pl.DataFrame({"asin": ["x"], "title": ["Go"], "category": [["Toys", None, "Board"]]}).write_parquet(
        tmp_path / "i.parquet"
    )
    events = csv(tmp_path / "e.csv", EVENTS)
    assert (
        prepare(events, tmp_path / "d", items=tmp_path / "i.jsonl", k_core=0).item_texts[0]
        == "Go, Toys & Games, Board, Old"
    )
    assert prepare(events, tmp_path / "d", items=tmp_path / "i.parquet", k_core=0).item_texts[0] == "Go, Toys Board"


def test_nested_lists_and_years_of_pandas_become_plain_text(tmp_path):
    pl.DataFrame(
        {"asin": ["x"], "title": ["Go"], "categories": [[["Toys", "Board"], ["Old"]]], "year": [1999.0]}
    ).write_parquet(tmp_path / "i.parquet")
    dataset = prepare(csv(tmp_path / "e.csv", EVENTS), tmp_path / "d", items=tmp_path / "i.parquet", k_core=0)
    assert dataset.item_texts[0] == "Go, 1999, Toys Board Old"


def test_text_columns_that_hold_no_text_are_refused(tmp_path):
    pl.DataFrame({"asin": ["x"], "title": [{"en": "Go"}]}).write_parquet(tmp_path / "i.parquet")
    with pytest.raises(DataError, match=r"'title' of i\.parquet has type Struct"):
        prepare(csv(tmp_path / "e.csv", EVENTS), tmp_path / "d", items=tmp_path / "i.parquet", k_core=0)


def test_rows_without_ids_are_counted_and_left_out(tmp_path):
    rows = ["a,x,1", "NA,x,2", "None,y,3", ",y,4", "a,null,5", "a, y ,6", "\\N,x,7"]
    file = csv(tmp_path / "e.csv", "\n".join(["user_id,item_id,timestamp", *rows]))
    dataset = prepare(file, tmp_path / "d", k_core=0)
    assert histories(dataset) == {"a": ["x", "y"]}
    source = dataset.description["source"]
    assert (source["rows"], dataset.description["dropped"]["rows_without_id"]) == (7, 5)
    told = " ".join(source["reading"])
    assert "e.csv has no user in column 'user_id' of 4 rows" in told and "--keep-na-ids" in told
    assert "e.csv has no item in column 'item_id' of 1 rows (null 1)" in told
    kept = prepare(file, tmp_path / "d", k_core=0, keep_na_ids=True)
    assert set(kept.user_ids) == {"a", "NA", "None", "\\N"} and kept.description["dropped"]["rows_without_id"] == 1


def test_whole_numbers_stored_as_floats_are_whole_ids(tmp_path):
    frame = pl.DataFrame({"CustomerID": [17850.0, None, 17850.0], "StockCode": ["007", "a", "b"], "ts": [1, 2, 3]})
    frame.write_parquet(tmp_path / "e.parquet")
    dataset = prepare(tmp_path / "e.parquet", tmp_path / "d", k_core=0)
    assert histories(dataset) == {"17850": ["007", "b"]}
    assert "stored as floats" in " ".join(dataset.description["source"]["reading"])


def test_conditions_choose_rows_before_anything_else(tmp_path):
    rows = ["a,x,view,5,1700000001", "a,y,buy,2,1700000002", "a,z,buy,4,1700000003", "b,x,buy,5,", "NA,x,view,5,zzz"]
    file = csv(tmp_path / "e.csv", "\n".join(["user_id,item_id,event,rating,timestamp", *rows]))
    dataset = prepare(file, tmp_path / "d", k_core=0, where=["event=buy", "rating>=4", "timestamp!="])
    assert histories(dataset) == {"a": ["z"]}
    assert dataset.description["dropped"]["rows_by_where"] == 4
    assert dataset.description["options"]["where"] == ["event=buy", "rating>=4", "timestamp!="]
    with pytest.raises(DataError, match="event=view and rating<3"):
        prepare(file, tmp_path / "d", k_core=0, where=["event=view", "rating<3"])
    with pytest.raises(DataError, match=r"Row 4 of e\.csv has no time.*--where 'timestamp!='"):
        prepare(file, tmp_path / "d", k_core=0, where=["event=buy"])


def test_every_column_of_both_files_is_accounted_for(tmp_path):
    events = csv(
        tmp_path / "e.csv",
        """user_id,item_id,timestamp,event,rating,device,empty
           a,x,1700000000,view,5,phone,
           a,y,1700086400,cart,,phone,NA
           b,x,1700000000,view,3,,""",
    )
    items = csv(tmp_path / "i.csv", "id,title,brand,price\n x,X,,1\n y,,B,2")
    dataset = prepare(events, tmp_path / "d", items=items, k_core=0)
    told = {
        (use["file"], use["column"]): (use["role"], use["values"], use["became"])
        for use in dataset.description["source"]["every_column"]
    }
    assert {key: use[:2] for key, use in told.items()} == {
        ("interactions", "user_id"): ("user", 3),
        ("interactions", "item_id"): ("item", 3),
        ("interactions", "timestamp"): ("time", 3),
        ("interactions", "event"): ("not used", 3),
        ("interactions", "rating"): ("not used", 2),
        ("interactions", "device"): ("not used", 2),
        ("interactions", "empty"): ("not used", 0),
        ("items", "id"): ("item", 2),
        ("items", "title"): ("title", 1),
        ("items", "brand"): ("text", 1),
        ("items", "price"): ("not used", 2),
    }
    assert "view 2, cart 1" in told["interactions", "event"][2]
    assert '--where "event=cart"' in told["interactions", "event"][2]
    assert '--where "rating>=' in told["interactions", "rating"][2]
    assert "2023-11-14T22:13:20Z to 2023-11-15T22:13:20Z" in told["interactions", "timestamp"][2]
    assert told["interactions", "device"][2] == "always phone"


def test_the_items_file_has_an_id_column_of_its_own(tmp_path):
    items = csv(tmp_path / "i.csv", "key_of_it,name\n x,R&amp;B\n 7,Seven")
    flags = ColumnFlags(items_id="key_of_it")
    dataset = prepare(csv(tmp_path / "e.csv", EVENTS), tmp_path / "d", items=items, columns=flags, k_core=0)
    assert dict(zip(dataset.item_ids, dataset.item_titles, strict=True))["x"] == "R&B"


def test_the_folder_is_looked_at_before_any_work(tmp_path):
    with pytest.raises(DataError, match="choose another folder"):
        prepare(tmp_path / "absent.csv", csv(tmp_path / "e.csv", EVENTS))


def test_the_same_input_gives_the_same_checksum_in_any_format(tmp_path):
    frame = pl.read_csv(csv(tmp_path / "e.csv", EVENTS), infer_schema=False)
    frame.write_parquet(tmp_path / "e.parquet")
    frame.write_ndjson(tmp_path / "e.jsonl")
    checksums = {
        prepare(tmp_path / f"e.{kind}", tmp_path / kind, k_core=0).checksum for kind in ("csv", "parquet", "jsonl")
    }
    checksums.add(prepare(tmp_path / "e.csv", tmp_path / "again", k_core=0).checksum)
    assert len(checksums) == 1


def test_reused_ids_keep_their_places(tmp_path):
    items = csv(tmp_path / "i.csv", "item_id,title\n x,X\n 007,Bond\n 1.0,One\n 7,Seven")
    old = prepare(csv(tmp_path / "e.csv", EVENTS), tmp_path / "old", items=items, k_core=0)
    later = csv(tmp_path / "later.csv", "user_id,item_id,timestamp\n a,new,50\n a,7,60\n c,newer,5\n c,x,6")
    more = csv(tmp_path / "more.csv", "item_id,title\n new,New\n x,X again")
    new = prepare(later, tmp_path / "new", items=more, k_core=0, reuse_ids=tmp_path / "old")
    assert new.item_ids == [*old.item_ids, "new", "newer"] == ["x", "007", "1.0", "7", "new", "newer"]
    assert new.item_titles == ["X again", "Bond", "One", "Seven", "New", None]
    assert histories(new) == {"a": ["new", "7"], "c": ["newer", "x"]}
    notes = new.description["notes"]
    assert (notes["items_new"], notes["items_without_interactions"]) == (2, 2)
    assert new.description["options"]["reuse_ids"] == old.checksum


def test_ids_can_be_reused_in_place(tmp_path):
    events = csv(tmp_path / "e.csv", EVENTS)
    first = prepare(events, tmp_path / "d", k_core=0)
    assert prepare(events, tmp_path / "d", k_core=0, reuse_ids=tmp_path / "d").checksum == first.checksum


@pytest.mark.parametrize(
    ("events", "items", "complaint"),
    [
        (
            "name,item_id\n a,b",
            None,
            r"recognised as the user \(its columns: name, item_id\): name it with --user-column NAME.*--items",
        ),
        ("user_id,thing\n a,b", None, "--item-column"),
        ("user_id,item_id\n a,\n ,b", None, r"No row of e\.csv has both a user \('user_id'\)"),
        ("user_id,item_id,date\n a,b,2024-01-01\n a,c,soon", None, r"Row 2 of e\.csv has the time 'soon'"),
        ("user_id,item_id\n a,b\n a,c", None, r"no group of its 1 users and 2 items has 5 events each.*--k-core"),
        (
            "user_id,item_id\n a,b",
            "item_id,title\n B0,Soap",
            r"No item of e\.csv \(such as 'b'\) is in i\.csv \(such as 'B0'\)",
        ),
        ("user_id,item_id\n a,b", "item_id,price\n b,3", r"no column recognised as a title.*--text-column"),
        ("user_id,item_id\n a,b", "sku_code,title\n b,Soap", r"i\.csv has no column recognised as the item"),
        ("user_id,item_id\n a,b", "item_id,title\n ,Soap", r"No row of i\.csv has an id in 'item_id'"),
        ("user_id,item_id\n a,b", "item_id,title", r"i\.csv is empty"),
    ],
)
def test_bad_input_gets_one_sentence_and_leaves_nothing(tmp_path, events, items, complaint):
    with pytest.raises(DataError, match=complaint):
        prepare(
            csv(tmp_path / "e.csv", events),
            tmp_path / "out" / "d",
            items=csv(tmp_path / "i.csv", items) if items else None,
        )
    assert not (tmp_path / "out").exists()


def test_a_negative_k_core_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="--k-core"):
        prepare(csv(tmp_path / "e.csv", EVENTS), tmp_path / "d", k_core=-1)


def plainly(rows, k_core, drop_repeats):
    """What prepare promises, written with lists: {user: [item, ...]} for rows of (user, item, time)."""
    sequences = {}
    for user, item, time in rows:
        sequences.setdefault(user, []).append((time, item))
    sequences = {
        user: [item for _, item in sorted(events, key=lambda event: event[0])] for user, events in sequences.items()
    }
    while True:
        before = sum(map(len, sequences.values()))
        if drop_repeats:
            sequences = {u: [i for p, i in enumerate(s) if p == 0 or i != s[p - 1]] for u, s in sequences.items()}
        counts = {}
        for item in (item for sequence in sequences.values() for item in sequence):
            counts[item] = counts.get(item, 0) + 1
        sequences = {u: [i for i in s if counts[i] >= k_core] for u, s in sequences.items() if len(s) >= k_core}
        sequences = {u: s for u, s in sequences.items() if s}
        if sum(map(len, sequences.values())) == before:
            return sequences


@settings(max_examples=80, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from("abcd"), st.sampled_from("vwxyz"), st.integers(0, 6)), min_size=1, max_size=40
    ),
    k_core=st.integers(0, 4),
    drop_repeats=st.booleans(),
)
def test_the_result_is_what_the_plain_version_gives(tmp_path_factory, rows, k_core, drop_repeats):
    folder = tmp_path_factory.mktemp("plain")
    pl.DataFrame(rows, schema=["user", "item", "time"], orient="row").write_parquet(folder / "e.parquet")
    expected = plainly(rows, k_core, drop_repeats)
    if not expected:
        with pytest.raises(DataError, match="is left: no group of its"):
            prepare(folder / "e.parquet", folder / "d", k_core=k_core, drop_repeats=drop_repeats)
        return
    dataset = prepare(folder / "e.parquet", folder / "d", k_core=k_core, drop_repeats=drop_repeats)
    assert histories(dataset) == expected
    assert dataset.user_ids == [user for user in dict.fromkeys(row[0] for row in rows) if user in expected]
    left = {item for sequence in expected.values() for item in sequence}
    assert dataset.item_ids == [item for item in dict.fromkeys(row[1] for row in rows) if item in left]
    dropped = dataset.description["dropped"]
    assert len(rows) - len(dataset.items) == dropped["consecutive_repeats"] + dropped["interactions_by_k_core"]


def test_a_hundred_thousand_rows_take_no_python_loop(tmp_path):
    """The big case in small: shuffled rows, many ties; every count agrees with numpy's."""
    rng = np.random.default_rng(0)
    users, items, times = rng.integers(0, 5000, 100_000), rng.zipf(1.3, 100_000) % 3000, rng.integers(0, 1000, 100_000)
    pl.DataFrame({"user": users, "item": items, "timestamp": times}).write_csv(tmp_path / "e.csv")
    dataset = prepare(tmp_path / "e.csv", tmp_path / "d")
    assert np.bincount(dataset.items).min() >= 5
    assert np.diff(dataset.offsets).min() >= 5
    for place in range(0, dataset.n_users, 500):
        stamps = dataset.timestamps[dataset.offsets[place] : dataset.offsets[place + 1]]
        assert (np.diff(stamps) >= 0).all()
        assert (np.diff(dataset.sequence(place)) != 0).all()


def test_real_data_is_prepared_as_its_readme_says(data_folder, tmp_path):
    source = data_folder / "ml-100k"
    whole = prepare(source / "interactions.csv.gz", tmp_path / "d", items=source / "items.csv.gz", k_core=0)
    assert (whole.n_users, whole.n_items, len(whole.items)) == (943, 1682, 100_000)
    core = Dataset.open(prepare(source / "interactions.csv.gz", tmp_path / "d", items=source / "items.csv.gz").path)
    assert (core.n_users, core.n_items, len(core.items)) == (943, 1349, 99_287)
