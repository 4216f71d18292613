"""Continue an earlier student on new data: ``--from RUN`` of ``train`` and ``distill``.

Items are matched by their ids, so the new data may contain more items and may index them differently.
(``lightrec data prepare --reuse-ids`` preserves the indices for code that reads a bundle by item index.)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from lightrec.data.dataset import Dataset
from lightrec.errors import ModelError
from lightrec.files.atomic import read_json, sha256_file
from lightrec.models.load import load_model, read_run
from lightrec.models.students.student import Student
from lightrec.settings import StudentSettings

FLAGS = ("student", "hidden_size", "num_layers", "num_heads", "max_length", "split", "quantile")
MUST_AGREE = (*FLAGS, "intermediate_size", "similarity", "logit_scale")
"""Settings that decide the shapes of the weights, their meaning, or which data was held back from training."""


def origin_facts(settings: StudentSettings) -> dict[str, Any]:
    """Return what decides the result in the earlier run, the SHA-256 of its weights; nothing without ``--from``.

    Raises:
        ModelError: if the run is not a finished student, or differs in :data:`MUST_AGREE`; it names all differences.
    """
    if settings.from_run is None:
        return {}
    record = read_run(settings.from_run)
    if record["kind"] != "student":
        raise ModelError(f"{settings.from_run} given to --from is a {record['kind']}: give the run of a student.")
    old = record["config"]
    differences = [
        f"{_flag(key)} {old[key]} there, {getattr(settings, key)} now"
        for key in MUST_AGREE
        if old.get(key, getattr(settings, key)) != getattr(settings, key)
    ]
    if differences:
        raise ModelError(f"{settings.from_run} cannot be continued: {'; '.join(differences)}. Give what is there.")
    return {"from_weights": sha256_file(Path(settings.from_run) / "model.safetensors")}


def continue_student(student: Student, run: str, dataset: Dataset) -> None:
    """Copy the weights of ``run`` into ``student``; items that ``run`` does not know keep their initial vectors.

    Raises:
        ModelError: if the item ids of the run cannot be found, or none of them is in the data.
    """
    old, _ = load_model(run)
    places = {item: place for place, item in enumerate(_item_ids(run))}
    known = torch.tensor([place for place, item in enumerate(dataset.item_ids) if item in places])
    if not len(known):
        raise ModelError(f"{run} knows no item of {dataset.name}: continue it with data of the same item ids.")
    before = torch.tensor([places[dataset.item_ids[place]] for place in known.tolist()])
    table = student.item_embedding.weight.detach()[:-1].clone()
    table[known] = old.item_embedding.weight.detach()[before]
    others = {name: tensor for name, tensor in old.state_dict().items() if name != "item_embedding.weight"}
    student.load_state_dict(others, strict=False)
    student.set_item_table(table)


def _flag(key: str) -> str:
    """Return the name of a setting as the user writes it: an option, or a key in the file for ``--config``."""
    return f"--{key.replace('_', '-')}" if key in FLAGS else key


def _item_ids(run: str) -> list[str]:
    """Return the item ids of a run: from its items.json, or from its data set if an older lightrec wrote the run."""
    own = Path(run) / "items.json"
    if own.is_file():
        return read_json(own)
    trained_on = read_run(run)["dataset"]
    if (Path(trained_on["path"]) / "dataset.json").is_file():
        dataset = Dataset.open(trained_on["path"])
        if dataset.checksum == trained_on["checksum"]:
            return dataset.item_ids
    raise ModelError(f"{run} has no items.json, and its data is not at {trained_on['path']}: train it again.")
