"""Write the report's section about machines, runs and commands."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from lightrec.benchmarks.report.columns import teacher_words, value
from lightrec.benchmarks.report.tables.formats import machine_line, megabytes
from lightrec.benchmarks.report.tables.render_html import section
from lightrec.benchmarks.row_types import SpeedRow


def machine_section(rows: Sequence[SpeedRow]) -> str:
    """Return the section with the machines, the runs and the commands."""
    machines: dict[str, list[SpeedRow]] = {}
    for row in rows:
        machines.setdefault(str(row.get("machine")), []).append(row)
    lists = []
    for own in machines.values():
        facts = [_facts(row) for row in own]
        merged = {name: "; ".join(dict.fromkeys(fact[name] for fact in facts if fact[name])) for name in facts[0]}
        pairs = "".join(f"<dt>{escape(name)}</dt><dd>{escape(words)}</dd>" for name, words in merged.items() if words)
        lists.append(f"<dl>{pairs}</dl>")
    commands = "\n".join(dict.fromkeys(row["command"] for row in rows if row.get("command")))
    note = (
        "The variants of a command take turns, round by round, after a warm-up, on the same histories; nothing is left "
        "out. Ratios are taken within each round: their median, with the quartiles."
    )
    return section("How it was measured", note, f"{''.join(lists)}<pre>{escape(commands)}</pre>")


def _facts(row: SpeedRow) -> dict[str, str]:
    """Return the facts needed to judge or repeat a row; empty where unknown."""
    machine = row.get("machine") or {}
    packages = machine.get("packages") or {}
    versions = ", ".join(f"{name} {version}" for name, version in packages.items() if name != "lightrec")
    own = ", ".join(f"{name} {version}" for name, version in (row.get("versions") or {}).items())
    checksum = value(row, "data", "checksum")
    return {
        "Machine": machine_line(row) if machine else "",
        "Processor features": ", ".join(machine.get("features") or []),
        **{name: _plain(machine.get(key)) for name, key in _MORE.items()},
        "Threads": _plain(row.get("threads")),
        "Limits": _limits(row),
        "Versions": f"Python {machine.get('python')}, {versions}" if versions else "",
        "Versions of others": f"{row['variant']}: {own}" if own else "",
        "lightrec": row.get("lightrec_version") or "",
        "Commit": row.get("commit") or "not in a checkout",
        "Bundle": f"{row.get('bundle')}: {row.get('model_type')}, {row['n_items']:,} items" if "n_items" in row else "",
        "Data": value(row, "data", "name") + (f", checksum {checksum[:12]}" if checksum else ""),
        "Teacher": teacher_words(row),
        "Measured": (row.get("time") or "").replace("T", " ").replace("+00:00", " UTC"),
        "Time taken": _duration(row.get("elapsed_seconds")),
    }


_MORE = {
    "Frequency policy": "governor",
    "MHz": "mhz",
    "Graphics processors": "gpus",
    "OpenVINO devices": "openvino_devices",
    "Container": "container",
    "Hypervisor": "virtual",
    "Power": "power",
}
"""Further facts of a machine, by their name in rows."""


def _plain(fact: Any) -> str:
    """Format a fact: the entries of dictionaries and lists one after the other."""
    if isinstance(fact, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_plain(part)}" for name, part in fact.items() if part is not None)
    if isinstance(fact, list):
        return ", ".join(map(_plain, fact))
    if isinstance(fact, float):
        return f"{fact:,.0f}" if fact >= 100 else f"{fact:g}"
    return "" if fact is None else f"{fact:,}" if isinstance(fact, int) else str(fact)


def _duration(seconds: float | None) -> str:
    """Format the duration of a whole command.

    >>> _duration(412.6), _duration(59.9), _duration(None)
    ('6 min 53 s', '60 s', '')
    """
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if seconds >= 60 else f"{seconds:.0f} s"


def _limits(row: SpeedRow) -> str:
    limits = row.get("limits") or {}
    memory = limits.get("memory_bytes")
    parts = [
        limits.get("profile") or "",
        f"{limits['cores']} core{'' if limits['cores'] == 1 else 's'}" if limits.get("cores") else "",
        f"{megabytes(memory)} MB of memory" if memory else "",
        f"enforced by {_plain(limits['enforced_by'])}" if limits.get("enforced_by") else "",
    ]
    return ", ".join(part for part in parts if part)
