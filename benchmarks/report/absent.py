"""List what could not be measured, with the reason."""

from __future__ import annotations

from collections.abc import Sequence

from lightrec.benchmarks.row_types import Row


def absent(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of what could not run and no other row measured, then what failed later.

    >>> names = [("speed", "torch fp32"), ("absent", "torch"), ("absent", "OpenVINO")]
    >>> [row["variant"] for row in absent([{"kind": kind, "variant": name} for kind, name in names])]
    ['OpenVINO']
    >>> absent([{"kind": "speed", "variant": "torch fp32", "failed": {"server": "torch fp32 failed: MemoryError"}}])
    [{'variant': 'torch fp32, server', 'reason': 'torch fp32 failed: MemoryError'}]
    """
    measured = [row for row in rows if row["kind"] == "speed"]
    missing = [row for row in rows if row["kind"] == "absent"]
    return [
        *(row for row in missing if not any(covers(row["variant"], other["variant"]) for other in measured)),
        *(
            {"variant": f"{row['variant']}, {scenario}", "reason": reason}
            for row in measured
            for scenario, reason in (row.get("failed") or {}).items()
        ),
    ]


def absent_lines(rows: Sequence[Row]) -> list[str]:
    """Return a sentence for each variant that could not run here, with the way to get it."""
    return [f"{row['variant']}: {row['reason']}" for row in absent(rows)]


def covers(absent: str, variant: str) -> bool:
    """Return whether an absent name is that of a variant, or of the runtime and device that it runs on.

    >>> covers("ONNX Runtime CUDA", "ONNX Runtime CUDA int8"), covers("torch", "torch.compile fp32")
    (True, False)
    """
    return f"{variant} ".startswith(f"{absent} ")
