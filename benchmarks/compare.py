"""Find what changed between two sets of benchmark rows, and whether it is more than noise."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from lightrec.benchmarks.plan import ALL_BATCHES
from lightrec.benchmarks.report.absent import covers
from lightrec.benchmarks.report.columns import is_wrong, labels, limits_words, value
from lightrec.benchmarks.row_types import Row, ServerResult, SpeedRow, rows_of_kind
from lightrec.benchmarks.significance import Z, shift
from lightrec.errors import DataError

Measure = Callable[[str, SpeedRow, SpeedRow, float], "Change | None"]
"""A function from a variant's name, its rows and the tolerance to a change; None if one side was not measured."""

NOTED_DRIFT = 0.03
"""A relative change of the machine's speed beyond this is reported."""

MEMORY_NOISE = 0.01
"""The relative difference of one program's peak memory from run to run."""


ONE_FIGURE = "one figure, no interval"


class Key(NamedTuple):
    """Facts that two rows must share to be compared."""

    variant: str
    bundle: str | None
    """The bundle's name, if a file holds several."""
    threads: int | None
    limits: str
    """The limits in words; empty for none."""
    host: str | None
    """The host, if it was measured over ssh."""


Side = dict[Key, SpeedRow]
"""The rows of one file that count."""


@dataclasses.dataclass(frozen=True)
class Change:
    """One figure of one variant, before and after."""

    variant: str
    figure: str
    before: float
    after: float
    change: float
    """The relative change: 0.05 is five per cent more."""
    low: float | None
    """Lower end of the 99% interval of the change; None if the figure has no spread."""
    high: float | None
    verdict: str
    """``same``, ``tolerated``, ``better`` or ``worse``."""
    note: str = ""
    """Why a noisy figure has no interval."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The result of a comparison, with reasons to doubt it."""

    changes: list[Change]
    broken: list[str]
    """Variants that return wrong items after, and did not before."""
    lost: list[str]
    """A sentence for each variant and scenario that was measured before, and fails or is unavailable after."""
    warnings: list[str]

    @property
    def regressed(self) -> bool:
        """Return whether anything is worse by more than the tolerance, broken or lost."""
        return bool(self.broken or self.lost) or any(change.verdict == "worse" for change in self.changes)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {**dataclasses.asdict(self), "regressed": self.regressed}


def compare(
    before: Sequence[Row], after: Sequence[Row], tolerance: float = 0.05, max_ndcg_drop: float = 0.01
) -> Comparison:
    """Compare the speed rows of two runs, variant by variant.

    Latencies are compared by the medians of their rounds (see :mod:`~lightrec.benchmarks.significance`), quality, size
    and memory directly, throughput and sessions by one figure per side. A change beyond the tolerance that is more
    than noise is better or worse. For times, the change of the machine's speed, measured by a fixed loop, is first
    allowed for. If a side has several rows of a variant under the same conditions, the last one counts.

    Args:
        before: rows of the first run.
        after: rows of the second.
        tolerance: relative change of time, size and memory that is accepted.
        max_ndcg_drop: relative loss of NDCG@10 that is accepted.

    Raises:
        DataError: if no variant is on both sides.
    """
    sides = [_latest(rows) for rows in (before, after)]
    shared = [key for key in sides[0] if key in sides[1]]
    lost = [*lost_variants(sides, after), *lost_scenarios(sides, shared)]
    if not shared and not lost:
        names = [", ".join(map(_title, side)) or "no speed row" for side in sides]
        raise DataError(f"No variant is in both files ({names[0]} against {names[1]}): compare rows of like commands.")
    titles = dict(zip(shared, labels([sides[0][key] for key in shared]), strict=True))
    changes = []
    for key in shared:
        pair = (sides[0][key], sides[1][key])
        found = (measure(titles[key], *pair, tolerance) for measure in _MEASURES)
        changes += [change for change in (_ndcg(titles[key], *pair, max_ndcg_drop), *found) if change is not None]
    broken = [titles[key] for key in shared if is_wrong(sides[1][key]) and not is_wrong(sides[0][key])]
    return Comparison(changes, broken, lost, [*_missing(sides), *_doubts(sides, shared)])


def same_machine(a: SpeedRow, b: SpeedRow) -> bool:
    """Return whether two rows were measured on machines with the same processor, cores and memory."""
    parts = ("processor", "cores", "usable_cores", "memory_bytes")
    own = [[value(row, "machine", part) for part in parts] for row in (a, b)]
    return own[0] == own[1]


def machine_drift(before: SpeedRow, after: SpeedRow) -> float:
    """Return the time of the calibration loop after over that before; 1 where it was not timed."""
    loops = [value(row, "noise", "calibration_ms", "p50") for row in (before, after)]
    return loops[1] / loops[0] if all(loops) else 1.0


