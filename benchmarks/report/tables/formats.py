"""Format numbers and facts of rows as text."""

from __future__ import annotations

from lightrec.benchmarks.row_types import Quality, Row


def milliseconds(value: float) -> str:
    """Format milliseconds with three significant digits.

    >>> milliseconds(0.0634), milliseconds(1.234), milliseconds(9.997), milliseconds(1234.5)
    ('0.063', '1.23', '10.0', '1,234')
    """
    decimals = next((digits for limit, digits in ((0.9995, 3), (9.995, 2), (99.95, 1)) if value < limit), 0)
    return f"{value:,.{decimals}f}"


def megabytes(size: float) -> str:
    """Format bytes as megabytes (10^6) with at least two significant digits.

    >>> megabytes(774_000), megabytes(12_345_678)
    ('0.77', '12.3')
    """
    return f"{size / 1e6:.2f}" if size < 10e6 else f"{size / 1e6:.1f}"


def times(ratio: float) -> str:
    """Format a ratio of speeds.

    >>> times(1.04), times(12.34)
    ('1.0×', '12×')
    """
    return f"{ratio:.1f}×" if ratio < 10 else f"{ratio:.0f}×"


def per_second(value: float) -> str:
    """Format histories per second in at most six characters.

    >>> per_second(862.4), per_second(3422), per_second(26_372), per_second(151_000)
    ('862', '3,422', '26.4k', '151k')
    """
    return f"{value:,.0f}" if value < 10e3 else f"{value / 1e3:.1f}k" if value < 100e3 else f"{value / 1e3:.0f}k"


def drop(quality: Quality | None) -> str:
    """Format the relative change of NDCG@10, negative for a loss; empty if not measured.

    >>> drop({"ndcg_drop": 0.0012}), drop(None)
    ('-0.12%', '')
    """
    if quality is None or quality["ndcg_drop"] is None:
        return ""
    change = round(-100 * quality["ndcg_drop"], 2)
    return f"{change:+.2f}%" if change else "0.00%"


def of_teacher(row: Row) -> str:
    """Format the share of the teacher's NDCG@10; empty without a teacher.

    >>> of_teacher({"quality": {"of_teacher": 0.9968}}), of_teacher({"quality": None})
    ('99.7%', '')
    """
    share = (row.get("quality") or {}).get("of_teacher")
    return "" if share is None else f"{share:.1%}"


def threads(row: Row) -> str:
    """Format the number of threads: ``1 thread``, ``2 threads``."""
    return f"{row['threads']} thread{'s' if row['threads'] > 1 else ''}"


def machine_line(row: Row) -> str:
    """Describe the machine in a few words: processor, cores, memory, system."""
    machine = row["machine"]
    memory = machine["memory_bytes"]
    parts = [
        machine["processor"] or "unknown processor",
        f"{machine['usable_cores']:g} cores usable",
        "" if memory is None else f"{memory / 2**30:.0f} GiB",
        machine["system"],
    ]
    return ", ".join(part for part in parts if part)
