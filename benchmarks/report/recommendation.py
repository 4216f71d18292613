"""Recommend a variant, with the reason, in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

from lightrec.benchmarks.report.columns import is_wrong, labels, retained_quality, value
from lightrec.benchmarks.report.tables.formats import megabytes, milliseconds, of_teacher, times
from lightrec.benchmarks.row_types import SpeedRow

ALLOWED_DROP = 0.01
"""The fastest variant is recommended that keeps all but this share of NDCG@10."""


def choose(rows: Sequence[SpeedRow]) -> SpeedRow:
    """Choose the fastest row that retains the quality; no peer, and none with wrong items unless all have them.

    Rows without a size are peers: they stand for speed alone.
    """
    ours = [row for row in rows if row["size_bytes"] is not None] or list(rows)
    right = [row for row in ours if not is_wrong(row)] or ours
    limit = least_quality(right)
    keeping = [row for row in right if limit is None or (ndcg(row) or 0.0) >= limit - 1e-12] or right
    return min(keeping, key=lambda row: row["latency_ms"]["recommend"]["p50"])


def least_quality(rows: Sequence[SpeedRow]) -> float | None:
    """Return the NDCG@10 that the recommended variant must reach: the best reference's, less the allowed share."""
    references = [found for row in rows if (found := _reference(row)) is not None]
    return (1 - ALLOWED_DROP) * max(references) if references else None


def ndcg(row: SpeedRow) -> float | None:
    """Return a row's NDCG@10; None if it was not measured."""
    return value(row, "quality", "ndcg@10", "value")


def summary(rows: Sequence[SpeedRow], machine: str | None = None) -> str:
    """Recommend, in one sentence, the fastest variant that retains the quality.

    Where a teacher was asked, it tells the share of the teacher's NDCG@10, else that of the reference's.
    """
    row = choose(rows)
    name = row["variant"]
    if sum(other["variant"] == name for other in rows) > 1:
        name = labels(rows)[next(place for place, other in enumerate(rows) if other is row)]
    call = row["latency_ms"]["recommend"]
    facts = [f"{milliseconds(call['p50'])} ms from ids to titles"]
    over, reference = value(call, "speedup", "over"), value(row, "quality", "compared_with")
    if over not in (None, row["variant"]):
        facts[0] += f" ({times(call['speedup']['value'])} as fast as {over})"
    if share := of_teacher(row):
        facts.append(f"{share} of the teacher's NDCG@10 ({value(row, 'teacher', 'name')})")
    elif reference not in (None, row["variant"]) and (share := retained_quality(row["quality"])):
        facts.append(f"{share} of {'its' if reference == over else reference + chr(39) + 's'} NDCG@10")
    elif (quality := ndcg(row)) is not None:
        facts.append(f"NDCG@10 {quality:.4f}")
    machines = {value(other, "machine", "processor") for other in rows}
    own = "this machine" if len(machines) == 1 else f"{value(row, 'machine', 'processor') or 'an unknown processor'}"
    size = [] if row["size_bytes"] is None else [f"{megabytes(row['size_bytes'])} MB"]
    return f"On {machine or own} take {name}: {', '.join([*facts, *size])}."


def _reference(row: SpeedRow) -> float | None:
    """Return the NDCG@10 of the variant that the row is compared with."""
    own, lost = ndcg(row), value(row, "quality", "ndcg_drop")
    return own if own is None or lost is None or lost >= 1 else own / (1 - lost)
