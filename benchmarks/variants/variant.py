"""Find the ways to run a bundle: each model in its runtime on every device, and what is missing."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lightrec.benchmarks.workers import worker_file
from lightrec.bundle import MANIFEST, TITLE_FILES, Manifest, ModelRecord
from lightrec.extras import missing_modules
from lightrec.machine.doctor import Diagnosis
from lightrec.runtime.backends.registry import BACKENDS

NAMES = {"torch": "torch", "torch.compile": "torch.compile", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
"""The backends as people write them."""

PROVIDERS = {
    "CUDA": ("CUDAExecutionProvider", "onnxruntime-gpu"),
    "TensorRT": ("TensorrtExecutionProvider", "onnxruntime-gpu and tensorrt"),
    "OpenVINO": ("OpenVINOExecutionProvider", "onnxruntime-openvino"),
}
"""ONNX Runtime's execution providers besides the CPU's: short name, full name, and the packages that contain it."""

DEVICES = {"GPU": "an Intel GPU and its driver", "NPU": "an Intel NPU and its driver"}
"""OpenVINO's devices besides the CPU, and what they need."""

FOR_OPENVINO = "lightrec export --format onnx --format openvino"
"""Makes a bundle with a model for OpenVINO."""

SENTENCES = "Sentence encoder"
"""A peer that is not a sequential model: MiniLM's shape over the titles, as in sentence-transformers."""

WORKER = (sys.executable, "-m", "lightrec.benchmarks.workers.run_variant")


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way to run the student, in its own process."""

    backend: str
    """``torch``, ``torch.compile``, ``onnxruntime``, ``openvino`` or a peer."""
    precision: str
    """``fp32``, ``fp16``, ``int8``, ``int8-static`` or ``int4``."""
    size_bytes: int | None
    """Size on disk of all that it needs, without titles, which only people read."""
    how: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """The worker's request in addition to the common one; see :mod:`lightrec.benchmarks.workers.run_variant`."""
    device: str = "CPU"
    """Where it runs."""
    command: tuple[str, ...] = WORKER
    """Starts the worker; the name of the request file is added."""
    label: str | None = None
    """Its name, if it is not made of the fields above."""
    peer: bool = False
    """Another library's model of the same shape, with random weights."""

    @property
    def of_another_bundle(self) -> bool:
        """Return whether it belongs to a further bundle, which may hold another student."""
        return "bundle" in self.how

    @property
    def name(self) -> str:
        """``ONNX Runtime int8``, for tables."""
        on = "" if self.device == "CPU" else f" {self.device}"
        return self.label or f"{NAMES.get(self.backend, self.backend)}{on} {self.precision}"


@dataclasses.dataclass(frozen=True)
class Absent:
    """A variant that cannot run here."""

    name: str
    """As of a :class:`Variant`."""
    reason: str
    """Why, and how to get it."""
    requested: bool = True
    """False if the variant could be measured here but the command line did not request it."""

    def to_json(self) -> dict[str, Any]:
        """Return the variant's row."""
        return {"kind": "absent", "variant": self.name, "reason": self.reason, "requested": self.requested}


def bundle_variants(
    bundle: Path, manifest: Manifest, machine: Diagnosis, device: str | None = None
) -> list[Variant | Absent]:
    """List each model of the bundle on each device that runs it, ONNX Runtime on the CPU first; then what is absent.

    Args:
        bundle: the folder.
        manifest: its manifest.
        machine: what there is.
        device: only this one (``cpu``, ``cuda``, ``gpu``, ``npu``...); all if None.
    """
    found: list[Variant | Absent] = []
    for model in sorted(manifest.models, key=lambda model: model.backend != "onnxruntime"):
        found += _of_model(bundle, manifest, model, machine)
    if device is not None:
        found = [one for one in found if isinstance(one, Absent) or same_device(device, one.device)]
    return found + list(_missing(manifest, machine, device))


def catalogue_bytes(bundle: Path, manifest: Manifest) -> int:
    """Return the size of what every variant needs besides its model: ids, popularity order, manifest."""
    models = {name for model in manifest.models for name in model.files}
    names = [name for name in manifest.files if name not in models and name not in TITLE_FILES]
    return sum((bundle / name).stat().st_size for name in (MANIFEST, *names))


