"""Run folders: begun with their settings, resumed with the same ones, finished with a record.

RUN/settings.toml       the effective settings, written at the start; ``--config`` takes it
RUN/settings.json       the same with what else decides the result; a resumed run is held against it
RUN/checkpoints/        to resume from; removed at the end
RUN/config.json, model.safetensors    the model (save_pretrained)
RUN/text_axes.safetensors             a teacher of texts: the axes that they were projected on, for finetune --from
RUN/items.json          the items' own ids, by index
RUN/history.jsonl       one row per validation
RUN/run.json            the record; a folder that holds it is finished
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
from lightrec.errors import ConfigError, ModelError, WriteError
from lightrec.files.atomic import is_leftover, read_object, sync_tree, write_json, write_text
from lightrec.files.locks import locked
from lightrec.files.write_failures import writing
from lightrec.models.devices import resolve_device
from lightrec.models.load import FORMAT_VERSION, OWN_DIGEST, check_files, model_files, own_digest, read_run
from lightrec.training.loop import processes
from lightrec.training.loop.checkpoints import SEAL

FREE_TO_CHANGE = ("device", "report_to")
"""Settings that a resumed run may have otherwise: where it computes and whom it tells."""


@dataclasses.dataclass(frozen=True)
class Run:
    """A run folder that this process may write; see :func:`open_run`."""

    path: Path
    """The folder."""
    finished: dict[str, Any] | None
    """The record, if an earlier command with the same settings has finished."""
    inputs: dict[str, Any]
    """Settings and facts that decide the result."""

    @property
    def checkpoints(self) -> Path:
        """Where the trainer keeps what it resumes from."""
        return self.path / "checkpoints"

    def begin(self) -> None:
        """Make the folder and write the settings; called when training is about to start, so that a refusal before
        leaves nothing behind. On several processes it waits until all have looked at the folder.
        """
        processes.wait()
        if not processes.is_main():
            return
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.path / "settings.json", self.inputs)
        write_text(self.path / "settings.toml", to_toml(self.inputs["settings"]))


@contextlib.contextmanager
def open_run(path: str | Path, settings: Any, facts: dict[str, Any]) -> Iterator[Run]:
    """Look at ``path``: a new run, one to resume, or one that is finished. Nothing is written yet.

    Until the end of the block no other command can write the run; what fails to be written below ``path`` is told in
    one sentence.

    Args:
        settings: the effective settings (a dataclass).
        facts: what else decides the result: the command, the data's checksum, the teachers' weights.

    Raises:
        ConfigError: if the folder holds a run made with other settings, or something else.
        ModelError: if its settings.json or run.json is damaged, or a file of a finished model.
        WriteError: if another command is writing it, or it cannot be written.
    """
    processes.join(resolve_device(settings.device))
    path = Path(path)
    inputs = {"settings": to_mapping(settings), "facts": facts}
    run = _look(path, inputs)
    if run.finished and not run.checkpoints.exists() and not _locks(path):
        _remove_lock_of(path.resolve())
        yield run
        return
    with writing(path), _sole_writer(path):
        _remove_locks(path)
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
    """Whether a folder holds nothing but what a command leaves that is killed before it has written its settings."""
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
    """Hold the run's lock in the main process; folders made for it vanish again if the run is never begun."""
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
            with contextlib.suppress(OSError):  # it holds the run
                folder.rmdir()


def _locks(path: Path) -> list[Path]:
    return list(path.glob(".*.lock"))


def _remove_locks(path: Path) -> None:
    """Remove the locks of files that killed commands left in the run; one that is held stays."""
    if processes.is_main():
        for lock in _locks(path):
            _remove_lock_of(lock.with_name(lock.name[1 : -len(".lock")]))


def _remove_lock_of(path: Path) -> None:
    """Remove the lock that a killed command left beside ``path``; one that is held, or may not be removed, stays."""
    if processes.is_main() and path.with_name(f".{path.name}.lock").exists():
        with contextlib.suppress(WriteError, OSError), locked(path):
            pass


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
    """Save the model, its item ids, history.jsonl and, last of all, run.json; remove the checkpoints.

    The record holds the SHA-256 of the model's files, which are checked whenever the run is loaded.

    Returns:
        The record. On several processes the main one writes, and the others wait for it.
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
