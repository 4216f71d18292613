"""Load a finished run: its model, and the record of how it was trained (run.json)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoModel

from lightrec.errors import ModelError
from lightrec.files.atomic import read_object, restore, sha256_file
from lightrec.models.students.gru4rec import Gru4Rec, Gru4RecConfig
from lightrec.models.students.mini_bert import MiniBert, MiniBertConfig
from lightrec.models.students.sasrec import Sasrec, SasrecConfig
from lightrec.models.students.student import Student, StudentConfig
from lightrec.models.teachers.teacher import Teacher, TeacherConfig

FORMAT_VERSION = 1
"""Format version of run.json; a run with any other version is refused."""

OWN_DIGEST = "record_sha256"
"""Key of the SHA-256 over the rest of run.json; runs of the first lightrec versions have none."""

TYPES: dict[str, type] = {
    "format_version": int,
    "kind": str,
    "model_type": str,
    "objective": str,
    "seed": int,
    "config": dict,
    "config.max_length": int,
    "dataset": dict,
    "dataset.name": str,
    "dataset.path": str,
    "dataset.checksum": str,
    "split": dict,
    "split.name": str,
    "split.quantile": float,
    "validation": dict,
    "files": dict,
}
"""Fields of run.json and their types; a dot separates the keys of nested objects."""

STUDENTS: dict[str, tuple[type[StudentConfig], type[Student]]] = {
    "sasrec": (SasrecConfig, Sasrec),
    "mini-bert": (MiniBertConfig, MiniBert),
    "gru4rec": (Gru4RecConfig, Gru4Rec),
}
"""Configuration and model class of each student, by its name in ``--student``."""

for _config, _model in (*STUDENTS.values(), (TeacherConfig, Teacher)):
    AutoConfig.register(_config.model_type, _config, exist_ok=True)  # type: ignore[attr-defined]
    AutoModel.register(_config, _model, exist_ok=True)


def read_run(run: str | Path) -> dict[str, Any]:
    """Return the content of a run folder's run.json.

    Raises:
        ModelError: if the folder is not a finished run, or its run.json is damaged or has another format version.
    """
    path = Path(run)
    restore(path)
    if not (path / "run.json").is_file():
        begun = any((path / name).is_file() for name in ("settings.json", "settings.toml"))
        raise ModelError(
            f"{run} {'is unfinished' if begun else 'is not a run'} (it holds no run.json): give the --out folder of a "
            "finished lightrec finetune, train or distill; an unfinished one goes on when its command is given again."
        )
    version = read_object(path / "run.json", {"format_version": int}, ModelError).get("format_version", FORMAT_VERSION)
    if version != FORMAT_VERSION:
        raise ModelError(
            f"{path / 'run.json'} has format version {version}, and this lightrec reads {FORMAT_VERSION}: open it with "
            "the lightrec that wrote it."
        )
    record = read_object(path / "run.json", TYPES, ModelError)
    if record.get(OWN_DIGEST) not in (None, own_digest(record)):
        raise ModelError(
            f"{path / 'run.json'} is damaged, or was changed by hand: restore it, or train again with another --out."
        )
    return record


def own_digest(record: dict[str, Any]) -> str:
    """Return the SHA-256 of a record's canonical JSON, leaving out :data:`OWN_DIGEST`."""
    rest = {key: value for key, value in record.items() if key != OWN_DIGEST}
    return hashlib.sha256(json.dumps(json.loads(json.dumps(rest)), sort_keys=True).encode()).hexdigest()


def model_files(run: Path) -> dict[str, str]:
    """Return the SHA-256 of each file that makes up a run's model: configuration, weights and items."""
    files = [run / "config.json", run / "items.json", *run.glob("*.safetensors"), *run.glob("*.safetensors.index.json")]
    return {file.name: sha256_file(file) for file in sorted(files)}


def load_model(run: str | Path) -> tuple[Student | Teacher, dict[str, Any]]:
    """Return the model of a finished run, in evaluation mode, and the content of its run.json.

    Raises:
        ModelError: if the run is unfinished, or one of its files is missing, damaged or different from the one saved.
    """
    record = read_run(run)
    check_files(Path(run), record)
    try:
        model, found = AutoModel.from_pretrained(str(run), output_loading_info=True)
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ModelError(f"The model in {run} cannot be loaded: {reason.rstrip('.')}.") from None
    if missing := found["missing_keys"]:
        raise ModelError(f"The model in {run} cannot be loaded: its weights lack {', '.join(sorted(missing)[:3])}.")
    return model.eval(), record


def check_files(run: Path, record: dict[str, Any]) -> None:
    """Check a run's files against the checksums in its record; runs of an older lightrec have none.

    Raises:
        ModelError: naming the first file that is missing, damaged or different.
    """
    for name, digest in record.get("files", {}).items():
        if not (run / name).is_file():
            raise ModelError(f"{run / name} is missing: restore it, or train again with another --out.")
        if sha256_file(run / name) != digest:
            raise ModelError(
                f"{run / name} is damaged, or not the file that run.json describes: restore it, or train again with "
                "another --out."
            )