def peer_variants(replay: Path | None, rectools: Path | None, sentences: bool = False) -> list[Variant | Absent]:
    """List other libraries' models of the bundle's shape, with random weights, each in its own environment.

    Args:
        replay: interpreter that has ``replay-rec[torch]``, ``openvino`` and ``onnx``.
        rectools: interpreter that has ``rectools[torch]``.
        sentences: also a sentence encoder of all-MiniLM-L6-v2's shape that reads the titles, by this interpreter.
    """
    requested = {"RePlay SasRec compiled": ("replay", replay), "RecTools SASRec": ("rectools", rectools)}
    found: list[Variant | Absent] = []
    for label, (backend, interpreter) in requested.items():
        if interpreter is None:
            reason = f"give an interpreter that has it with --{backend} PYTHON"
            found.append(Absent(label, reason, requested=False))
            continue
        # Isolated: the folder of the worker holds modules whose names are those of other packages.
        command = (str(interpreter), "-I", str(worker_file(f"serve_{backend}")))
        found.append(Variant(backend, "fp32", None, command=command, label=label, peer=True))
    if missing_modules("train"):
        found.append(Absent(SENTENCES, "not installed: pip install 'lightrec[train]'", requested=sentences))
    elif not sentences:
        reason = "a language model reads the titles of each history: ask for it with --sentences"
        found.append(Absent(SENTENCES, reason, requested=False))
    else:
        own = (sys.executable, str(worker_file("encode_sentences")))
        found.append(Variant("sentences", "fp32", None, command=own, label=SENTENCES, peer=True))
    return found


def _of_model(bundle: Path, manifest: Manifest, model: ModelRecord, machine: Diagnosis) -> Iterator[Variant | Absent]:
    backend, precision = model.backend, model.precision
    if backend not in BACKENDS:
        yield Absent(f"{backend} {precision}", "this lightrec does not know it: upgrade lightrec")
        return
    if backend == "openvino" and not machine.openvino_devices:
        yield Absent(f"OpenVINO {precision}", "not installed: pip install 'lightrec[openvino]'")
        return
    size = catalogue_bytes(bundle, manifest) + sum(manifest.files[name].bytes for name in model.files)
    how = {"backend": backend, "precision": precision}
    ort_format = model.files[0].endswith(".ort")
    if backend == "openvino":
        for device in ("CPU", *(name for name in machine.openvino_devices if name != "CPU")):
            yield Variant(backend, precision, size, {**how, "device": device}, device)
        return
    yield Variant(backend, precision, size, how, label=f"ORT format {precision}" if ort_format else None)
    for name, (provider, _) in PROVIDERS.items():
        if provider in machine.onnxruntime_providers and not ort_format:
            providers = [provider, "CPUExecutionProvider"]
            yield Variant(backend, precision, size, {**how, "providers": providers}, name)


def _missing(manifest: Manifest, machine: Diagnosis, device: str | None) -> Iterator[Absent]:
    """List runtimes and devices that the bundle has no model for, with the way to get them."""
    held = {model.backend for model in manifest.models}
    if "openvino" not in held:
        yield Absent("OpenVINO", f"the bundle holds no model for it: {FOR_OPENVINO}")
    if not any(name.endswith(".ort") for model in manifest.models for name in model.files):
        yield Absent("ORT format", "the bundle holds none: export another with  lightrec export --format ort")
    for name, (provider, packages) in PROVIDERS.items():
        if provider not in machine.onnxruntime_providers and (device is None or same_device(device, name)):
            yield Absent(f"ONNX Runtime {name}", f"pip install {packages} in place of onnxruntime")
    for name, needs in DEVICES.items():
        there = any(found.split(".")[0] == name for found in machine.openvino_devices)
        reasons = [] if "openvino" in held else [f"the bundle holds no model for it ({FOR_OPENVINO})"]
        reasons += [] if there else [f"OpenVINO finds none here: it needs {needs}"]
        if reasons and (device is None or same_device(device, name)):
            yield Absent(f"OpenVINO {name}", ", and ".join(reasons))


def same_device(requested: str, device: str) -> bool:
    """Return whether a device is the requested one; a number behind it, as in ``GPU.1``, may be omitted.

    >>> same_device("gpu", "GPU.1"), same_device("cpu", "CUDA")
    (True, False)
    """
    return requested.upper() in (device.upper(), device.upper().split(".")[0])
