"""Read and write result rows: JSON lines, each with all that is needed to judge or repeat it.

``lightrec bench`` writes rows of three kinds; docs/bench.md tells every field, its unit and how it is measured.

    speed        one for each variant: variant, backend, precision, device, size_bytes, load_ms, versions, k,
                 latency_ms {recommend, graph}: count, mean, min, p50, p90, p99, p999, round_medians, speedup,
                 histogram, warmup; per_second by batch size, cpu_ms_per_call, memory_bytes {peak, steady},
                 energy_mj_per_call, cold_start, session_ms, server, streams, threads_scaling, soak, agreement, quality,
                 failed
    catalogue    variant, precision, n_items, size_bytes, latency_ms
    absent       variant, reason, asked

All carry the context: bundle, data, teacher, what was asked for, limits, noise, time taken, versions, machine. What was
not asked for, or what the machine does not tell, is null.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lightrec.benchmarks.fingerprint import fingerprint
from lightrec.errors import ConfigError, DataError
from lightrec.files.atomic import json_text, new_file
from lightrec.machine.doctor import diagnose

REQUIRED_FIELDS: dict[str, dict[str, type]] = {
    "speed": {"variant": str, "bundle": str, "data": dict, "latency_ms": dict},
    "quality": {"label": str, "metrics": dict},
    "absent": {"variant": str, "reason": str},
}
"""The required fields of each kind of row, with their types."""


def machine() -> dict[str, Any]:
    """Describe the machine: processor, cores, memory, system, versions, and its fingerprint."""
    facts = dataclasses.asdict(diagnose())
    packages = {name: found for name, found in facts["packages"].items() if found is not None}
    names = ("processor", "features", "cores", "usable_cores", "memory_bytes", "system", "python", "openvino_devices")
    return {**{name: facts[name] for name in names}, "packages": packages, **fingerprint()}


def software() -> dict[str, str | None]:
    """Return lightrec's version and, in a checkout, its commit (``-dirty`` with uncommitted changes)."""
    return {"lightrec_version": version("lightrec"), "commit": _commit(Path(__file__).resolve().parents[1])}


def append_rows(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Add rows to a JSON lines file, created if missing; the file is replaced atomically, under its lock.

    Raises:
        ConfigError: if the file holds something else; it is not changed.
    """
    require_json_lines(path)
    lines = "".join(json_text(row) + "\n" for row in rows).encode()
    with new_file(path) as beside:
        before = path.read_bytes() if path.exists() else b""
        between = b"\n" if before and not before.endswith(b"\n") else b""
        beside.write_bytes(before + between + lines)


def require_json_lines(path: Path) -> None:
    """Refuse an existing file that rows cannot be added to, such as somebody's log.

    Raises:
        ConfigError: if its first line is not a JSON object.
    """
    if not path.is_file():
        return
    with path.open("rb") as file:
        first = file.readline().decode("utf-8-sig", errors="replace")
    if first.strip() and not isinstance(_parsed(first), dict):
        raise ConfigError(f"{path} exists and holds no JSON lines, so rows cannot be added to it: name another file.")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a JSON lines file, or of one JSON list, as ``lightrec bench --json`` prints it.

    Raises:
        DataError: if a line, or an entry of the list, is not a JSON object with a ``kind``.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path} holds no result rows: it is no text in UTF-8.") from None
    whole = _parsed(text) if text.lstrip().startswith("[") else None
    word, found = ("Entry", whole) if isinstance(whole, list) else ("Line", map(_parsed, text.splitlines()))
    rows = []
    for number, row in enumerate(found, start=1):
        if not isinstance(row, dict) or not _is_row(row):
            raise DataError(
                f"{word} {number} of {path} is no result row (a JSON object with a kind): remove the "
                f"{word.lower()}, or give a file that lightrec bench wrote."
            )
        rows.append(row)
    return rows


def _is_row(row: dict[str, Any]) -> bool:
    """Return whether a row has a kind, and the fields that rows of that kind require."""
    kind = row.get("kind")
    needed: dict[str, type] = REQUIRED_FIELDS.get(kind, {}) if isinstance(kind, str) else {"kind": str}
    return all(isinstance(row.get(name), wanted) for name, wanted in needed.items())


def _parsed(text: str) -> Any:
    """Parse JSON; None if the text is not JSON, or holds NaN or infinity."""
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None


def _no_number(word: str) -> Any:
    raise ValueError(word)


@contextlib.contextmanager
def as_measured(*files: Path) -> Iterator[None]:
    """Refuse rows of ``files`` that the body cannot use because fields are missing or of another type.

    Raises:
        DataError: naming the files and what is wrong.
    """
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        names = " and ".join(map(str, dict.fromkeys(files)))
        reason = (str(error).strip().splitlines() or [""])[0]
        raise DataError(
            f"A row of {names} is not as lightrec bench writes it ({type(error).__name__}: {reason}): measure again."
        ) from None


def _commit(checkout: Path) -> str | None:
    if not (checkout / ".git").exists():
        return None
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        output = subprocess.run(command, capture_output=True, check=True, timeout=10).stdout
        return output.decode(errors="replace").strip() or None
    except (OSError, subprocess.SubprocessError):
        return None
