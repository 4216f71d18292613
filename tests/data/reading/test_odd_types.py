"""Columns of every type that Parquet knows, in every role: read, or refused with one sentence; polars never panics."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal

import polars as pl
import pytest

from lightrec.data.prepare import prepare
from lightrec.data.reading.cells import as_text
from lightrec.errors import LightrecError

NOON = datetime(2024, 1, 1, 12)
ODD = {
    "unsigned": pl.Series([2**64 - 1, 2, 3], dtype=pl.UInt64),
    "bool": pl.Series([True, False, None]),
    "null": pl.Series([None] * 3),
    "decimal": pl.Series([Decimal("1700000000.25")] * 3, dtype=pl.Decimal(20, 2)),
    "date": pl.Series([date(2024, 1, 1)] * 3),
    "datetime": pl.Series([NOON, None, NOON]),
    "no date of the calendar": pl.Series([2**31 - 1, 0, -(2**31)], dtype=pl.Int32).cast(pl.Date),
    "no time of the calendar": pl.Series([2**62, 0, -(2**62)]).cast(pl.Datetime("us")),
    "time of day": pl.Series([time(1, 2)] * 3),
    "duration": pl.Series([timedelta(1)] * 3),
    "categories": pl.Series(["2024-01-01", "b", "2024-01-02"], dtype=pl.Categorical),
    "bytes": pl.Series([b"\xff", b"a", b"b"]),
    "list": pl.Series([[1, 2], [3], []]),
    "lists in lists": pl.Series([[[1]], [[2]], [[3]]]),
    "struct": pl.Series([{"a": 1}] * 3),
    "structs in lists": pl.Series([[{"x": 1}]] * 3),
    "array": pl.Series([[1, 2]] * 3, dtype=pl.Array(pl.Int64, 2)),
    "infinity": pl.Series([float("inf"), 1.0, float("nan")]),
}
EVENTS = {"user_id": ["u", "v", "u"], "item_id": ["a", "b", "c"], "timestamp": [1_700_000_000, 1_700_000_001, 7]}
ITEMS = {"item_id": ["a", "b", "c"], "title": ["A", "B", "C"]}
DATES = pl.Series([date(2024, 1, 1)] * 3)


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize(
    ("events", "items", "options"),
    [
        (["user_id"], [], {}),
        (["item_id"], [], {}),
        (["timestamp"], [], {}),
        (["timestamp"], [], {"time_format": "days"}),
        (["timestamp"], [], {"time_format": "%Y-%m-%d"}),
        (["other"], [], {}),
        (["rating"], [], {"where": ["rating>=1"]}),
        (["event"], [], {"where": ["event!=a"]}),
        (["time", "date"], [], {}),
        ([], ["item_id"], {}),
        ([], ["title"], {}),
        ([], ["genres"], {}),
        ([], ["other"], {}),
    ],
    ids=str,
)
def test_every_type_in_every_role(tmp_path, kind, events, items, options):
    odd = {name: DATES if name == "date" else ODD[kind] for name in events}
    rest = {name: values for name, values in EVENTS.items() if name != "timestamp" or "date" not in events}
    pl.DataFrame(rest | odd).write_parquet(tmp_path / "e.parquet")
    pl.DataFrame(ITEMS | dict.fromkeys(items, ODD[kind])).write_parquet(tmp_path / "i.parquet")
    try:
        prepare(tmp_path / "e.parquet", tmp_path / "d", items=tmp_path / "i.parquet", k_core=0, **options)
    except LightrecError as error:
        assert "\n" not in str(error) and not (tmp_path / "d").exists()


def test_cells_as_text():
    assert as_text(ODD["datetime"]).to_list() == ["2024-01-01 12:00:00.000000", None, "2024-01-01 12:00:00.000000"]
    assert as_text(ODD["no date of the calendar"]).to_list() == ["2147483647", "1970-01-01", "-2147483648"]
    zoned = pl.Series([NOON]).dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo")
    assert as_text(zoned).to_list() == ["2024-01-01 12:00:00.000000"]
    assert as_text(pl.Series([b"a"])).to_list() == ["a"] and as_text(ODD["bytes"]) is None
    assert as_text(ODD["list"]) is None
