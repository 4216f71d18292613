"""Random small logs, and every way of writing them that the readers promise to take."""

from __future__ import annotations

import bz2
import csv
import dataclasses
import gzip
import io
import json
import lzma
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import zstandard

from lightrec.data.dataset import Dataset
from lightrec.data.reading.readers import ReadOptions

Sequences = dict[str, list[str]]
COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1")
SEPARATORS = (",", ";", "|", "\t", "::", " ")
NAMES = ("log.csv", "log.dat", "log.data", "log.txt", "log.json", "log.gz", "log.parquet", "log.inter", "log", "l[1].x")
HEADERS = (("user_id", "item_id", "timestamp"), ("userId", "movieId", "time"), ("uid", "asin", "unixReviewTime"))
IDS = ("007", "7", "1.0", "1e5", "Zoë", "b-7", "a_b", "x.y", "ß", "42", "0x1F", "-3", "item", "café", "A39H")
BREAKS = ("two words", 'say "hi"', "semi;colon", "com,ma", "pi|pe", "12 inch", "it's", "[x", "a::b")
"""Ids that some ways of writing cannot hold without quotes."""


@dataclasses.dataclass
class Log:
    """Events in the order of the file, and what they must be read as."""

    header: tuple[str, str, str]
    rows: list[tuple[str, str, int]]
    sequences: Sequences
    """Each user's items by time."""


@dataclasses.dataclass
class Written:
    """A log as files."""

    paths: list[Path]
    kind: str
    """How it was written, for the counts."""
    options: ReadOptions = dataclasses.field(default_factory=ReadOptions)
    text: str | None = None
    """What was encoded, where that is text in one file."""
    finish: Callable[[str], bytes] | None = None
    """From the text to the bytes of the file."""


def make_log(choices: random.Random, awkward: bool) -> Log:
    """A log of one to five users whose times are all different."""
    ids = [*IDS, *(BREAKS if awkward else ())]
    users = choices.sample(ids, choices.randint(1, 5))
    items = choices.sample(ids, choices.randint(2, 8))
    sequences = {user: [choices.choice(items) for _ in range(choices.randint(1, 6))] for user in users}
    start = choices.randint(1_000_000_000, 1_600_000_000)
    rows, time = [], start
    for user, chosen in sequences.items():
        for item in chosen:
            time += choices.randint(1, 100_000)
            rows.append((user, item, time))
    choices.shuffle(rows)
    return Log(choices.choice(HEADERS), rows, sequences)


def write_log(log: Log, folder: Path, choices: random.Random) -> Written:
    """The log in a random way of writing."""
    return choices.choice((_separated, _separated, _json, _sequences, _lists, _columnar, _parts))(log, folder, choices)


def histories(dataset: Dataset) -> Sequences:
    """Each user's item ids, oldest first."""
    return {
        user: [dataset.item_ids[item] for item in dataset.sequence(place)]
        for place, user in enumerate(dataset.user_ids)
    }


def holds(log: Log, text: str) -> bool:
    """Whether an id of the log has one of the characters of ``text``."""
    return any(character in one for row in log.rows for one in row[:2] for character in text)


def _separated(log: Log, folder: Path, choices: random.Random) -> Written:
    separator = choices.choice(SEPARATORS)
    plain = len(separator) > 1 or separator == " "
    if plain and holds(log, separator + '"'):
        separator, plain = ",", False
    header = choices.random() < 0.7
    rows = [[user, item, str(time)] for user, item, time in log.rows]
    lines = [list(log.header), *rows] if header else rows
    padding = choices.choice(("", "", " ")) if plain or not holds(log, separator + '"\n') else ""
    if plain or padding:
        text = "".join((padding + separator + padding).join(line) + "\n" for line in lines)
    else:
        stream = io.StringIO()
        quoting = choices.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
        csv.writer(stream, delimiter=separator, quoting=quoting, lineterminator="\n").writerows(lines)
        text = stream.getvalue()
    text = text.replace("\n", choices.choice(("\n", "\r\n", "\n\n", " \n" if padding or plain else "\n")))
    options = ReadOptions(columns=() if header else ("user", "item", "time"))
    kind = f"separated {'with' if header else 'without'} header"
    return _text(folder, choices, text, kind, options)


def _json(log: Log, folder: Path, choices: random.Random) -> Written:
    objects = [dict(zip(log.header, row, strict=True)) for row in log.rows]
    for one in objects:
        if choices.random() < 0.3:
            one["note"] = choices.choice([None, 5, "x", [1, 2], {"a": 1}])
    way, text = choices.choice(
        (
            ("JSON lines", "".join(json.dumps(one, ensure_ascii=choices.random() < 0.5) + "\n" for one in objects)),
            ("JSON array", json.dumps(objects, indent=choices.choice((None, 2)))),
            ("Python lines", "".join(f"{one!r}\n" for one in objects)),
            ("JSON objects", "".join(json.dumps(one, indent=1) + "\n" for one in objects)),
            (
                "JSON columns",
                json.dumps({key: [row[place] for row in log.rows] for place, key in enumerate(log.header)}),
            ),
        )
    )
    return _text(folder, choices, text, way)


