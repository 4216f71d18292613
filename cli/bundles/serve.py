"""``lightrec serve``: a bundle behind HTTP."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from lightrec.cli.options import BundleArgument, console

TOKEN = "LIGHTREC_RELOAD_TOKEN"
"""Environment variable: with it POST /reload exists."""
ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
"""What a browser sends in the header Origin."""


def serve(
    bundle: BundleArgument,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 listens on every interface.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 chooses a free one.", min=0, max=65535)] = 8000,
    workers: Annotated[
        int | None,
        typer.Option(help="Requests computed at the same time.  [default: cores]", min=1, max=1024, show_default=False),
    ] = None,
    queue: Annotated[int, typer.Option(help="Requests that may wait; more get 503.", min=0)] = 1000,
    timeout: Annotated[float, typer.Option(help="Seconds after which a request gets 504.", min=0.001, max=3600)] = 1.0,
    max_body: Annotated[
        int, typer.Option(help="Largest request body in bytes; larger ones get 413.", min=1)
    ] = 1_000_000,
    connections: Annotated[
        int, typer.Option(help="Connections open at the same time; beyond it, the longest idle one is closed.", min=1)
    ] = 1000,
    name: Annotated[
        str | None, typer.Option(help="Name under /v2/models.  [default: the folder's]", show_default=False)
    ] = None,
    block: Annotated[
        Path | None, typer.Option(help="File of items never to recommend, one id per line; read again at each reload.")
    ] = None,
    allow_unknown_blocked: Annotated[
        bool, typer.Option("--allow-unknown-blocked", help="Skip ids of --block that the bundle does not know.")
    ] = False,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(help="Origin whose pages may send requests, such as https://shop.example; * for all. Repeatable."),
    ] = None,
    verify: Annotated[
        bool | None,
        typer.Option(
            "--verify/--no-verify",
            help="Check the hashes of the model files at each load.  [default: where it costs next to nothing]",
            show_default=False,
        ),
    ] = None,
    backend: Annotated[str | None, typer.Option(help="onnxruntime or openvino.", show_default="onnxruntime")] = None,
    precision: Annotated[
        str | None, typer.Option(help="Which of the bundle's models to use.  [default: the first]")
    ] = None,
) -> None:
    """Serve a bundle over HTTP: /recommend, /recommend/batch, /health, /metrics, /docs, and /v2.

    /v2 is the Open Inference Protocol of KServe, Triton and OpenVINO Model Server. SIGHUP reads the bundle's folder
    anew without a dropped request; so does POST /reload, which exists if LIGHTREC_RELOAD_TOKEN is set and wants that
    token. SIGTERM answers what has begun and ends. Needs the extra serve.

    **Examples**

    ```
    lightrec serve bundle
    lightrec serve bundle --host 0.0.0.0 --port 8080 --workers 4 --queue 200 --timeout 0.2
    curl -H "Content-Type: application/json" -d '{"history": ["50", "181"], "k": 5}' localhost:8000/recommend
    ```
    """
    from lightrec.extras import require_extra

    require_extra("serve", "Serving")
    from lightrec.serve.server import run
    from lightrec.serve.service import ServeSettings, Service

    options: dict[str, Any] = {"backend": backend, "precision": precision}
    settings = ServeSettings(
        bundle,
        name=_name(bundle) if name is None else name,
        workers=workers or _cores(),
        queue=queue,
        timeout=timeout,
        max_body=max_body,
        connections=connections,
        reload_token=_token(os.environ.get(TOKEN)),
        block=block,
        allow_unknown_blocked=allow_unknown_blocked,
        cors_origins=tuple(map(_origin, cors_origin or ())),
        options=options if verify is None else {**options, "verify": verify},
    )
    service = Service(settings)

    def started(port: int) -> None:
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        console.print(
            f"{bundle}: {service.recommender.n_items:,} items at {address}/recommend; what there is: {address}/docs",
            highlight=False,
            soft_wrap=True,
        )

    run(service, host, port, started)


def _name(bundle: Path) -> str:
    """The folder's own, also where it is given as ``.`` or ``..``."""
    return Path(os.path.abspath(bundle)).name or "bundle"  # noqa: PTH100 — resolve() would follow links


def _token(given: str | None) -> str | None:
    """The token, if there is one that a header can hold."""
    from lightrec.errors import ConfigError

    if given is not None and not re.fullmatch(r"[^\s\x00-\x1f\x7f]*", given):
        raise ConfigError(f"{TOKEN} holds spaces or line ends: give it a token of letters and digits.")
    return given or None


def _origin(given: str) -> str:
    """An origin as browsers send it: a scheme, a host and, where it is not the scheme's own, a port."""
    from lightrec.errors import ConfigError

    if given == "*" or ORIGIN.fullmatch(given):
        return given.lower()
    raise ConfigError(f"--cors-origin {given!r} is no origin: give scheme and host alone, such as https://shop.example")


def _cores() -> int:
    """Cores that this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
