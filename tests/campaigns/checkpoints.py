"""Random damage to a run folder, stopped or finished; then its command, or one that reads it, is given."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from campaigns._commands import Commands, Ended
from campaigns._writers import TRAINED, digest, make_base, problem_of
from campaigns.campaign import Campaign, Outcome

Damage = Callable[[random.Random, Path], None]


def _flip(random: random.Random, file: Path) -> None:
    content = bytearray(file.read_bytes())
    if content:
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    file.write_bytes(content)


def _cut(random: random.Random, file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: random.randrange(len(content) + 1)])


def _overwrite(random: random.Random, file: Path) -> None:
    content = bytearray(file.read_bytes())
    start = random.randrange(len(content) + 1)
    content[start : start + 512] = random.randbytes(min(512, len(content) - start))
    file.write_bytes(content)


def _extend(random: random.Random, file: Path) -> None:
    file.write_bytes(file.read_bytes() + random.randbytes(random.randrange(1, 99)))


def _replace_by_other(random: random.Random, file: Path) -> None:
    others = sorted(path for path in file.parent.iterdir() if path.is_file())
    file.write_bytes(random.choice(others).read_bytes())


def _replace_by_folder(random: random.Random, file: Path) -> None:
    file.unlink()
    file.mkdir()


def _change_value(random: random.Random, file: Path) -> None:
    """Another value for a key of a JSON file; other files lose their second half."""
    if file.suffix != ".json":
        return _cut(random, file)
    values = json.loads(file.read_bytes())
    place = values
    while isinstance(place, dict) and place:
        key = random.choice(sorted(place))
        if not isinstance(place[key], dict) or random.random() < 0.3:
            place[key] = random.choice([None, -1, 1e308, "x", [], {}, True, [[]], 2**70])
            break
        place = place[key]
    file.write_text(json.dumps(values))
    return None


DAMAGES: dict[str, Damage] = {
    "a bit flipped": _flip,
    "cut short": _cut,
    "overwritten": _overwrite,
    "extended": _extend,
    "missing": lambda random, file: file.unlink(),
    "another file in its place": _replace_by_other,
    "a folder in its place": _replace_by_folder,
    "another value": _change_value,
}


class Checkpoints(Campaign):
    """Each attempt damages one to three files of a copy of a run."""

    name = "checkpoints"
    promise = (
        "A run with damaged checkpoints ends as if nothing had happened; other damage to a run, stopped or finished, "
        "changes no result or is named in one sentence."
    )

    def prepare(self, folder: Path) -> None:
        self.folder = folder / "place"
        self.folder.mkdir()
        self.commands = Commands(self.folder)
        make_base(self.folder, self.commands)
        self.train = ("train", "base/data", *TRAINED, "--out", "run")
        self.evaluate = ("evaluate", "run", "base/data", "--device", "cpu", "--out", "found.json")
        self.stopped = self.folder / "stopped"
        operations = self.commands.must(*self.train).operations
        self.whole = digest(self.folder / "run")
        self.commands.must(*self.evaluate)
        self.found = digest(self.folder / "found.json")
        self.finished = self.folder / "finished"
        (self.folder / "run").rename(self.finished)
        for last in range(operations * 4 // 5, 0, -5):  # as late as all three checkpoints are there
            shutil.rmtree(self.folder / "run", ignore_errors=True)
            self.commands.run(*self.train, fault=("kill at operation", last))
            sealed = list((self.folder / "run").glob("checkpoints/*/checksums.json"))
            if len(sealed) > 1 and not (self.folder / "run" / "model.safetensors").exists():
                break
        (self.folder / "run").rename(self.stopped)

    def attempt(self, random: random.Random) -> Outcome:
        run = self.folder / "run"
        shutil.rmtree(run, ignore_errors=True)
        (self.folder / "found.json").unlink(missing_ok=True)
        is_stopped = random.random() < 0.6
        shutil.copytree(self.stopped if is_stopped else self.finished, run)
        files = sorted(path for path in run.rglob("*") if path.is_file())
        damaged = []
        for file in random.sample(files, random.choice([1, 1, 2, 3])):
            kind = random.choice(sorted(DAMAGES))
            DAMAGES[kind](random, file)
            damaged.append(f"{file.relative_to(run)}: {kind}")
        only_checkpoints = is_stopped and all(name.startswith("checkpoints") for name in damaged)
        what = f"{'stopped' if is_stopped else 'finished'}, {damaged[0].rsplit(': ')[-1]}"
        ended = self.commands.run(*(self.train if is_stopped else self.evaluate))
        if ended.code == 0:
            return (
                Outcome.right(what) if self.is_right(is_stopped) else Outcome.other(what, f"{damaged}: other results")
            )
        return self._refused(what, damaged, ended, allowed=not only_checkpoints)

    def is_right(self, is_stopped: bool) -> bool:
        """Whether the outcome is that of an undamaged run; files that no command reads may stay damaged."""
        if not is_stopped:
            return digest(self.folder / "found.json") == self.found
        shutil.copyfile(self.finished / "settings.toml", self.folder / "run" / "settings.toml")
        return digest(self.folder / "run") == self.whole

    def _refused(self, what: str, damaged: list[str], ended: Ended, allowed: bool) -> Outcome:
        problem = problem_of(ended) or (None if allowed else "refused, with whole checkpoints or a new start to take")
        if problem:
            return Outcome.other(what, f"{damaged}: {problem} {ended.said[-300:]}")
        return Outcome.refused(what, ended.said.strip().rsplit("\n", 1)[-1])

    def close(self) -> None:
        self.commands.close()
