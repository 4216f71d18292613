"""Configuration for exporting a student with optimum: inputs, outputs, dynamic axes and dummy inputs.

Importing this module registers the students with optimum's ``TasksManager`` for the backends ``onnx`` and
``openvino``. The task is ``feature-extraction``, because optimum has none for recommendation.
"""

from __future__ import annotations

from typing import Any

from optimum.exporters.base import ExporterConfig
from optimum.exporters.tasks import TasksManager
from optimum.utils.input_generators import DEFAULT_DUMMY_SHAPES, DummyInputGenerator
from optimum.utils.normalized_config import NormalizedConfig
from torch import Tensor

from lightrec.models.students.gru4rec import Gru4RecConfig
from lightrec.models.students.mini_bert import MiniBertConfig
from lightrec.models.students.sasrec import SasrecConfig
from lightrec.models.students.student import Student

TASK = "feature-extraction"
BACKENDS = ("onnx", "openvino")


class NormalizedStudentConfig(NormalizedConfig):
    """Names of a student's sizes in its configuration, for optimum."""

    N_ITEMS = "n_items"
    MAX_LENGTH = "max_length"
    HIDDEN_SIZE = "hidden_size"


class StudentDummyInputs(DummyInputGenerator):
    """Random inputs for tracing; every dynamic axis has at least size 2, because size 1 would be taken as fixed."""

    SUPPORTED_INPUT_NAMES = ("history", "length", "exclude", "k")

    def __init__(
        self,
        task: str,
        normalized_config: NormalizedConfig,
        batch_size: int = DEFAULT_DUMMY_SHAPES["batch_size"],
        sequence_length: int = DEFAULT_DUMMY_SHAPES["sequence_length"],
        **_: Any,
    ):
        self.n_items = normalized_config.n_items
        self.batch_size = max(2, batch_size)
        self.sequence_length = max(2, min(sequence_length, normalized_config.max_length))

    def generate(
        self, input_name: str, framework: str = "pt", int_dtype: str = "int64", float_dtype: str = "fp32"
    ) -> Tensor:
        """Return one input of the inference graph; see :meth:`lightrec.models.students.student.Student.forward`."""
        shape, low, high = {
            "history": ([self.batch_size, self.sequence_length], 0, self.n_items),
            "length": ([self.batch_size], 1, self.sequence_length + 1),
            "exclude": ([self.batch_size, 2], -1, self.n_items),
            "k": ([1], 1, self.n_items + 1),
        }[input_name]
        return self.random_int_tensor(shape, min_value=low, max_value=high, framework=framework, dtype=int_dtype)


class StudentExporterConfig(ExporterConfig):
    """Exporter configuration of the inference graph, which all students share."""

    NORMALIZED_CONFIG_CLASS = NormalizedStudentConfig
    DUMMY_INPUT_GENERATOR_CLASSES = (StudentDummyInputs,)
    ATOL_FOR_VALIDATION = 1e-4

    @property
    def inputs(self) -> dict[str, dict[int, str]]:
        """Names of the dynamic axes of each input."""
        return {
            "history": {0: "batch", 1: "time"},
            "length": {0: "batch"},
            "exclude": {0: "batch", 1: "excluded"},
            "k": {},
        }

    @property
    def outputs(self) -> dict[str, dict[int, str]]:
        """Names of the dynamic axes of each output."""
        return {"items": {0: "batch", 1: "ranks"}, "scores": {0: "batch", 1: "ranks"}}


class SasrecExporterConfig(StudentExporterConfig):
    """Exporter configuration of :class:`~lightrec.models.students.sasrec.Sasrec`."""


class MiniBertExporterConfig(StudentExporterConfig):
    """Exporter configuration of :class:`~lightrec.models.students.mini_bert.MiniBert`."""


class Gru4RecExporterConfig(StudentExporterConfig):
    """Exporter configuration of :class:`~lightrec.models.students.gru4rec.Gru4Rec`."""


EXPORTER_CONFIGS = {
    SasrecConfig.model_type: SasrecExporterConfig,
    MiniBertConfig.model_type: MiniBertExporterConfig,
    Gru4RecConfig.model_type: Gru4RecExporterConfig,
}

for _backend in BACKENDS:
    _register = TasksManager.create_register(_backend, overwrite_existing=True)
    for _model_type, _config_class in EXPORTER_CONFIGS.items():
        _register(_model_type, TASK)(_config_class)


def exporter_config(model: Student, backend: str = "onnx") -> StudentExporterConfig:
    """Return the exporter configuration that optimum's ``TasksManager`` has registered for ``model``."""
    constructor = TasksManager.get_exporter_config_constructor(
        backend, model=model, task=TASK, library_name="transformers"
    )
    return constructor(model.config)
