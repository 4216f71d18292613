"""Initial values of a student's item table, from item texts or from a teacher's item vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from lightrec.data.dataset import Dataset
from lightrec.errors import DataError
from lightrec.models.load import load_model
from lightrec.models.students.student import Student
from lightrec.models.teachers.language_model import load_language_model
from lightrec.settings import StudentSettings
from lightrec.training.items.text_vectors import read_texts, whiten
from lightrec.training.progress import Reporter


def start_items(
    student: Student,
    settings: StudentSettings,
    dataset: Dataset,
    teachers: Sequence[str],
    device: str,
    reporter: Reporter,
) -> None:
    """Initialise the student's item table by the method ``settings.init_items``, at the usual initial scale.

    Vectors are centred, reduced to the student's width by PCA and whitened. An item without text keeps its random
    initial vector.

    Raises:
        DataError: if ``init_items`` is ``text`` and no item has a text.
    """
    if settings.init_items == "none" or (settings.init_items == "teacher" and not teachers):
        return  # a file of scores has no item vectors
    if settings.init_items == "teacher":
        vectors = teacher_vectors(teachers[0])
    else:
        vectors = text_vectors(settings.base, dataset, device, reporter)
    found = torch.from_numpy(whiten(vectors, student.config.hidden_size) * student.config.initializer_range)
    known = (found != 0).any(dim=1, keepdim=True)
    own = student.item_embedding.weight.detach()[:-1]
    student.set_item_table(torch.where(known, found, own))


def teacher_vectors(run: str) -> np.ndarray:
    """Return the item vectors ``[N, E]`` of a finished run."""
    model, _ = load_model(run)
    with torch.inference_mode():
        return model.item_table.float().numpy()


def text_vectors(base: str, dataset: Dataset, device: str, reporter: Reporter) -> np.ndarray:
    """Return a language model's encoding ``[N, H]`` of the item texts, with progress shown."""
    if not any(dataset.item_texts):
        raise DataError(
            f"{dataset.name} has no item texts, so there is nothing to read for the item table: prepare the data with "
            "--items, or use --init-items none."
        )
    return read_texts(load_language_model(base), dataset.item_texts, device, reporter)
