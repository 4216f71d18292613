"""The commands that write, on miniature data: what each needs, writes, and leaves whole."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple

from campaigns._commands import Commands, Ended

SMALL = ["--hidden-size", "8", "--max-length", "8", "--batch-size", "32", "--device", "cpu"]
TRAINED = [*SMALL, "--epochs", "3", "--patience", "0"]
VOLATILE = {"seconds", "elapsed_seconds", "created", "record_sha256", "fit_seconds"}
"""Keys of JSON files that no two runs share: times, and what is computed over them."""


class Writer(NamedTuple):
    """A command that writes ``out``."""

    name: str
    words: tuple[str, ...]
    out: str
    replaces: tuple[str, ...] = ()
    """A command that writes an older ``out``, which the first one replaces; none if it must not be there."""
    in_place: bool = False
    """Whether it fills its folder bit by bit, and goes on with it when it is given again."""


WRITERS = [
    Writer(
        "data prepare",
        ("data", "prepare", "base/log.csv", "--k-core", "1", "--out", "work/data"),
        "work/data",
        ("data", "prepare", "base/old.csv", "--k-core", "1", "--out", "work/data"),
    ),
    Writer("train", ("train", "base/data", *TRAINED, "--out", "work/run"), "work/run", in_place=True),
    Writer(
        "finetune",
        (
            *("finetune", "base/data", "--base", "base/bert", "--epochs", "2", "--max-length", "8"),
            *("--device", "cpu", "--out", "work/teacher"),
        ),
        "work/teacher",
        in_place=True,
    ),
    Writer(
        "distill",
        ("distill", "base/data", "--teacher", "work/run", *TRAINED, "--out", "work/student"),
        "work/student",
        in_place=True,
    ),
    Writer(
        "tune",
        ("tune", "base/data", "--trials", "2", "--hidden-size", "8", *TRAINED[2:], "--out", "work/tuned"),
        "work/tuned",
        in_place=True,
    ),
    Writer(
        "teacher-scores",
        ("teacher-scores", "base/run", "base/data", "--device", "cpu", "--out", "work/scores.parquet"),
        "work/scores.parquet",
        ("teacher-scores", "base/run", "base/data", "--device", "cpu", "--top", "3", "--out", "work/scores.parquet"),
    ),
    Writer(
        "evaluate",
        ("evaluate", "base/run", "base/data", "--device", "cpu", "--out", "work/found.json"),
        "work/found.json",
        ("evaluate", "popularity", "base/data", "--out", "work/found.json"),
    ),
    Writer(
        "export",
        ("export", "base/run", "--data", "base/data", "--format", "onnx", "--out", "work/bundle"),
        "work/bundle",
        ("items", "retitle", "base/bundle", "base/titles.csv", "--out", "work/bundle"),
    ),
    Writer(
        "items retitle",
        ("items", "retitle", "base/bundle", "base/titles.csv", "--out", "work/bundle"),
        "work/bundle",
        ("export", "base/run", "--data", "base/data", "--format", "onnx", "--out", "work/bundle"),
    ),
    Writer(
        "items remove",
        ("items", "remove", "base/bundle", "i3", "i7", "--out", "work/bundle"),
        "work/bundle",
        ("items", "retitle", "base/bundle", "base/titles.csv", "--out", "work/bundle"),
    ),
    Writer(
        "package for web",
        ("package", "base/bundle", "--for", "web", "--out", "work/web", "--onnxruntime-web", "base/runtime"),
        "work/web",
        ("package", "base/bundle", "--for", "web", "--out", "work/web", "--onnxruntime-web", "base/old-runtime"),
    ),
    Writer(
        "package for triton",
        ("package", "base/bundle", "--for", "triton", "--out", "work/triton"),
        "work/triton",
        ("package", "base/bundle", "--for", "triton", "--name", "old", "--out", "work/triton"),
    ),
    Writer(
        "report",
        ("report", "base/rows.jsonl", "--out", "work/report.md"),
        "work/report.md",
        ("report", "base/old-rows.jsonl", "--out", "work/report.md"),
    ),
]
"""``data get``, ``bench``, ``demo`` and ``reproduce`` write through the same commands and functions."""


class Case(NamedTuple):
    """A command, what it starts from, and what it does if nothing disturbs it."""

    writer: Writer
    before: Path | None
    """A copy of the working folder with an older output; None if there is none."""
    old: str | None
    """The older output's digest."""
    new: str
    """The digest of what the command writes."""
    operations: int
    """File operations that it makes."""
    seconds: float
    """The time that it takes."""

    def is_whole(self, found: str | None) -> bool:
        """Whether an output is the old or the new one; what is filled bit by bit is judged by going on with it."""
        return self.writer.in_place or found in (self.old, self.new)


