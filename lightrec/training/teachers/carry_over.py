"""Transfer of a teacher to other data: the earlier teacher that a new one starts from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from lightrec.data.dataset import Dataset
from lightrec.errors import ModelError
from lightrec.files.atomic import sha256_file
from lightrec.models.load import load_model, read_run
from lightrec.models.teachers.teacher import Teacher
from lightrec.settings import DEFAULT_LANGUAGE_MODEL, FinetuneSettings

TEXT_AXES = "text_axes.safetensors"
"""File of a teacher's run with the axes that its item texts were projected on."""


@dataclasses.dataclass(frozen=True)
class Origin:
    """The teacher of other data that a new one starts from."""

    path: Path
    """Its run folder."""
    record: dict[str, Any]
    """Its run.json."""
    weights: str
    """The SHA-256 of its weights."""

    @classmethod
    def open(cls, run: str, settings: FinetuneSettings, dataset: Dataset) -> Origin:
        """Open a run; raise :class:`ModelError` if a teacher with ``settings`` cannot start from it."""
        record = read_run(run)
        if record["kind"] != "teacher":
            raise ModelError(f"{run} given to --from is a {record['kind']}: give the run of a lightrec finetune.")
        if record["objective"] != settings.objective:
            raise ModelError(
                f"The teacher {run} given to --from is {record['objective']}: add --objective {record['objective']}."
            )
        if settings.base not in (DEFAULT_LANGUAGE_MODEL, record["config"]["base"]):
            raise ModelError(
                f"The teacher {run} given to --from was made from {record['config']['base']}, not from "
                f"{settings.base}: leave --base out."
            )
        same = record["dataset"]["checksum"] == dataset.checksum
        if same and record["split"] != {"name": settings.split, "quantile": settings.quantile}:
            raise ModelError(
                f"The teacher {run} given to --from was trained on another split of the same data, and may have seen "
                f"what {settings.split} holds back: give --split {record['split']['name']}."
            )
        both_read_texts = "ids" not in (settings.item_input, record["config"]["item_input"])
        if both_read_texts and not (Path(run) / TEXT_AXES).is_file():
            raise ModelError(
                f"The teacher {run} holds no {TEXT_AXES}, as an older lightrec made it: fine-tune it again."
            )
        return cls(Path(run), record, sha256_file(Path(run) / "model.safetensors"))

    def teacher(self) -> Teacher:
        """Load and return the teacher."""
        model = load_model(self.path)[0]
        assert isinstance(model, Teacher)
        return model

    def text_axes(self) -> np.ndarray | None:
        """Return the axes ``[H, E]`` that its text projection expects; None if it reads no texts."""
        file = self.path / TEXT_AXES
        return load_file(file)["axes"].astype(np.float64) if file.is_file() else None

    def to_json(self) -> dict[str, Any]:
        """Return its description for the new run's record."""
        return {
            "run": str(self.path),
            "weights": self.weights,
            "dataset": self.record["dataset"],
            "validation": self.record["validation"],
        }
