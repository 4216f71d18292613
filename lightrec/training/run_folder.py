"""Run folders: created with their settings, resumed with the same settings, finished with a record.

RUN/settings.toml       the effective settings, written at the start; a file for ``--config``
RUN/settings.json       the same and all else that decides the result; a resumed run must match it
RUN/checkpoints/        to resume from; removed at the end
RUN/config.json, model.safetensors    the model (save_pretrained)
RUN/text_axes.safetensors             for a teacher of texts: the axes they were projected on, for finetune --from
RUN/items.json          the item ids, by index
RUN/history.jsonl       one row per validation
RUN/run.json            the record; a folder that contains it is finished
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import json
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lightrec.config import to_mapping, to_toml
from lightrec.data.dataset import Dataset
from lightrec.errors import ConfigError, ModelError
from lightrec.files.atomic import is_leftover, read_object, sync_tree, write_json, write_text
from lightrec.files.locks import locked, remove_stale_locks
from lightrec.files.write_failures import writing
from lightrec.models.devices import resolve_device
from lightrec.models.load import FORMAT_VERSION, OWN_DIGEST, check_files, model_files, own_digest, read_run
from lightrec.training.loop import processes
from lightrec.training.loop.checkpoints import SEAL

FREE_TO_CHANGE = ("device", "report_to")
"""Settings that may differ in a resumed run: its device and its trackers."""


@dataclasses.dataclass(frozen=True)
class Run:
    """A run folder that this process may write; see :func:`open_run`."""

    path: Path
    """The folder."""
    finished: dict[str, Any] | None
    """The record if an earlier command with the same settings has finished, else None."""
    inputs: dict[str, Any]
    """The settings and facts that decide the result."""

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints that the trainer resumes from."""
        return self.path / "checkpoints"

    def begin(self) -> None:
        """Create the folder and write the settings.

        This is called just before training starts, so that an earlier refusal leaves nothing behind. On several
        processes it waits until all have read the folder.
        """
        processes.wait()
        if not processes.is_main():
            return
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.path / "settings.json", self.inputs)
        write_text(self.path / "settings.toml", to_toml(self.inputs["settings"]))


@contextlib.contextmanager
def open_run(path: str | Path, settings: Any, facts: dict[str, Any]) -> Iterator[Run]:
    """Open ``path`` as a new run, a run to resume or a finished run, without writing any of the run's files yet.

    Until the end of the block no other command can write the run, and a failure to write below ``path`` is reported
    in one sentence.

    Args:
        settings: the effective settings (a dataclass).
        facts: all else that decides the result, such as the command, the data's checksum and the teachers' weights.

    Raises:
        ConfigError: if the folder contains a run with other settings, or is not a run.
        ModelError: if settings.json, run.json or a file of a finished model is damaged.
        WriteError: if another command is writing the run, or the folder cannot be written.
    """
    processes.join(resolve_device(settings.device))
    path = Path(path)
    inputs = {"settings": to_mapping(settings), "facts": facts}
    run = _look(path, inputs)
    if path.exists() and processes.is_main():
        remove_stale_locks(path.resolve())
    if run.finished and not run.checkpoints.exists():
        yield run
        return
    with writing(path), _sole_writer(path):
        run = _look(path, inputs)  # another command may have finished it meanwhile
        if run.finished:
            _remove_checkpoints(run)
        yield run


def _look(path: Path, inputs: dict[str, Any]) -> Run:
    if (path / "settings.json").is_file():
        old = read_object(path / "settings.json", {"settings": dict, "facts": dict}, ModelError)
        _refuse_other_settings(path, old, inputs)
    elif path.exists() and not _is_unwritten(path):
        if any(path.glob(f"checkpoints/checkpoint-*/{SEAL}")):
            raise ModelError(f"{path} is a run without settings.json: restore that file, or choose another --out.")
        raise ConfigError(f"{path} exists and is not a run: choose another folder for --out.")
    record = read_run(path) if (path / "run.json").is_file() else None
    if record is not None:
        check_files(path, record)
    return Run(path=path, finished=record, inputs=inputs)


def _is_unwritten(path: Path) -> bool:
    """Return whether a folder has only the leftovers of a command that was killed before it wrote its settings."""
    if not path.is_dir():
        return False
    return all(
        is_leftover(entry.name)
        or entry.name == "settings.toml"
        or (entry.name == "checkpoints" and entry.is_dir() and not any(entry.iterdir()))
        for entry in path.iterdir()
    )


@contextlib.contextmanager
def _sole_writer(path: Path) -> Iterator[None]:
    """Hold the run's lock in the main process; remove the parent folders made for it if the run never begins."""
    if not processes.is_main():
        yield
        return
    place = path.resolve()
    made = [folder for folder in place.parents if not folder.exists()]
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        with locked(place):
            yield
    finally:
        for folder in made:
            with contextlib.suppress(OSError):  # the folder is not empty: it contains the run
                folder.rmdir()


def finish_run(
    run: Run,
    *,
    kind: str,
    model: Any,
    settings: Any,
    dataset: Dataset,
    history: list[dict[str, Any]],
    details: dict[str, Any],
) -> dict[str, Any]:
    """Save the model, its item ids, history.jsonl and, last, run.json; then remove the checkpoints.

    The record contains the SHA-256 of the model's files, which are checked whenever the run is loaded.

    Returns:
        The record. Of several processes the main one writes, and the others wait for it.
    """
    record = {
        "format_version": FORMAT_VERSION,
        "kind": kind,
        "model_type": model.config.model_type,
        "objective": model.objective,
        "config": to_mapping(settings),
        "dataset": {
            "name": dataset.name,
            "path": str(dataset.path.resolve()),
            "checksum": dataset.checksum,
            "users": dataset.n_users,
            "items": dataset.n_items,
        },
        "split": {"name": settings.split, "quantile": settings.quantile},
        "seed": settings.seed,
        **details,
        "versions": _versions(),
    }
    with processes.main_first():
        if processes.is_main():
            _write(run, model, dataset.item_ids, history, record)
        return read_run(run.path)


def _write(run: Run, model: Any, item_ids: list[str], history: list[dict[str, Any]], record: dict[str, Any]) -> None:
    model.save_pretrained(run.path)
    write_json(run.path / "items.json", item_ids)
    write_text(run.path / "history.jsonl", "".join(json.dumps(row) + "\n" for row in history))
    sync_tree(run.path)
    record = {**record, "files": model_files(run.path)}
    write_json(run.path / "run.json", {**record, OWN_DIGEST: own_digest(record)})
    _remove_checkpoints(run)


def _remove_checkpoints(run: Run) -> None:
    if processes.is_main():
        shutil.rmtree(run.checkpoints, ignore_errors=True)


def _refuse_other_settings(path: Path, old: dict[str, Any], wanted: dict[str, Any]) -> None:
    wanted = json.loads(json.dumps(wanted))
    changed = [
        f"{key}: {old[part].get(key)!r} there, {wanted[part].get(key)!r} now"
        for part in ("settings", "facts")
        for key in {**old[part], **wanted[part]}
        if old[part].get(key) != wanted[part].get(key) and key not in FREE_TO_CHANGE
    ]
    if not changed:
        return
    raise ConfigError(
        f"{path} holds a run made with other settings ({'; '.join(changed)}): choose another folder for --out, or "
        "remove this one."
    )


def _versions() -> dict[str, str]:
    packages = ("lightrec", "torch", "transformers", "accelerate", "numpy")
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in packages}}
