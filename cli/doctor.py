"""``lightrec doctor``: what this machine can run, what is missing, and how to get it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from lightrec.cli.options import JsonOption, console, print_json

if TYPE_CHECKING:
    from lightrec.machine.doctor import Diagnosis


def doctor(json: JsonOption = False) -> None:
    """Show what this machine can run, and what is missing.

    Versions, processor features, memory, runtimes and extras: for yourself or for a bug report. It changes nothing and
    sends nothing anywhere; the runtimes' own reports are switched off. Exits with code 2 if the base installation does
    not work.

    **Examples**

    ```
    lightrec doctor
    lightrec doctor --json
    ```
    """
    from lightrec.machine.doctor import diagnose, require_healthy

    diagnosis = diagnose()
    if json:
        print_json(dataclasses.asdict(diagnosis))
    else:
        _print_machine(diagnosis)
        _print_extras(diagnosis)
    require_healthy(diagnosis)


def _print_machine(diagnosis: Diagnosis) -> None:
    memory = "not told" if diagnosis.memory_bytes is None else f"{diagnosis.memory_bytes / 2**30:.1f} GiB"
    features = "not told" if diagnosis.features is None else ", ".join(diagnosis.features) or "none known"
    devices = [f"{device} ({name})" for device, name in diagnosis.openvino_devices.items()]
    _print_pairs(
        "This machine",
        {
            "system": diagnosis.system,
            "processor": diagnosis.processor or "not told",
            "features": features,
            "cores": f"{diagnosis.usable_cores:g} usable of {diagnosis.cores}",
            "memory": memory,
            "ONNX Runtime": ", ".join(diagnosis.onnxruntime_providers) or "cannot be loaded",
            "OpenVINO": ", ".join(devices) or "not available",
        },
    )
    versions = {"Python": diagnosis.python} | {name: found or "-" for name, found in diagnosis.packages.items()}
    _print_pairs("Versions", versions)


def _print_pairs(title: str, pairs: dict[str, str]) -> None:
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", show_header=False)
    table.add_column(style="dim")
    table.add_column()
    for name, value in pairs.items():
        table.add_row(name, value)
    console.print(table)


def _print_extras(diagnosis: Diagnosis) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("extra", "state", "to get it", title="Extras", title_justify="left", title_style="bold")
    table.add_row("base", Text("broken", "red") if diagnosis.problems else Text("complete", "green"), "")
    for extra, missing in diagnosis.extras.items():
        if missing:
            table.add_row(
                extra, Text(f"lacks {', '.join(missing)}", "yellow"), Text(f"pip install 'lightrec[{extra}]'")
            )
        else:
            table.add_row(extra, Text("complete", "green"), "")
    console.print(table)