class Cases:
    """The commands, measured when they are first drawn.

    Args:
        folder: where commands work.
        commands: what runs them.
    """

    def __init__(self, folder: Path, commands: Commands):
        self.folder = folder
        self.commands = commands
        self.known: dict[tuple[str, bool], Case] = {}

    def draw(self, random: random.Random) -> Case:
        """One case; the working folder is what its command starts from."""
        writer = random.choice(WRITERS)
        over_old = bool(writer.replaces) and random.random() < 0.5
        if (writer.name, over_old) not in self.known:
            self.known[writer.name, over_old] = self._measure(writer, over_old)
        case = self.known[writer.name, over_old]
        fresh(self.folder, writer, case.before)
        return case

    def _measure(self, writer: Writer, over_old: bool) -> Case:
        out, before, old = self.folder / writer.out, None, None
        if over_old:
            fresh(self.folder, writer)
            self.commands.must(*writer.replaces)
            if writer.name == "package for web":
                (out / "own.html").write_text("a page of the user's own")
            before, old = self.folder / f"old {writer.name}", digest(out)
            shutil.copytree(self.folder / "work", before)
        fresh(self.folder, writer, before)
        started = time.monotonic()
        ended = self.commands.must(*writer.words)
        seconds, new = time.monotonic() - started, digest(out)
        fresh(self.folder, writer, before)
        self.commands.must(*writer.words)
        assert new is not None and digest(out) == new, f"{writer.name} never does the same twice"
        return Case(writer, before, old, new, ended.operations, seconds)


def make_base(folder: Path, commands: Commands) -> None:
    """Write what the commands read: a log, a data set, a language model, a run, a bundle."""
    from mini_language_model import save_bert

    from lightrec.web.package import RUNTIME_FILES

    base = folder / "base"
    base.mkdir()
    _write_log(base / "log.csv", users=24)
    _write_log(base / "old.csv", users=23)
    (base / "titles.csv").write_text("item_id,title\ni3,Another title\ni4,\n")
    for place, content in (("runtime", b"new"), ("old-runtime", b"old")):
        (base / place).mkdir()
        for name in RUNTIME_FILES:
            (base / place / name).write_bytes(content * 1000)
    rows = Path(__file__).parents[2] / "benchmarks" / "results" / "beauty-bench.jsonl"
    lines = [line for line in rows.read_text(encoding="utf-8").splitlines() if '"kind": "speed"' in line]
    (base / "rows.jsonl").write_text("\n".join(lines) + "\n")
    (base / "old-rows.jsonl").write_text(lines[0] + "\n")
    save_bert(base / "bert")
    items = "item_id,title\n" + "".join(f"i{item},Part {item} of the saga\n" for item in range(20))
    (base / "items.csv").write_text(items)
    titled = ("--items", "base/items.csv")
    commands.must("data", "prepare", "base/log.csv", *titled, "--k-core", "1", "--out", "base/data")
    commands.must("train", "base/data", *TRAINED, "--out", "base/run")
    commands.must("export", "base/run", "--data", "base/data", "--format", "onnx", "--out", "base/bundle")


def _write_log(file: Path, users: int) -> None:
    """After item i comes i + 1 (modulo 20) in nine steps of ten."""
    rng = random.Random(users)
    lines = ["user_id,item_id,timestamp"]
    for user in range(users):
        item = rng.randrange(20)
        for event in range(rng.randrange(6, 14)):
            lines.append(f"u{user},i{item},{1_700_000_000 + 86_400 * user + 100 * event}")
            item = (item + (1 if rng.random() < 0.9 else rng.randrange(2, 20))) % 20
    file.write_text("\n".join(lines) + "\n")


def fresh(folder: Path, writer: Writer, before: Path | None = None) -> None:
    """Make the working folder anew."""
    shutil.rmtree(folder / "work", ignore_errors=True)
    if before is None:
        (folder / "work").mkdir()
        if writer.name == "distill":
            shutil.copytree(folder / "base" / "run", folder / "work" / "run")
    else:
        shutil.copytree(before, folder / "work", symlinks=True)


def digest(place: Path) -> str | None:
    """The SHA-256 of a file, or of all files of a folder by name, without what no two runs share; None for nothing."""
    if not place.exists():
        return None
    files = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())
    lines = [f"{file.relative_to(place.parent)} {_content(file)}" for file in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _content(file: Path) -> str:
    content = file.read_bytes()
    if file.suffix in (".json", ".jsonl") and file.name not in ("items.json",):
        values = [json.loads(line) for line in content.splitlines()] if file.suffix == ".jsonl" else json.loads(content)
        content = json.dumps(_stable(values), sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()


def _stable(value: Any) -> Any:
    if isinstance(value, dict):
        # The manifest holds the digests of files whose own content is compared.
        return {key: _stable(inner) for key, inner in value.items() if key not in VOLATILE and key != "sha256"}
    return [_stable(inner) for inner in value] if isinstance(value, list) else value


def problem_of(ended: Ended) -> str | None:
    """What is wrong with how a command was refused; None if it ended with one sentence, after lines of progress."""
    last = ended.said.strip().rsplit("\n", 1)[-1]
    if ended.code != 2 or not last.startswith("Error: ") or ended.said.count("Error") > 1 or "Traceback" in ended.said:
        return f"exit code {ended.code}: {ended.said[-1500:]}"
    return None


def leftovers(folder: Path) -> list[str]:
    """Temporary files and locks anywhere in the working folder.

    A lock beside a teacher's answers stays, empty, until they are written again, which the next command may not need.
    """
    found = (path for path in (folder / "work").rglob(".*") if "outputs" not in path.parts or path.suffix != ".lock")
    return [str(path.relative_to(folder)) for path in found if "lightrec-" in path.name or path.name.endswith(".lock")]
