"""Comma-separated logs changed by hand: lines moved, doubled or deleted, ids and times changed, values dropped.

What such a text must be read as is told by a reader of a few lines that shares nothing with lightrec's.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from campaigns.campaign import Campaign, Outcome
from campaigns.log_files import Log, Sequences, histories, make_log

from lightrec.data.prepare import prepare
from lightrec.errors import LightrecError

CHARACTERS = "abcXYZ0123456789._-#é"


class EditedLogCampaign(Campaign):
    """A plain log is edited at one to six places; its sequences are those that the edited text says."""

    name = "edited-logs"
    promise = "An edited log is read as it then says, or refused with one sentence where a row has lost its form."

    def prepare(self, folder: Path) -> None:
        self.folder = folder

    def attempt(self, random: random.Random) -> Outcome:
        place = self.folder / "attempt"
        place.mkdir()
        try:
            header, *rows = _lines(make_log(random, awkward=False))
            kinds = [_edit(rows, random) for _ in range(random.randint(1, 6))]
            (place / "log.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
            return _outcome(place, _read_plainly(rows), "broken" if "broken" in kinds else "edited")
        finally:
            shutil.rmtree(place)


def _lines(log: Log) -> list[str]:
    return [",".join(map(str, row)) for row in (log.header, *log.rows)]


def _edit(rows: list[str], choices: random.Random) -> str:
    """Change the rows at one place; "broken" if one of them is then not as wide as the header."""
    place, other = (choices.randrange(len(rows)) for _ in range(2))
    cells = rows[place].split(",")
    way = choices.choice(("move", "double", "delete", "blank", "spaces", "id", "id", "time", "break"))
    if way == "move":
        rows[place], rows[other] = rows[other], rows[place]
    elif way == "double":
        rows.insert(other, rows[place])
    elif way == "delete" and len(rows) > 1:
        del rows[place]
    elif way == "blank":
        rows.insert(place, choices.choice(("", "  ", "\t")))
    elif len(cells) == 3:
        rows[place] = ",".join(_change(cells, way, choices))
        return "broken" if way == "break" else "edited"
    return "edited"


def _change(cells: list[str], way: str, choices: random.Random) -> list[str]:
    user, item, time = cells
    if way == "spaces":
        return [f" {user}", f"{item}  ", f" {time} "]
    if way == "time":
        return [user, item, str(int(time) + choices.randint(-100_000, 100_000))]
    if way == "break":
        return choices.choice(([user, item], [user, item, time, time]))
    changed = "".join(choices.choice(CHARACTERS) for _ in range(choices.randint(1, 5)))
    return choices.choice(([f"u{changed}", item, time], [user, f"i{changed}", time]))


def _read_plainly(rows: list[str]) -> Sequences | None:
    """Each user's items by time, equal times in the order of the rows; None if a row is not of three values."""
    events: dict[str, list[tuple[int, str]]] = {}
    for row in rows:
        if row.strip():
            cells = [cell.strip() for cell in row.split(",")]
            if len(cells) != 3:
                return None
            events.setdefault(cells[0], []).append((int(cells[2]), cells[1]))
    return {user: [item for _, item in sorted(of, key=lambda event: event[0])] for user, of in events.items()}


def _outcome(place: Path, expected: Sequences | None, kind: str) -> Outcome:
    try:
        dataset = prepare(place / "log.csv", place / "out", k_core=0, drop_repeats=False)
    except LightrecError as error:
        if expected:
            return Outcome.other(kind, f"a good log is refused: {error}")
        return Outcome.refused(kind, str(error))
    read = histories(dataset)
    if expected is None:
        return Outcome.other(kind, f"a broken row is read, as {read}")
    return Outcome.right(kind) if read == expected else Outcome.other(kind, f"read as {read} instead of {expected}")
