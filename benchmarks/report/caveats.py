"""List reasons to doubt measured rows."""

from __future__ import annotations

from collections.abc import Sequence

from lightrec.benchmarks.report.columns import is_wrong, labels, value
from lightrec.benchmarks.row_types import SpeedRow


def caveats(rows: Sequence[SpeedRow]) -> list[str]:
    """Return a sentence for each reason to doubt speed rows: noise, wrong items, several machines."""
    # Of several runs on a machine the one with the most noise speaks for all.
    noisy = [
        (value(row, "noise", "spread") or 0.0, warning) for row in rows if (warning := value(row, "noise", "warning"))
    ]
    found = [max(noisy)[1]] if noisy else []
    for name, row in zip(labels(rows), rows, strict=True):
        if is_wrong(row):
            why = value(row, "agreement", "flag") or "its answers differ from the reference's"
            found.append(f"Do not use {name}: {why}")
    machines = dict.fromkeys(value(row, "machine", "processor") or "an unknown processor" for row in rows)
    if len(machines) > 1:
        found.append(f"The rows come from different machines ({', '.join(machines)}): compare times with care.")
    return [words if words.endswith(".") else f"{words}." for words in dict.fromkeys(found)]
