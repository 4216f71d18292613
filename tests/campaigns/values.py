"""Times, ids and conditions in every way of writing them: read as they were meant, or refused with one sentence."""

from __future__ import annotations

import dataclasses
import operator
import random
import shutil
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from campaigns._written_times import DAY, SECOND, Form, any_form, moment
from campaigns.campaign import Campaign, Outcome

from lightrec.data.columns.ids import NO_ID
from lightrec.data.dataset import Dataset
from lightrec.data.prepare import prepare
from lightrec.errors import LightrecError

NAMES = {
    "user": ("user_id", "userId", "visitorid", "CustomerID", "Customer ID", "reviewerID", "username", "session_id"),
    "item": ("item_id", "itemId", "asin", "StockCode", "article_id", "movieId", "product_id", "business_id"),
    "time": (
        *("timestamp", "InvoiceDate", "t_dat", "eventdate", "order_date", "purchased_at", "timestamp_ms", "ts"),
        *("unixReviewTime", "review_date", "played_at", "checkin_time", "created_at", "Date", "event_time"),
    ),
}
BAD_TIMES = (
    *("", "NaT", "None", "soon", "2024-13-01", "2024-02-30", "2024-05-01 25:00", "12/13/14", "1e400", "-", "1_000"),
    "2024-05-01T10:00 Europe/Berlin",
)
HOLDS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "=": operator.eq, "!=": operator.ne}
ZONES = (None, "UTC", "Europe/Berlin", "Etc/GMT-2", "America/Los_Angeles")


@dataclasses.dataclass
class Event:
    """One row: what it says, and whether it counts."""

    user: str
    item: str
    nanos: int
    kind: str
    rating: int
    counts: bool = True


class ValuesCampaign(Campaign):
    """Known events are written with random forms of times, ids that are missing, further columns and conditions."""

    name = "values"
    promise = "Times, ids and conditions of any usual form are read right or refused with one sentence."

    def prepare(self, folder: Path) -> None:
        self.folder = folder

    def attempt(self, random: random.Random) -> Outcome:
        place = self.folder / "attempt"
        place.mkdir()
        try:
            return _attempt(random, place)
        finally:
            shutil.rmtree(place)


def _attempt(choices: random.Random, place: Path) -> Outcome:
    form = _typed(choices) if choices.random() < 0.1 else any_form(choices)
    events = _events(choices, form)
    names = {role: choices.choice(usual) for role, usual in NAMES.items()}
    cells = [form.write(event.nanos) for event in events]
    damage = choices.choice(BAD_TIMES) if choices.random() < 0.2 and isinstance(cells[0], str) else None
    if damage is not None:
        cells[choices.randrange(len(cells))] = damage
    frame = _columns(choices, events, names, cells)
    _without_ids(choices, frame, names, events)
    where = _conditions(choices, events)
    file = _write(choices, frame, place)
    told = form.time_format is None or choices.random() < 0.7
    kind = f"{form.name}{', ' + repr(damage) if damage is not None else ''}{'' if told else ', not told'}"
    expected = _expected(events)
    may_refuse = damage is not None or not told or not expected
    try:
        dataset = prepare(
            file,
            place / "out",
            k_core=0,
            drop_repeats=False,
            where=where,
            time_format=form.time_format if told else None,
        )
    except LightrecError as error:
        if not may_refuse or (place / "out").exists():
            return Outcome.other(kind, f"a good log is refused, or something was written: {error} {cells} {where}")
        return Outcome.refused(kind, str(error))
    read = _read(dataset)
    if damage is not None and any(cell == damage and event.counts for cell, event in zip(cells, events, strict=True)):
        return Outcome.other(kind, f"a time that is none was read as {read}: {cells}")
    return Outcome.right(kind) if read == expected else Outcome.other(kind, f"{read} instead of {expected}: {cells}")


def _events(choices: random.Random, form: Form) -> list[Event]:
    first, last = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * SECOND for year in form.years)
    start = choices.randrange(first, last)
    span = choices.choice([100 * form.precision, 30 * DAY, last - first])
    low, high = max(first, start - span), min(last, start + span)
    users, items = [f"0{user}" for user in range(choices.randint(1, 4))], ["007", "7", "a b", "Zoë", "1e5", "x|y"]
    return [
        Event(
            user=choices.choice(users),
            item=choices.choice(items),
            nanos=choices.randrange(low, high) // form.precision * form.precision,
            kind=choices.choice(["view", "cart", "purchase"]),
            rating=choices.randint(1, 10),
        )
        for _ in range(choices.randint(2, 20))
    ]


