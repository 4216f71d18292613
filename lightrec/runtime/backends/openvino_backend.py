"""OpenVINO: on the CPU, a GPU or an NPU, with compiled models cached between starts."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lightrec.bundle import ModelRecord
from lightrec.errors import ConfigError
from lightrec.extras import require_extra
from lightrec.runtime.backends.base import Backend, Settings
from lightrec.runtime.backends.failures import cannot_run, require_answer
from lightrec.runtime.backends.interface import FLOATS, INTEGERS, INTERFACE, wrong_port
from lightrec.runtime.backends.openvino_check import require_plain_ir

if TYPE_CHECKING:
    from openvino import CompiledModel, Core, InferRequest, Model

COMPUTE = {"f32": "FP32", "bf16": "BF16", "f16": "FP16"}
"""The number types to compute in, each with its name among a device's capabilities."""

OWN_TYPES = {INTEGERS: "i64", FLOATS: "f32"}
"""OpenVINO's names of the types of inputs and outputs."""

FREE = 0
"""Key of the model with free shapes; the key of a model with fixed shapes is the number of columns of ``exclude``."""

FIXED = (1, 256)
"""Numbers of columns of ``exclude`` with a fixed-shape model for one full window, compiled when first needed."""

MAX_FIXED_BYTES = 32 * 2**20
"""Models with more bytes of weights get no fixed-shape copy: scoring, which takes most of their time, gains nothing."""


class OpenVinoBackend(Backend):
    """OpenVINO, in the ``openvino`` extra.

    A model with fixed shapes answers a single history that fills the window, in about two thirds of the time. The
    model with free shapes answers everything else; it is no slower for short histories.
    """

    name = module = "openvino"

    def __init__(self, record: ModelRecord, file: Path, settings: Settings):
        require_extra("openvino", "The OpenVINO backend")
        import openvino

        super().__init__(record)
        self._core = openvino.Core()
        self._device = require_device(self._core, settings.device or "CPU", settings.compute)
        self._options = _options(self._device, settings)
        # Read the model first, so that the cache finds compiled models by content instead of by path.
        self._file = file
        weights = require_plain_ir(file, record.files)
        self._graph = self._core.read_model(file, weights)
        _require_ports(self._graph, file)
        self._window = settings.window if weights.stat().st_size <= MAX_FIXED_BYTES else 0
        self._models = {FREE: self._core.compile_model(self._graph, self._device, self._options)}
        self._compiling = threading.Lock()
        self._local = threading.local()

    def run(
        self, history: np.ndarray, length: np.ndarray, exclude: np.ndarray, k: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`Backend.run`."""
        columns = self._columns(history.shape, exclude.shape[1])
        if columns > exclude.shape[1]:
            exclude = np.pad(exclude, ((0, 0), (0, columns - exclude.shape[1])), constant_values=-1)
        inputs = {"history": history, "length": length, "exclude": exclude, "k": k}
        try:
            answer = self._request(columns).infer(inputs, share_inputs=True, share_outputs=True)
            # The request writes its next answer into the same memory.
            items, scores = answer["items"].copy(), answer["scores"].copy()
        except Exception as error:
            raise cannot_run(self.name, self._file, error) from None
        require_answer(items, scores, len(history), int(k[0]), self._file)
        return items, scores

    def _columns(self, shape: tuple[int, ...], excluded: int) -> int:
        """Return the key of the model that answers: the number of columns of ``exclude``, or :data:`FREE`."""
        if shape != (1, self._window):
            return FREE
        return next((columns for columns in FIXED if columns >= excluded), FREE)

    def _request(self, columns: int) -> InferRequest:
        """Return this thread's inference request; one request must not be used by two threads at a time."""
        requests: dict[int, InferRequest] = self._local.__dict__.setdefault("requests", {})
        if columns not in requests:
            requests[columns] = self._model(columns).create_infer_request()
        return requests[columns]

    def _model(self, columns: int) -> CompiledModel:
        with self._compiling:
            if columns not in self._models:
                graph = self._graph.clone()
                graph.reshape({"history": [1, self._window], "length": [1], "exclude": [1, columns], "k": [1]})
                self._models[columns] = self._core.compile_model(graph, self._device, self._options)
            return self._models[columns]


def require_device(core: Core, device: str, compute: str) -> str:
    """Return ``device`` as OpenVINO writes it.

    Raises:
        ConfigError: if it is not available or does not support ``compute``; the message lists what is available.
    """
    name, found = str(device).upper(), core.available_devices
    if not any(name in (known, known.split(".")[0]) for known in found):
        raise ConfigError(f"OpenVINO finds no device {device} here: choose from {', '.join(found)}.")
    if compute not in COMPUTE:
        raise ConfigError(f"compute is {compute!r}: choose one of {', '.join(COMPUTE)}.")
    able = core.get_property(name, "OPTIMIZATION_CAPABILITIES")
    offered = [kind for kind, capability in COMPUTE.items() if kind == "f32" or capability in able]
    if compute not in offered:
        raise ConfigError(f"OpenVINO's {name} does not compute in {compute} here: choose from {', '.join(offered)}.")
    return name


def _require_ports(graph: Model, file: Path) -> None:
    """Refuse a wrong interface, as :func:`lightrec.runtime.backends.interface.require_interface` does."""
    for side, ports, expected in (("input", graph.inputs, INTERFACE[0]), ("output", graph.outputs, INTERFACE[1])):
        wanted = {(name, OWN_TYPES[kind], dimensions) for name, (kind, dimensions) in expected.items()}
        found = {
            (name, port.element_type.get_type_name(), port.partial_shape.rank.get_length())
            for port in ports
            if port.partial_shape.rank.is_static
            for name in port.names & set(expected)
        }
        if found != wanted or len(ports) != len(wanted):
            raise wrong_port(file, side, sorted({name for name, *_ in found ^ wanted} or ["one more"])[0])


def _options(device: str, settings: Settings) -> dict[str, Any]:
    options: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": settings.compute,  # on some processors the default is bf16
        "PERFORMANCE_HINT": "LATENCY",
    }
    if device == "CPU":
        options["INFERENCE_NUM_THREADS"] = settings.threads
    if settings.cache is not None and _writable(settings.cache):
        options["CACHE_DIR"] = str(settings.cache)
    return options


def _writable(folder: Path) -> bool:
    """Return whether ``folder`` is writable or can be created; a device may have no disk for it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".{threading.get_ident()}"
        probe.touch()
        probe.unlink(missing_ok=True)
    except OSError:
        return False
    return True
