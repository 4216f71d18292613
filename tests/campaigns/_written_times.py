"""Known times written in many forms, for the campaign of values: the oracle knows the time, never the form."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
YEARS = (1980, 2029)
"""Of numbers: seconds of 2030 to 2036 may look like dates as digits (2030010112), milliseconds of 1976 likewise."""
ZONES = ("", "Z", " UTC", " GMT", "+00", "+0000", "+00:00", "offset")


@dataclasses.dataclass(frozen=True)
class Form:
    """One way to write times."""

    name: str
    precision: int
    """Nanoseconds that are kept."""
    write: Callable[[int], object]
    """From nanoseconds since 1970, a multiple of ``precision``, to a cell."""
    time_format: str | None = None
    """What ``--time-format`` must say; without it the form must be refused."""
    years: tuple[int, int] = (1991, 2026)


def moment(nanos: int, zone: timezone = UTC) -> datetime:
    """The time to the microsecond."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanos // 1000)).astimezone(zone)


def any_form(choices: random.Random) -> Form:
    """A random form with all its details chosen."""
    return choices.choice(MAKERS)(choices)


def iso(choices: random.Random) -> Form:
    """ISO 8601: basic or extended, with any fraction and zone."""
    basic, mark, digits = choices.random() < 0.3, choices.choice("T t_"), choices.choice([0, 0, 1, 3, 6, 9])
    comma = choices.choice(".,")
    zone = choices.choice(ZONES)
    minutes = choices.choice([0, 60, 120, 330, -210, 840, -720, 45])
    clock = choices.choice(["%H:%M:%S", "%H:%M"]) if not digits else "%H:%M:%S"
    date = "%Y%m%d" if basic else choices.choice(["%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d"])
    precision = SECOND // 10**digits if digits else SECOND * (1 if "%S" in clock else 60)

    def write(nanos: int) -> str:
        offset = minutes if zone == "offset" else 0
        local = moment(nanos, timezone(timedelta(minutes=offset)))
        form = date + "T" + clock.replace(":", "") if basic else date + mark + clock
        text = local.strftime(form) + (comma + f"{nanos % SECOND:09d}"[:digits] if digits else "")
        sign, hours, rest = "-" if offset < 0 else "+", *divmod(abs(offset), 60)
        return text + (f"{sign}{hours:02d}:{rest:02d}" if zone == "offset" else zone)

    return Form(f"ISO 8601{' basic' if basic else ''}", precision, write, years=(1900, 2200))


def day(choices: random.Random) -> Form:
    """Dates alone."""
    numeric = ("%Y-%m-%d", "%Y/%m/%d", "%G-W%V-%u", "%GW%V%u", "%Y-%j", "%Y%m%d", "%m %d, %Y")
    form = choices.choice([*numeric, "%d %B %Y", "%B %d, %Y", "%d-%b-%Y"])
    return Form(f"date {form}", DAY, lambda nanos: moment(nanos).strftime(form))


def words(choices: random.Random) -> Form:
    """Months by their names, with a time of day."""
    form = choices.choice(
        [
            *("%a, %d %b %Y %H:%M:%S GMT", "%a, %d %b %Y %H:%M:%S +0000", "%a %b %d %H:%M:%S +0000 %Y"),
            *("%a %b %d %H:%M:%S %Y", "%b %d, %Y %I:%M:%S %p", "%d %B %Y %H:%M:%S"),
            *("%a %b %d %Y %H:%M:%S GMT+0000 (UTC)", "%Y-%m-%d %I:%M:%S %p", "%B %d, %Y at %I:%M:%S %p"),
        ]
    )
    return Form(f"words {form}", SECOND, lambda nanos: moment(nanos).strftime(form))


def digits(choices: random.Random) -> Form:
    """Dates as digits: text or whole numbers."""
    form, precision = choices.choice([("%Y%m%d", DAY), ("%Y%m%d%H%M", 60 * SECOND), ("%Y%m%d%H%M%S", SECOND)])
    kind = choices.choice([str, int, float])
    return Form(f"digits {form}", precision, lambda nanos: kind(moment(nanos).strftime(form)))


def number(choices: random.Random) -> Form:
    """Numbers since 1970 in any unit: whole, as floats, in scientific notation."""
    units = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
    name, per_second = choices.choice(list(units.items()))
    style = choices.choice(["whole", "text", "float", "scientific"])
    if style in ("whole", "text"):
        kind, unit = int if style == "whole" else str, SECOND // per_second
        return Form(f"{name} {style}", unit, lambda nanos: kind(nanos // unit), years=YEARS)
    precision = 10**6 if name == "nanoseconds" else 1000  # what a float tells apart
    if style == "float":
        return Form(f"{name} float", precision, lambda nanos: nanos * per_second / SECOND, years=YEARS)
    return Form(f"{name} scientific", precision, lambda nanos: f"{nanos * per_second / SECOND:.18e}", years=YEARS)


def figures(choices: random.Random) -> Form:
    """Day and month in figures, the year last: only with --time-format."""
    dates = ["%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%m/%d/%y", "%d-%m-%Y"]
    form = choices.choice(dates) + choices.choice([" %H:%M:%S", " %I:%M:%S %p"])
    return Form(f"figures {form}", SECOND, lambda nanos: moment(nanos).strftime(form), time_format=form)


MAKERS = (iso, iso, iso, day, words, digits, number, number, figures)
