"""``lightrec package``: what a place other than Python needs to run a bundle, as a folder to copy there."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lightrec.cli.options import BundleArgument, JsonOption, OutOption, console, print_json

if TYPE_CHECKING:
    from lightrec.web.package import WebPackage


class Place(StrEnum):
    """Where a bundle can be packaged for."""

    WEB = "web"
    TRITON = "triton"
    OVMS = "ovms"


def package(
    bundle: BundleArgument,
    place: Annotated[Place, typer.Option("--for", help="Where the bundle will run.", show_default=False)],
    out: OutOption,
    precision: Annotated[
        str | None, typer.Option(help="Which of the bundle's models to use.  [default: the first]")
    ] = None,
    onnxruntime_web: Annotated[
        Path | None,
        typer.Option(help="Folder dist/ of the npm package onnxruntime-web.  [default: fetched through npm, checked]"),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Triton, OVMS: the model's name.  [default: the bundle's folder]")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Package a bundle for another place.

    **web**: a static folder with the bundle, lightrec.js, ONNX Runtime for WebAssembly and a demo page that works
    offline. Everything is computed in the visitor's browser; any web server serves the folder. A package that is there
    is replaced; files of your own in its folder stay.

    **triton**, **ovms**: a model repository for Triton's ONNX Runtime backend or for OpenVINO Model Server: version
    folder, tensors and settings. These servers run the graph, which speaks of items by index; lightrec serve answers
    the same protocol (/v2) by ids.

    **Examples**

    ```
    lightrec package bundle --for web --out web
    lightrec package bundle --for triton --out models --name student
    lightrec package bundle --for ovms --out models
    lightrec package bundle --for web --out web --onnxruntime-web node_modules/onnxruntime-web/dist
    ```
    """
    if place is not Place.WEB:
        _package_for_server(bundle, place, out, precision, name, json)
        return
    from lightrec.web.package import package_for_web

    written = package_for_web(bundle, out, precision, onnxruntime_web)
    if json:
        print_json({"path": str(written.path), "precision": written.precision, "files": written.files})
    else:
        _print_package(written)


def _package_for_server(
    bundle: Path, place: Place, out: Path, precision: str | None, name: str | None, json: bool
) -> None:
    from lightrec.serve.model_repository import package_for_ovms, package_for_triton

    write = package_for_triton if place is Place.TRITON else package_for_ovms
    written = write(bundle, out, precision, name)
    if json:
        facts = {"path": str(written.path), "name": written.name, "precision": written.precision}
        print_json({**facts, "files": written.files})
        return
    folder = written.path.absolute()
    start = {
        Place.TRITON: shlex.join(["tritonserver", f"--model-repository={folder}"]),
        Place.OVMS: shlex.join(["ovms", "--config_path", str(folder / "config.json"), "--rest_port", "8000"]),
    }
    console.print(f"{written.path}: the model {written.name} ({written.precision}), {len(written.files)} files.")
    console.print(f"Serve it:  {start[place]}", soft_wrap=True)


def _print_package(written: WebPackage) -> None:
    console.print(
        f"{written.path}: {written.own_bytes / 1e6:.2f} MB of bundle ({written.precision}), library and page, and "
        f"{written.runtime_bytes / 1e6:.1f} MB of ONNX Runtime."
    )
    serve = shlex.join(["python", "-m", "http.server", "--directory", str(written.path)])
    console.print(f"Look at it:  {serve}  and open http://localhost:8000", soft_wrap=True)