def _typed(choices: random.Random) -> Form:
    return Form("datetime", 1000, lambda nanos: moment(nanos).replace(tzinfo=None), years=(1900, 2200))


def _columns(choices: random.Random, events: list[Event], names: dict[str, str], cells: list[object]) -> dict:
    """The columns of the file in random order, among them some that say nothing."""
    times = pl.Series(cells)
    if times.dtype == pl.Datetime:
        times = times.dt.replace_time_zone("UTC").cast(pl.Datetime(choices.choice(["us", "ns"]), "UTC"))
        zone = choices.choice(ZONES)
        times = times.dt.replace_time_zone(None) if zone is None else times.dt.convert_time_zone(zone)
    columns: dict[str, object] = {
        names["user"]: [choices.choice(["", " ", "\u00a0"]) + event.user for event in events],
        names["item"]: [event.item for event in events],
        names["time"]: times,
        "event_type": [event.kind for event in events],
        "rating": [event.rating for event in events],
    }
    further = {
        "comment": ["not on 2024-05-01" for _ in events],
        "price": [event.rating * 1.5 for event in events],
        "birth_date": ["1970-01-01" for _ in events],
        "category_id": [event.rating % 3 for event in events],
    }
    columns |= {name: further[name] for name in choices.sample(list(further), choices.randint(0, 4))}
    order = choices.sample(list(columns), len(columns))
    return {name: columns[name] for name in order}


def _without_ids(choices: random.Random, columns: dict, names: dict[str, str], events: list[Event]) -> None:
    """Take the user or the item from some rows."""
    for place, event in enumerate(events):
        if choices.random() < 0.1:
            columns[names[choices.choice(["user", "item"])]][place] = choices.choice([*NO_ID, "", None])
            event.counts = False


def _conditions(choices: random.Random, events: list[Event]) -> list[str]:
    """Conditions, and what they mean for the events."""
    where = []
    if choices.random() < 0.3:
        kinds = choices.sample(["view", "cart", "purchase"], choices.randint(1, 2))
        sign = choices.choice(["=", "!="])
        where.append(f"event_type{sign}{'|'.join(kinds)}")
        for event in events:
            event.counts &= (event.kind in kinds) == (sign == "=")
    if choices.random() < 0.3:
        bound, sign = choices.randint(1, 10), choices.choice([">=", "<=", ">", "<", "=", "!="])
        where.append(f"rating{sign}{choices.choice(['', ' '])}{bound}")
        for event in events:
            event.counts &= HOLDS[sign](event.rating, bound)
    return where


def _write(choices: random.Random, columns: dict, place: Path) -> Path:
    frame = pl.DataFrame(columns)
    kinds = ["parquet"] if frame.select(pl.col(pl.Datetime)).width else ["csv", "tsv", "jsonl", "parquet"]
    kind = choices.choice(kinds)
    file = place / f"log.{kind}"
    if kind == "csv":
        frame.write_csv(file, separator=choices.choice([",", ";"]), float_precision=None)
    elif kind == "tsv":
        frame.write_csv(file, separator="\t")
    elif kind == "jsonl":
        frame.write_ndjson(file)
    else:
        frame.write_parquet(file)
    return file


def _expected(events: list[Event]) -> dict[str, list[tuple[str, int]]]:
    """Each user's items and seconds, oldest first; equal times in the order of the file."""
    found: dict[str, list[tuple[str, int]]] = {}
    for event in sorted((event for event in events if event.counts), key=lambda event: event.nanos):
        found.setdefault(event.user, []).append((event.item, event.nanos // SECOND))
    return found


def _read(dataset: Dataset) -> dict[str, list[tuple[str, int]]]:
    return {
        user: [
            (dataset.item_ids[dataset.items[place]], int(dataset.timestamps[place]))
            for place in range(dataset.offsets[number], dataset.offsets[number + 1])
        ]
        for number, user in enumerate(dataset.user_ids)
    }