def _latest(rows: Sequence[Row]) -> Side:
    """Return the last row of each variant under each condition; names of bundles count only if there are several."""
    speed = rows_of_kind(rows, "speed")
    several = len({row.get("bundle") for row in speed}) > 1
    return {_key(row, several): row for row in speed}


def _key(row: Row, several: bool) -> Key:
    """Return the facts of a row that decide which row it is compared with."""
    bundle = row.get("bundle") if several else None
    return Key(row["variant"], bundle, row.get("threads"), limits_words(row), row.get("host"))


def _title(key: Key) -> str:
    """Return the variant's name with its unusual conditions."""
    return ", ".join(filter(None, (key.variant, key.bundle, key.limits, key.host and f"on {key.host}")))


def _timed(figure: str, probe: str) -> Measure:
    """Compare a latency by the medians of its rounds."""

    def of(variant: str, before: SpeedRow, after: SpeedRow, tolerance: float) -> Change | None:
        calls = [value(row, "latency_ms", probe) for row in (before, after)]
        if not all(calls):
            return None
        a, b = (call["p50"] for call in calls)
        found = shift(*(call["round_medians"] for call in calls))
        if found is None:
            return Change(variant, figure, a, b, b / a - 1, None, None, "same")
        drift = machine_drift(before, after)
        verdicts = []
        for middle, low, high in (found, [ratio / drift for ratio in found]):
            verdicts.append("same" if low <= 1 <= high else _verdict(middle - 1, tolerance))
        middle, low, high = (ratio - 1 for ratio in found)
        return Change(variant, figure, a, b, middle, low, high, _least(verdicts))

    return of


def _single(figure: str, *path: str, rate: bool = False) -> Measure:
    """Compare a time, or a rate, that a row holds as one number: the tolerance must cover its noise.

    As with latencies a change counts only as far as it is not the machine's.
    """

    def of(variant: str, before: SpeedRow, after: SpeedRow, tolerance: float) -> Change | None:
        a, b = value(before, *path), value(after, *path)
        if not a or b is None:
            return None
        drift = machine_drift(before, after)
        ratios = (b / a, b / a * drift if rate else b / a / drift)
        sign = -1 if rate else 1
        verdicts = {_verdict(sign * (ratio - 1), tolerance) for ratio in ratios}
        verdict = verdicts.pop() if len(verdicts) == 1 else "same"
        known = verdict if verdict in ("better", "worse") else "same"
        return Change(variant, figure, a, b, b / a - 1, None, None, known, ONE_FIGURE)

    return of


def _served(variant: str, before: SpeedRow, after: SpeedRow, tolerance: float) -> Change | None:
    """Compare the highest rate within the bound; rates whose possible ranges overlap do not differ."""
    a, b = value(before, "server"), value(after, "server")
    if not a or not b or a["p99_bound_ms"] != b["p99_bound_ms"] or not a["max_rate"]:
        return None
    spans = [_rate_span(server) for server in (a, b)]
    (low, high), (after_low, after_high) = spans
    change = after_low / low - 1
    drift = machine_drift(before, after)
    apart = after_low > high or after_high < low
    verdict = _least([_verdict(-(ratio - 1), tolerance) for ratio in (after_low / low, after_low / low * drift)])
    bounds = after_low / high - 1, after_high / low - 1
    return Change(variant, "served, a second", low, after_low, change, *bounds, verdict if apart else "same")


def _rate_span(server: ServerResult) -> tuple[float, float]:
    """Return the highest rate within the bound, 0 if there is none, and the lowest rate above it."""
    best = server["max_rate"] or 0.0
    return best, min((point["rate"] for point in server["curve"] if point["rate"] > best), default=best)


def _start(variant: str, before: SpeedRow, after: SpeedRow, tolerance: float) -> Change | None:
    """Compare cold starts; they do not differ where their ranges, minimum to maximum, overlap."""
    spans = value(before, "cold_start", "ms"), value(after, "cold_start", "ms")
    if not all(spans):
        return None
    a, b = spans
    change = b["median"] / a["median"] - 1
    apart = b["low"] > a["high"] or b["high"] < a["low"]
    bounds = b["low"] / a["high"] - 1, b["high"] / a["low"] - 1
    verdict = _verdict(change, tolerance) if apart else "same"
    return Change(variant, "start to first answer, ms", a["median"], b["median"], change, *bounds, verdict)


def _megabytes(figure: str, *path: str, noise: float = 0.0) -> Measure:
    """Compare sizes in bytes; relative changes up to ``noise`` are ignored."""

    def of(variant: str, before: SpeedRow, after: SpeedRow, tolerance: float) -> Change | None:
        a, b = value(before, *path), value(after, *path)
        if not a or b is None:
            return None
        change = b / a - 1
        verdict = "same" if abs(change) <= noise else _verdict(change, tolerance)
        return Change(variant, figure, a / 1e6, b / 1e6, change, None, None, verdict)

    return of


