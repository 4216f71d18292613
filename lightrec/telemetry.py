"""Stop the libraries that lightrec loads from reporting home.

``import lightrec`` calls :func:`switch_off` before any other module of the package is loaded. Each library is listed in
:data:`AUDITED`; docs/privacy.md says what leaves the machine and when.
"""

from __future__ import annotations

import os
import sys

SWITCHES = {
    # ONNX Runtime 1.29 and newer writes a device id and events to the cache folder at import and uploads them later.
    "ORT_DISABLE_TELEMETRY": "1",
    # The Hugging Face hub: versions and environment in each request, and reports about transfers.
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # transformers asks a server to convert a model that has no safetensors file.
    "DISABLE_SAFETENSORS_CONVERSION": "1",
    # The convention of https://consoledonottrack.com, for reports that a later version of a library may add.
    "DO_NOT_TRACK": "1",
}
"""Environment variables and their values; processes that lightrec starts inherit them."""

AUDITED = {
    "accelerate": "sends nothing",
    "ai_edge_litert": "sends nothing",
    "executorch": "sends nothing",
    "fastapi": "sends nothing unless the operator sets FASTAPI_OTEL_AUTO_CONFIGURE=true and an OTLP endpoint",
    "httptools": "sends nothing",
    "huggingface_hub": "sends versions and the environment with each request: HF_HUB_DISABLE_TELEMETRY",
    "lightning": "runs only in the environment of a peer in a benchmark",
    "litert_torch": "sends nothing",
    "nncf": "sends an event for each use through openvino_telemetry, which is blocked",
    "numpy": "sends nothing",
    "onnx": "sends nothing",
    "onnxruntime": "stores a device id and events and uploads them: ORT_DISABLE_TELEMETRY, disable_telemetry_events()",
    "onnxscript": "sends nothing",
    "openvino": "sends an event for each conversion through openvino_telemetry, which is blocked",
    "optimum": "asks the hub through huggingface_hub: HF_HUB_DISABLE_TELEMETRY",
    "optuna": "sends nothing",
    "pandas": "runs only in the environment of a peer in a benchmark",
    "peft": "asks the hub through huggingface_hub: HF_HUB_DISABLE_TELEMETRY",
    "playwright": "sends nothing; lightrec gives it the installed Chromium and the flags that keep it silent",
    "polars": "sends nothing; it reads local files only, because lightrec gives it no addresses",
    "prometheus_client": "sends nothing; the service shows its figures to whoever asks for /metrics",
    "pydantic": "sends nothing",
    "pytorch_lightning": "runs only in the environment of a peer in a benchmark",
    "rectools": "runs only in the environment of a peer in a benchmark",
    "replay": "runs only in the environment of a peer in a benchmark",
    "requests": "sends what its caller asks for; optimum imports it and asks for nothing here",
    "rich": "sends nothing",
    "safetensors": "sends nothing",
    "starlette": "sends nothing",
    "tokenizers": "asks the hub only for a tokenizer by name, which lightrec does not do",
    "torch": "sends nothing; lightrec does not use torch.hub",
    "transformers": "asks the hub: HF_HUB_DISABLE_TELEMETRY, DISABLE_SAFETENSORS_CONVERSION; cached models without it",
    "typer": "sends nothing",
    "uvicorn": "sends nothing",
    "uvloop": "sends nothing",
    "zstandard": "sends nothing",
}
"""What each imported library would send by default, and how that is stopped. A new import needs a line here."""

_REPORTS = (
    "init",
    "send_event",
    "start_session",
    "end_session",
    "send_error",
    "send_stack_trace",
    "send_opt_in_event",
    "force_shutdown",
)
"""The methods of openvino_telemetry's Telemetry that write to the home folder or send."""


def switch_off() -> None:
    """Switch off the reports of all libraries, including those imported before lightrec.

    The variables replace values that are already set. Reports of an earlier import cannot be undone: ONNX Runtime
    reports its start when it is imported.
    """
    os.environ.update(SWITCHES)
    _silence_openvino()
    _silence_hub()
    silence_onnxruntime()


def silence_onnxruntime() -> None:
    """Stop the events of ONNX Runtime if it has been imported; call this after each import of it.

    The environment variable is not enough if the runtime was imported before it was set, nor on Windows for versions
    that report through the operating system.
    """
    stop = getattr(sys.modules.get("onnxruntime"), "disable_telemetry_events", None)
    if stop is not None:
        stop()


def _silence_openvino() -> None:
    """Block openvino_telemetry; OpenVINO and nncf treat a missing package as the user's refusal.

    Unless the user has declined, it would send an event for every conversion and start a process for each one from a
    thread. While another thread is importing, that can deadlock (measured in docs/log/2026-11.md).
    """
    loaded = sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    reporter = getattr(loaded, "Telemetry", None)
    for name in _REPORTS if reporter is not None else ():
        setattr(reporter, name, _nothing)


def _silence_hub() -> None:
    """Switch off reports in a huggingface_hub that has already read its environment variables."""
    constants = sys.modules.get("huggingface_hub.constants")
    if constants is not None:
        constants.HF_HUB_DISABLE_TELEMETRY = True  # type: ignore[attr-defined]


def _nothing(*_: object, **__: object) -> None:
    """Do nothing, in place of a method that reports."""
