"""``lightrec export``: a finished student becomes a bundle that runs without torch."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lightrec.cli.options import JsonOption, OutOption, console, print_json

if TYPE_CHECKING:
    from lightrec.export.pipeline import ExportReport


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder written by lightrec train or distill.")],
    out: OutOption,
    format: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            help="onnx, openvino; for phones ort (ONNX Runtime's), litert, executorch; repeatable.  [default: onnx]",
            show_default=False,
        ),
    ] = None,
    precision: Annotated[
        Literal["fp32", "fp16", "int8", "int8-static", "int4", "auto"],
        typer.Option(
            help="How the weights are stored (int4: onnx alone; litert, executorch: fp32 alone); int8-static computes "
            "the layers in 8 bits too, calibrated on the data's histories; auto takes the fastest here that keeps its "
            "quality."
        ),
    ] = "int8",
    max_ndcg_drop: Annotated[
        float, typer.Option(help="Share of NDCG@10 that may be lost on validation users.", min=0, max=1)
    ] = 0.01,
    data: Annotated[
        Path | None,
        typer.Option(help="The data set of the run.  [default: the path recorded in the run]", show_default=False),
    ] = None,
    titles: Annotated[bool, typer.Option("--titles/--no-titles", help="Put the items' titles into the bundle.")] = True,
    k_limit: Annotated[int, typer.Option(help="Longest ranking that the bundle can return.", min=1)] = 100,
    json: JsonOption = False,
) -> None:
    """Export a student as a bundle: model, item ids, titles and the proof that it still ranks as trained.

    Before anything is written, the exported model answers real validation histories in its own runtime and is
    compared with the trained one: equal rankings for fp32, NDCG@10 within --max-ndcg-drop for the others.

    **Examples**

    ```
    lightrec export runs/student --out bundles/student
    lightrec export runs/student --format onnx --format openvino --precision fp32 --out bundles/exact
    lightrec export runs/student --precision auto --max-ndcg-drop 0.005 --no-titles --out bundles/small
    ```
    """
    from lightrec.export.pipeline import export_bundle

    with console.status("Starting") as status:
        report = export_bundle(
            run,
            out,
            formats=tuple(format or ("onnx",)),
            precision=precision,
            data=data,
            max_ndcg_drop=max_ndcg_drop,
            titles=titles,
            k_limit=k_limit,
            progress=lambda step: None if json else status.update(f"{step} ..."),
        )
    if json:
        print_json({"path": str(report.path), "deployed_bytes": report.deployed_bytes, "gate": report.manifest.gate})
    else:
        _print_report(report)


def _print_report(report: ExportReport) -> None:
    from rich.table import Table

    manifest = report.manifest
    console.print(f"{report.path}: {manifest.model_type}, {manifest.n_items:,} items", soft_wrap=True, highlight=False)
    table = Table(title="Exported models beside the trained one", title_justify="left", title_style="bold")
    for column in ("runtime", "precision"):
        table.add_column(column, no_wrap=True)
    for column in ("size", "NDCG@10 trained", "exported", "change", "top-10 overlap"):
        table.add_column(column, justify="right")
    for model, parity in zip(manifest.models, report.parity, strict=True):
        table.add_row(
            model.backend,
            model.precision,
            size(sum(manifest.files[name].bytes for name in model.files)),
            f"{parity.ndcg_model:.4f}",
            f"{parity.ndcg_exported:.4f}",
            f"{0.0 - parity.ndcg_drop:+.2%}",
            f"{parity.top10_overlap:.2%}",
        )
    console.print(table)
    for told in manifest.gate["models"]:
        if told["precision"] != "fp32" and not told.get("speed", {}).get("faster_than_fp32", True):
            console.print(f"{told['backend']} {told['precision']} is smaller than fp32, but no faster here.")
    console.print(
        f"Compared on {report.parity[0].cases:,} validation histories; golden cases verified in every runtime.\n"
        f"A device needs {size(report.deployed_bytes)}: everything but the titles."
    )
    again = shlex.join(["lightrec", "bench", str(report.path)])
    console.print(f"\nNext:  {again}", soft_wrap=True, highlight=False)


def size(count: int) -> str:
    """A number of bytes for people: 1.3 MB."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"