_MEASURES = (
    _timed("one request, ms", "recommend"),
    _timed("graph alone, ms", "graph"),
    _single("session step, ms", "session_ms", "p50"),
    # Batches of one are the single requests again.
    *(_single(f"batches of {size}, a second", "per_second", str(size), rate=True) for size in ALL_BATCHES),
    _served,
    _start,
    _megabytes("size, MB", "size_bytes"),
    _megabytes("peak memory, MB", "memory_bytes", "peak", noise=MEMORY_NOISE),
)


def _ndcg(variant: str, before: SpeedRow, after: SpeedRow, max_drop: float) -> Change | None:
    """Compare NDCG@10: exactly on the same cases, and by both intervals on different ones."""
    a, b = value(before, "quality", "ndcg@10"), value(after, "quality", "ndcg@10")
    if not a or not b or not a["value"]:
        return None
    change = b["value"] / a["value"] - 1
    bounds, certain = (None, None), True
    if _cases(before) != _cases(after) and None not in (a["low"], b["low"]):
        half = math.hypot(a["high"] - a["low"], b["high"] - b["low"]) / 2 / 1.96 * Z / a["value"]
        bounds, certain = (change - half, change + half), abs(change) > half
    verdict = _verdict(-change, max_drop) if certain else "same"
    return Change(variant, "NDCG@10", a["value"], b["value"], change, *bounds, verdict)


def _cases(row: SpeedRow) -> list[Any]:
    """Return the facts that decide which test cases a row was measured on."""
    data = row.get("data") or {}
    return [data.get("name"), data.get("checksum"), data.get("source"), row.get("seed"), value(row, "quality", "cases")]


def _least(verdicts: Sequence[str]) -> str:
    """Return the verdict that two verdicts agree on."""
    if len(set(verdicts)) == 1:
        return verdicts[0]
    return "same" if "same" in verdicts or "tolerated" not in verdicts else "tolerated"


def _verdict(change: float, tolerance: float) -> str:
    """Return the verdict on a change that exceeds the noise, where an increase is worse."""
    if change == 0:
        return "same"
    if abs(change) <= tolerance:
        return "tolerated"
    return "worse" if change > 0 else "better"


def lost_variants(sides: Sequence[Side], after: Sequence[Row]) -> list[str]:
    """List what was measured before and is absent after, although it was requested."""
    absent = [row for row in after if row["kind"] == "absent" and row.get("requested", True)]
    found = []
    for key in sides[0]:
        row = next((row for row in absent if key not in sides[1] and _is_absence(row, key)), None)
        if row is not None:
            found.append(f"{_title(key)} was measured before and is absent now: {row['reason']}")
    return found


def _is_absence(row: Row, key: Key) -> bool:
    """Return whether an ``absent`` row concerns what was measured under ``key``; without conditions, any of it."""
    own = _key(row, key.bundle is not None)
    return covers(own.variant, key.variant) and ("threads" not in row or own[1:] == key[1:])


def lost_scenarios(sides: Sequence[Side], shared: Sequence[Key]) -> list[str]:
    """List the scenarios that fail after and did not before."""
    return [
        f"{_title(key)}: {scenario} fails now: {reason}"
        for key in shared
        for scenario, reason in (sides[1][key].get("failed") or {}).items()
        if scenario not in (sides[0][key].get("failed") or {})
    ]


def _missing(sides: Sequence[Side]) -> list[str]:
    words = ("the first", "the second")
    return [
        f"{_title(key)} is in {word} file only."
        for side, other, word in zip(sides, reversed(sides), words, strict=True)
        for key in side
        if key not in other
    ]


def _doubts(sides: Sequence[Side], shared: Sequence[Key]) -> list[str]:
    found = []
    pairs = [(sides[0][key], sides[1][key]) for key in shared]
    if not all(same_machine(*pair) for pair in pairs):
        found.append("The two were measured on different machines: times say little.")
    # Synthetic histories have no checksum; their source describes how they were made.
    if any(value(a, "data", key) != value(b, "data", key) for a, b in pairs for key in ("checksum", "source")):
        found.append("The two were asked about different data: compare with care.")
    drift = max((machine_drift(*pair) for pair in pairs), key=lambda ratio: abs(ratio - 1), default=1.0)
    if abs(drift - 1) > NOTED_DRIFT:
        found.append(
            f"The machine itself ran {abs(drift - 1):.0%} {'slower' if drift > 1 else 'faster'} the second time."
        )
    for name, side in zip(("first", "second"), sides, strict=True):
        warnings = dict.fromkeys(value(row, "noise", "warning") for row in side.values())
        found += [f"Of the {name}: {words}" for words in warnings if words]
    return found
