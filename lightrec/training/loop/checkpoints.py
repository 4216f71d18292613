"""Checkpoints that can be verified: each is sealed with the SHA-256 of its files, which is written last.

A run resumes from the newest intact checkpoint, provided that the one with its best weights is intact too. Optimizer,
scheduler and random state are torch files, which the trainer reads without executing code (``weights_only``).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from lightrec.errors import ModelError
from lightrec.files.atomic import read_json, read_object, sha256_file, sync_tree, write_json

SEAL = "checksums.json"
"""File of a checkpoint that contains the SHA-256 of all its other files."""

KEPT = 2
"""Number of newest checkpoints that are not removed, in addition to the best one."""


def seal(checkpoint: Path) -> None:
    """Flush a checkpoint to the disk and write its seal."""
    (checkpoint / "training_args.bin").unlink(missing_ok=True)  # a pickle, which is not needed
    sync_tree(checkpoint)
    write_json(checkpoint / SEAL, {"files": {file.name: sha256_file(file) for file in sorted(checkpoint.iterdir())}})


def flaw(checkpoint: Path) -> str | None:
    """Return what is wrong with a checkpoint, as text that follows its name in a sentence; None if it is intact."""
    if not checkpoint.is_dir():
        return "is missing"
    if not (checkpoint / SEAL).is_file():
        return "was not finished"
    try:
        recorded = read_object(checkpoint / SEAL, {"files": dict}, ModelError)["files"]
    except ModelError:
        return f"has a damaged {SEAL}"
    found = {file.name for file in checkpoint.iterdir()} - {SEAL}
    for name in sorted(found | set(recorded)):
        if name not in found:
            return f"has no {name}"
        if name not in recorded:
            return f"holds a file of others, {name}"
        if not (checkpoint / name).is_file() or sha256_file(checkpoint / name) != recorded[name]:
            return f"has a damaged {name}"
    return None


def best_of(checkpoint: Path) -> Path:
    """Return the path of the checkpoint with the best weights up to ``checkpoint``, which must be intact."""
    step = read_json(checkpoint / "trainer_state.json")["best_global_step"]
    return checkpoint.with_name(f"checkpoint-{step}")


def newest_whole(folder: Path, note: Callable[[str], None]) -> Path | None:
    """Return the checkpoint to resume from, or None; remove newer ones that cannot be resumed from.

    Args:
        folder: the folder of the run's checkpoints.
        note: called once with the checkpoints that were skipped and the reasons, if there are any.
    """
    skipped: list[tuple[Path, str]] = []
    chosen = None
    for checkpoint in reversed(_checkpoints(folder)):
        reason = flaw(checkpoint)
        if reason is None and (behind := flaw(best_of(checkpoint))):
            reason = f"needs {best_of(checkpoint).name}, which {behind}"
        if reason is None:
            chosen = checkpoint
            break
        skipped.append((checkpoint, reason))
    if skipped:
        names = "; ".join(f"{checkpoint.name} {reason}" for checkpoint, reason in skipped)
        note(f"{folder}: {names}. Training {f'goes on from {chosen.name}' if chosen else 'starts from the beginning'}.")
    for checkpoint, _ in skipped:
        _remove(checkpoint)
    return chosen


def prune(folder: Path, best: int | None) -> None:
    """Remove all checkpoints except the newest :data:`KEPT` and the one of step ``best``."""
    for checkpoint in _checkpoints(folder)[:-KEPT]:
        if checkpoint.name != f"checkpoint-{best}":
            shutil.rmtree(checkpoint, ignore_errors=True)


def _remove(checkpoint: Path) -> None:
    """Remove a damaged checkpoint, which may be a folder, a file or a link."""
    if checkpoint.is_dir() and not checkpoint.is_symlink():
        shutil.rmtree(checkpoint)
    else:
        checkpoint.unlink(missing_ok=True)


def _checkpoints(folder: Path) -> list[Path]:
    """Return all checkpoints, intact or not, the oldest first."""
    found = {path: re.fullmatch(r"checkpoint-(\d+)", path.name) for path in folder.glob("checkpoint-*")}
    return sorted((path for path, match in found.items() if match), key=lambda path: int(path.name[11:]))
