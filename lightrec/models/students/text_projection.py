"""Project an item's text vector into the student's item table, for items the student was not trained on."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from lightrec.errors import ModelError


@dataclasses.dataclass(frozen=True)
class TextProjection:
    """A linear map from the vectors of one language model to the item vectors of one student.

    Notation: H is the width of the language model, d the width of the student.
    """

    weight: np.ndarray
    """Matrix of the map, float32 ``[d, H]``."""
    bias: np.ndarray
    """Bias of the map, float32 ``[d]``."""
    language_model: str
    """Name of the language model, as given to ``--base``."""
    fingerprint: str
    """Fingerprint of the language model's weights (:func:`lightrec.training.items.text_vectors.fingerprint`); the map
    is valid only for text vectors of that model."""
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Facts about how the map was fitted."""

    def project(self, vectors: np.ndarray) -> np.ndarray:
        """Return the item vectors float32 ``[n, d]`` for text vectors ``[n, H]``."""
        return (vectors @ self.weight.T + self.bias).astype(np.float32)

    def save(self, file: Path) -> None:
        """Write the projection to ``file`` (safetensors): two tensors, and all other fields as metadata."""
        about = {
            "language_model": self.language_model,
            "fingerprint": self.fingerprint,
            "facts": json.dumps(self.facts),
        }
        save_file({"weight": self.weight, "bias": self.bias}, file, about)

    @classmethod
    def load(cls, file: Path) -> TextProjection:
        """Read a file written by :meth:`save`.

        Raises:
            ModelError: if the file is missing or damaged.
        """
        if not file.is_file():
            raise ModelError(
                f"{file.parent} holds no text projection ({file.name}): fit one to the run with  lightrec items fit "
                "RUN DATA,  and export the run after that, so that the bundle takes it along."
            )
        try:
            with safe_open(file, framework="numpy") as tensors:
                about = tensors.metadata()
                return cls(
                    weight=tensors.get_tensor("weight"),
                    bias=tensors.get_tensor("bias"),
                    language_model=about["language_model"],
                    fingerprint=about["fingerprint"],
                    facts=json.loads(about["facts"]),
                )
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{file} is damaged ({error}): fit it again with  lightrec items fit.") from None