def _sequences(log: Log, folder: Path, choices: random.Random) -> Written:
    if holds(log, " ,;|:"):
        return _lists(log, folder, choices)
    way = choices.choice(("lines", "pairs", "map"))
    if way == "lines":
        separator = choices.choice((" ", "\t", ",", ";"))
        text = "".join(separator.join([user, *items]) + "\n" for user, items in log.sequences.items())
        return _text(folder, choices, text, "sequences", ReadOptions(format="sequences"))
    if way == "pairs":
        text = "".join(f"{user} {item}\n" for user, items in log.sequences.items() for item in items)
        return _text(folder, choices, text, "pairs", ReadOptions(columns=("user", "item")))
    users = {user if user != "item" else "items": items for user, items in log.sequences.items()}
    log.sequences = users  # a list that is called "item" is taken for a column
    return _text(folder, choices, json.dumps(users), "JSON by user")


def _lists(log: Log, folder: Path, choices: random.Random) -> Written:
    user, item, time = log.header
    by_user: dict[str, list[tuple[str, int]]] = {name: [] for name in log.sequences}
    for row in log.rows:
        by_user[row[0]].append(row[1:])
    objects = [
        {user: name, item: [one for one, _ in events], time: [at for _, at in events]}
        for name, events in by_user.items()
    ]
    way = choices.choice(("json", "csv", "parquet", "events"))
    if way == "parquet":
        return _frame(folder, choices, pl.DataFrame(objects), "lists")
    if way == "events":
        nested = [
            {"user_id": name, "events": [{"item_id": one, "ts": at} for one, at in events]}
            for name, events in by_user.items()
        ]
        return _text(folder, choices, "".join(json.dumps(one) + "\n" for one in nested), "nested events")
    if way == "json":
        return _text(folder, choices, "".join(json.dumps(one) + "\n" for one in objects), "JSON lists")
    if holds(log, "["):
        return _frame(folder, choices, pl.DataFrame(objects), "lists")  # a user "[x]" in a cell is taken for a list
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n", delimiter=choices.choice(",;\t"))
    write = choices.choice((json.dumps, repr))
    writer.writerows([log.header, *([one[user], write(one[item]), write(one[time])] for one in objects)])
    return _text(folder, choices, stream.getvalue(), "lists in CSV")


def _columnar(log: Log, folder: Path, choices: random.Random) -> Written:
    return _frame(folder, choices, pl.DataFrame(log.rows, schema=list(log.header), orient="row"), "rows")


def _parts(log: Log, folder: Path, choices: random.Random) -> Written:
    count = choices.randint(2, 4)
    size = -(-len(log.rows) // count)
    inner = folder / "parts"
    inner.mkdir()
    (inner / "_SUCCESS").touch()
    frames = [log.rows[place : place + size] for place in range(0, len(log.rows), size)]
    for number, rows in enumerate(frames):
        frame = pl.DataFrame(rows, schema=list(log.header), orient="row")
        if choices.random() < 0.5:
            frame.write_parquet(inner / f"part-{number}.parquet")
        else:
            (inner / f"part-{number}.csv").write_bytes(_compress(choices, frame.write_csv().encode()))
    paths = [inner] if choices.random() < 0.5 else [inner / file.name for file in sorted(inner.glob("part-*"))]
    return Written(paths, "parts")


def _frame(folder: Path, choices: random.Random, frame: pl.DataFrame, kind: str) -> Written:
    stream = io.BytesIO()
    way: Any = choices.choice((pl.DataFrame.write_parquet, pl.DataFrame.write_ipc))
    way(frame, stream)
    path = folder / choices.choice(NAMES)
    path.write_bytes(_compress(choices, stream.getvalue()))
    return Written([path], f"columnar {kind}")


def _text(folder: Path, choices: random.Random, text: str, kind: str, options: ReadOptions = ReadOptions()) -> Written:
    encoding = choices.choice(ENCODINGS)
    if encoding.startswith("utf-16-"):
        encoding = encoding if text.isascii() else "utf-16"
    named = choices.random() < 0.2
    compression = choices.choice(list(COMPRESSIONS))

    def finish(changed: str) -> bytes:
        return COMPRESSIONS[compression](changed.encode(encoding))

    path = folder / choices.choice(NAMES)
    path.write_bytes(finish(text))
    options = dataclasses.replace(options, encoding=encoding if named else None)
    return Written([path], kind, options, text, finish)


def _compress(choices: random.Random, content: bytes) -> bytes:
    return COMPRESSIONS[choices.choice(list(COMPRESSIONS))](content)
