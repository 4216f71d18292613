"""Find out which modules of an extra are missing, and say how to install them."""

from __future__ import annotations

import importlib.util

from lightrec.errors import MissingExtraError

EXTRAS: dict[str, tuple[str, ...]] = {
    "data": ("polars",),
    "train": ("torch", "transformers", "accelerate", "safetensors", "optuna", "peft", "polars"),
    "openvino": ("openvino",),
    "serve": ("fastapi", "pydantic", "uvicorn", "httptools", "prometheus_client"),
    "export": ("torch", "transformers", "optimum", "onnx", "onnxscript", "openvino", "nncf", "requests"),
}
"""For each extra of the package, the modules that it installs and that lightrec imports."""

PHONES: dict[str, tuple[str, ...]] = {
    "litert": ("litert_torch", "ai_edge_litert"),
    "executorch": ("executorch",),
}
"""The modules of the extras that ``lightrec[all]`` leaves out: converters for phones, larger than all other extras."""


def missing_modules(extra: str) -> list[str]:
    """Return the modules of ``extra`` that are not installed, in order; empty if the extra is complete."""
    return [module for module in {**EXTRAS, **PHONES}[extra] if importlib.util.find_spec(module) is None]


def require_extra(extra: str, purpose: str) -> None:
    """Raise :class:`MissingExtraError` unless every module of ``extra`` is installed.

    ``purpose`` is the subject of the message, such as "Training" or "Reading interaction files".
    """
    missing = missing_modules(extra)
    if missing:
        raise MissingExtraError(
            f"{purpose} needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not "
            f"installed: run  pip install 'lightrec[{extra}]'"
        )
