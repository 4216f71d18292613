"""``lightrec verify``: is a bundle whole, and does it answer here as it did when it was exported?"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from lightrec.cli.options import BundleArgument, JsonOption, console, print_json

if TYPE_CHECKING:
    from lightrec.verify.report import VerifyReport

STYLES = {"passed": "green", "failed": "bold red", "absent": "yellow"}


def verify(
    bundle: BundleArgument,
    browser: Annotated[
        bool,
        typer.Option("--browser", help="Also verify in headless Chromium, which takes a few seconds for each model."),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Check that a bundle is whole and answers here as recorded.

    Compares the SHA-256 of every file, then replays the golden cases in every runtime installed here, Node.js among
    them; in a browser only with --browser, for that starts one, and fetches ONNX Runtime for it through npm once. What
    is not here is listed as absent, with how to get it. Exits with code 2 if a file is damaged or a runtime answers
    otherwise than recorded.

    **Examples**

    ```
    lightrec verify bundle
    lightrec verify bundle --browser
    lightrec verify bundle --json
    ```
    """
    from lightrec.verify.verify_bundle import verify_bundle

    report = verify_bundle(bundle, node=True, browser=browser)
    if json:
        print_json(
            {
                "passed": report.passed,
                "files": len(report.manifest.files),
                "tolerance": report.tolerance,
                "models": [dataclasses.asdict(check) for check in report.models],
            }
        )
    else:
        _print_report(report)
    report.require()


def _print_report(report: VerifyReport) -> None:
    from rich.table import Table
    from rich.text import Text

    manifest = report.manifest
    console.print(
        f"{len(manifest.files)} files match their SHA-256: {manifest.model_type}, {manifest.n_items:,} items, "
        f"format {manifest.format_version}."
    )
    table = Table(title="Golden cases", title_justify="left", title_style="bold")
    for column in ("runtime", "precision", "result"):
        table.add_column(column, no_wrap=True)
    for column in ("cases", "largest score difference"):
        table.add_column(column, justify="right")
    for check in report.models:
        difference = "" if check.max_score_difference is None else f"{check.max_score_difference:.1e}"
        result = Text(check.status, style=STYLES[check.status])
        table.add_row(check.backend, check.precision, result, str(check.cases), difference)
    console.print(table)
    for check in report.models:
        if check.detail:  # it may be a command to copy, so it is not broken into lines
            console.print(Text(f"{check.backend} {check.precision}: {check.detail}"), soft_wrap=True)
