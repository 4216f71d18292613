"""Random words, values, paths and environments for every command, each in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

from campaigns._command_inputs import LINES, SAME
from campaigns.campaign import Campaign, Outcome
from command_lines import GROUP

HERE = Path(__file__).resolve().parent

VALUES = [
    *("", " ", "0", "-1", "1", "nan", "inf", "-inf", "1e400", "9" * 30, "9" * 5000, "0x10", "1_0", "½", "٣", "true"),
    *("[/b]", "[bold red]x", "\x1b[2J", "\x1b]0;x\x07", "\u202egnp", "\udcff", "a\nb", "\t", "a,b", ",", "=", "a="),
    *("--", "-", "--help", "-x", "@file", "%s", "{0}", "{out}", "${HOME}", "~", "../..", "x" * 300, "é 中 🎬", "cpu"),
]
"""For options of any kind."""

PATHS = [
    *("", ".", "..", "~", "absent", "absent/below", "log.csv/below", "data", "bundle", "run", "log.csv", "rows.jsonl"),
    *("strange/empty", "strange/binary", "strange/utf16.toml", "strange/loop", "strange/dangling", "strange/folder"),
    *("strange/a b [b]\x1b[2J.csv", "strange/new\nline", "x" * 300, "a/" * 2100 + "x", "strange/device"),
    *("/proc/x/y", "/proc/self/mem", "\udcff\udcfe", "strange/precious", "strange/é🎬.json", "strange/nested.json"),
    *("strange/types.toml", "strange/broken.toml", "strange/nan.json", "strange/deep/er/new", "new/x.csv", "new/x.svg"),
    *("new/x.html", "strange/precious/mine.txt/x"),
]
"""For options and arguments that are paths."""

ENVIRONMENTS: list[dict[str, str | None]] = [
    {"HOME": None},
    {"HOME": None, "USER": None, "LOGNAME": None},
    {"HOME": ""},
    {"HOME": "relative"},
    {"HOME": "/proc"},
    {"HOME": "/dev/null"},
    {"LC_ALL": "C"},
    {"LANG": "xx_YY.nothing"},
    *({"COLUMNS": value} for value in ("0", "-1", "1", "2", "7", "1000", "x")),
    {"TERM": "dumb"},
    {"TERM": ""},
    {"FORCE_COLOR": "1"},
    {"NO_COLOR": "1"},
    *({"LIGHTREC_CACHE": value} for value in ("/proc/x", "log.csv", "/dev/null/x", "x" * 300, "strange/loop", "[/b]")),
    {"TMPDIR": "/absent"},
    {"PATH": ""},
    {"PATH": None},
    {"TZ": "nothing/nowhere"},
    {"http_proxy": "nonsense:://", "https_proxy": "nonsense:://"},
    {"OMP_NUM_THREADS": "x"},
]
"""Changes of the environment; None takes a variable away."""

ENCODINGS = ("ascii", "latin-1", "cp1252", "cp437", "utf-16", "utf-8")


class CommandLineCampaign(Campaign):
    """Usual command lines with one to three strange things in them."""

    runner: subprocess.Popen[str] | None = None
    name = "command-line"
    promise = (
        "Every command line succeeds or is refused with exit code 2 and one sentence, on every console and machine; "
        "inputs stay as they are."
    )

    def prepare(self, folder: Path) -> None:
        """Make the inputs, and the answers of the usual command lines."""
        self.folder = folder
        self.inputs = folder / "inputs"
        self.inputs.mkdir()
        subprocess.run([sys.executable, HERE / "_command_inputs.py", self.inputs], check=True, capture_output=True)
        _make_strange(self.inputs / "strange")
        self.environment = {
            **{name: os.environ[name] for name in ("PATH", "LANG", "LIGHTREC_DATA") if name in os.environ},
            **dict.fromkeys(("HOME", "HF_HOME"), str(folder / "home")),
            "HF_HUB_OFFLINE": "1",
            "PIP_NO_INDEX": "1",
            "npm_config_offline": "true",
            "TMPDIR": str(folder / "tmp"),
        }
        for name in ("home", "tmp"):
            (folder / name).mkdir()
        self.runner = subprocess.Popen(
            [sys.executable, HERE / "_command_runner.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **self.environment},
            text=True,
        )
        self.expected = {name: self._run(LINES[name].split()) for name in SAME}
        for name, found in self.expected.items():
            if found["code"] != 0:
                raise AssertionError(f"The usual command line {name} does not succeed: {found}")

    def close(self) -> None:
        """Stop the runner."""
        if self.runner is not None and self.runner.stdin is not None:
            self.runner.stdin.close()
            self.runner.wait()

    def attempt(self, random: random.Random) -> Outcome:
        """Change a usual command line or what is around it, and run it."""
        name = random.choice(sorted(LINES))
        words, change = LINES[name].split(), ""
        around: dict[str, Any] = {"environment": dict(self.environment), "encoding": "utf-8", "output": "file"}
        kinds = []
        for _ in range(random.choice([1, 1, 1, 2, 3])):
            change = random.choice([*CHANGES, "environment", "encoding", "output"])
            kinds.append(change)
            if change == "environment":
                for variable, value in random.choice(ENVIRONMENTS).items():
                    around["environment"].pop(variable, None)
                    around["environment"] |= {} if value is None else {variable: value}
            elif change == "encoding":
                around["encoding"] = random.choice(ENCODINGS)
            elif change == "output":
                around["output"] = random.choice(["full", "closed"])
            else:
                words = CHANGES[change](words, random)
        found = self._run(words, **around)
        outcome = self._judge(name, words, around, found, f"{name}: {', '.join(sorted(set(kinds)))}", kinds)
        if outcome.result == "other":
            around["environment"] = {
                key: value for key, value in around["environment"].items() if self.environment.get(key) != value
            }
            outcome = Outcome.other(outcome.kind, f"{words!r} {around} -> {found['code']}: {outcome.detail}")
        self._tidy()
        return outcome

    def _run(self, words: list[str], **around: Any) -> dict[str, Any]:
        usual = {"environment": self.environment, "encoding": "utf-8", "output": "file"}
        request = {"words": words, "folder": str(self.inputs), **usual, **around}
        assert self.runner is not None and self.runner.stdin is not None and self.runner.stdout is not None
        self.runner.stdin.write(json.dumps(request) + "\n")
        self.runner.stdin.flush()
        return json.loads(self.runner.stdout.readline())

    def _judge(
        self, name: str, words: list[str], around: dict[str, Any], found: dict[str, Any], kind: str, kinds: list[str]
    ) -> Outcome:
        code, out, err = found["code"], found["out"], found["err"]
        if code is None:
            return Outcome.other(kind, "it hangs")
        if "Traceback" in err or "Traceback" in out or "Exception ignored" in err:
            return Outcome.other(kind, err[-2500:])
        if "\x1b]0" in out + err or "\x1b[2J" in out + err or "\u202e" in out + err:
            return Outcome.other(kind, f"control characters: {(out + err)[-500:]!r}")
        if (self.inputs / "strange" / "precious" / "mine.txt").read_text() != "precious":
            return Outcome.other(kind, "a file of the user's is gone")
        if code == 2:
            return Outcome.refused(kind, _sentence(out, err))
        if code != 0:
            return Outcome.other(kind, f"exit code {code}: {err[-1000:]}")
        if name in SAME and set(kinds) <= {"environment", "encoding"}:
            same = self._same(name, out, around)
            return Outcome.right(kind) if same else Outcome.other(kind, f"another answer: {out[:1500]}")
        taken_as_path = (self.inputs / "--json").exists()  # as after an --out without its value
        if "--json" in words and not taken_as_path and out.strip() and "Usage" not in out:
            json.loads(out)
        return Outcome.right(kind)

    def _same(self, name: str, out: str, around: dict[str, Any]) -> bool:
        """Whether the answer is that of the usual machine: JSON by its value, a table if it may look the same."""
        usual = self.expected[name]["out"]
        if "--json" in LINES[name]:
            return json.loads(out) == json.loads(usual)
        looks = {"COLUMNS", "FORCE_COLOR", "NO_COLOR", "TERM", "LC_ALL", "LANG"}
        changed = {key for key in looks if around["environment"].get(key) != self.environment.get(key)}
        return bool(changed) or not around["encoding"].startswith("utf-8") or out == usual

    def _tidy(self) -> None:
        """Bring the inputs back to where they were."""
        for path in self.inputs.iterdir():
            if path.name not in KEPT:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() and not path.is_symlink() else path.unlink()
        if _digest(self.inputs) != getattr(self, "digest", None):
            if not hasattr(self, "digest"):
                self.spare, self.digest = self.folder / "spare", _digest(self.inputs)
                shutil.copytree(self.inputs, self.spare, symlinks=True)
                return
            shutil.rmtree(self.inputs)
            shutil.copytree(self.spare, self.inputs, symlinks=True)


KEPT = {
    *("log.csv", "items.csv", "titles.csv", "ids.txt", "config.toml", "vectors.npy", "data", "bundle", "rows.jsonl"),
    *("run", "strange"),
}


def _digest(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file."""
    return {
        str(path): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def _sentence(out: str, err: str) -> str:
    """The sentence of a refusal; of Typer's box the words in it."""
    if "Error: " in err:
        return err[err.index("Error: ") :]
    if "─ Error" in err or "- Error" in err or "Error ─" in err:
        words = [line.strip("│| \n") for line in err.splitlines() if line[:1] in "│|"]
        return " ".join(words)
    if "Usage" in out + err:  # a group without a command prints its help
        return "Usage"
    return err


def _make_strange(folder: Path) -> None:
    """Files and folders that nobody expects."""
    (folder / "folder").mkdir(parents=True)
    (folder / "precious").mkdir()
    (folder / "precious" / "mine.txt").write_text("precious")
    (folder / "empty").touch()
    (folder / "binary").write_bytes(bytes(range(256)) * 8)
    (folder / "utf16.toml").write_text("seed = 1\n", encoding="utf-16")
    (folder / "types.toml").write_text('seed = "x"\nepochs = [1]\nlearning_rate = true\n[dropout]\nx = 1979-05-27\n')
    (folder / "broken.toml").write_text("seed = = 1")
    (folder / "nan.json").write_text('{"kind": "speed", "latency_ms": NaN}\n')
    (folder / "nested.json").write_text("[" * 100_000)
    (folder / "a b [b]\x1b[2J.csv").write_text("user_id,item_id\n1,2\n")
    (folder / "é🎬.json").write_text("{}")
    with contextlib.suppress(OSError):  # not everybody may
        os.mknod(folder / "device", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "dangling").symlink_to(folder / "nowhere")


def _options(words: list[str]) -> list[Any]:
    """The options of the command that the words name."""
    command, rest = GROUP, list(words)
    while hasattr(command, "commands") and rest and rest[0] in command.commands:
        command = command.commands[rest.pop(0)]
    return [parameter for parameter in command.params if parameter.param_type_name == "option"]


def _swap_path(words: list[str], random: random.Random) -> list[str]:
    """Another path in place of one that is there."""
    places = [
        place for place, word in enumerate(words) if re.fullmatch(r"absent|run|data|bundle|new/.*|\w+\.\w+", word)
    ]
    places = [place for place in places if place > 0] or [len(words) - 1]
    place = random.choice(places)
    return [*words[:place], random.choice(PATHS), *words[place + 1 :]]


def _add_path(words: list[str], random: random.Random) -> list[str]:
    """A path for an option that takes one."""
    flags = [option.opts[0] for option in _options(words) if "Path" in str(option.type_descriptor.annotation)]
    return [*words, f"{random.choice(flags)}={random.choice(PATHS)}"] if flags else words


def _add_value(words: list[str], random: random.Random) -> list[str]:
    """Any value for any option."""
    options = _options(words)
    if not options:
        return words
    option, value = random.choice(options), random.choice(VALUES)
    return [*words, *random.choice([[option.opts[0], value], [f"{option.opts[0]}={value}"]])]


def _change_words(words: list[str], random: random.Random) -> list[str]:
    """A word less, twice, elsewhere, or another."""
    words, place = list(words), random.randrange(len(words))
    way = random.choice(["less", "twice", "swap", "other", "more"])
    if way == "less":
        del words[place]
    elif way == "twice":
        words.insert(place, words[place])
    elif way == "swap":
        other = random.randrange(len(words))
        words[place], words[other] = words[other], words[place]
    elif way == "other":
        words[place] = random.choice(VALUES)
    else:
        words.insert(place, random.choice(VALUES))
    return words


CHANGES = {"path": _swap_path, "path of an option": _add_path, "value": _add_value, "words": _change_words}
