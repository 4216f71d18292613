"""Damaged and crafted prepared data sets: they answer as before, or are refused with one sentence."""

from __future__ import annotations

import contextlib
import io
import json
import random
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from campaigns.campaign import Campaign, Outcome

from lightrec.cli.app import main
from lightrec.data.dataset import Dataset, write_dataset
from lightrec.data.dataset_files import ARRAYS, FILES, LISTS, OWN_DIGEST, checksum, own_digest
from lightrec.files.atomic import read_json, sha256_file, write_json

DESCRIPTION = "dataset.json"
COMMANDS = {
    "open": [],
    "describe": ["data", "describe", "{data}", "--json"],
    "evaluate": ["evaluate", "popularity", "{data}", "--json"],
    "knn": ["evaluate", "item-knn", "{data}", "--json"],
    "prepare": ["data", "prepare", "{log}", "--k-core", "0", "--reuse-ids", "{data}", "--out", "{out}", "--json"],
    "train": ["train", "{data}", "--out", "{out}", "--epochs", "1", "--hidden-size", "8", "--device", "cpu", "--json"],
}
"""What is asked of a data set; training is asked rarely, for it takes long."""
JUNK: tuple[Any, ...] = (None, True, -1, 0, 1.5, 10**30, "", "x", [], {}, [[]], {"a": 1}, [None], "\ud800", 1e999)


class DataSetCampaign(Campaign):
    """A small data set is damaged byte by byte, or crafted with right checksums, and used by a command."""

    name = "data-sets"
    promise = "Any prepared data set answers as it was written or is refused with one sentence."

    def prepare(self, folder: Path) -> None:
        self.folder = folder
        self.whole = _data_set(folder / "whole")
        (folder / "log.csv").write_text("user_id,item_id,timestamp\nu1,i1,1700000000\nu1,new,1700000001\n")
        self.right = {command: self._answer(command, self.whole) for command in COMMANDS}

    def attempt(self, random: random.Random) -> Outcome:
        data = self.folder / "data"
        shutil.copytree(self.whole, data)
        command = random.choice([*COMMANDS][:-1]) if random.random() < 0.97 else "train"
        try:
            kind, crafted = _damage(data, random)
            answer = self._answer(command, data)
            sound = crafted and _is_sound(data)
        finally:
            shutil.rmtree(data, ignore_errors=True)
        return self._judge(f"{command}, {kind}", command, sound, answer)

    def _judge(self, kind: str, command: str, sound: bool, answer: tuple[int, str, str]) -> Outcome:
        code, said, error = answer
        if code == 2 and error.startswith("Error: "):
            return Outcome.refused(kind, error)
        if code == 2 and command == "train" and error.splitlines()[-1].startswith("Error: "):
            return Outcome.refused(kind, error.splitlines()[-1])  # crafted ids are looked at when they are saved
        if answer == self.right[command]:
            return Outcome.right(kind)
        if sound and code == 0 and "Traceback" not in error:
            return Outcome.right(kind)  # other content, but a data set that somebody may have prepared
        return Outcome.other(kind, f"exit code {code}: {said[:1000]} {error[:2000]}")

    def _answer(self, command: str, data: Path) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of a command, without what differs from run to run."""
        out = self.folder / "out"
        words = [word.format(data=data, out=out, log=self.folder / "log.csv") for word in COMMANDS[command]]
        try:
            code, said, error = _open(data) if command == "open" else _run(words)
        finally:
            shutil.rmtree(out, ignore_errors=True)
        if command == "train" and code == 0:  # seconds differ
            said, error = "trained", ""
        said = re.sub(r"\b[0-9a-f]{64}\b", "SHA-256", said)  # of a list that the command has no use for
        return code, said.replace(str(data), "DATA"), error.replace(str(data), "DATA")


def _is_sound(data: Path) -> bool:
    """Whether the files fit together, told without lightrec."""
    try:
        told = json.loads((data / DESCRIPTION).read_bytes())
        offsets, items, times = (np.load(data / f"{name}.npy") for name in ("offsets", "items", "timestamps"))
        users, ids, texts, titles = (json.loads((data / f"{name}.json").read_bytes()) for name in LISTS)
        return (
            (offsets.dtype, items.dtype, times.dtype) == (np.int64, np.int32, np.int64)
            and (offsets.ndim, items.ndim, times.ndim) == (1, 1, 1)
            and (told["users"], told["items"], told["interactions"]) == (len(users), len(ids), len(items))
            and (offsets[0], offsets[-1], len(offsets), len(times)) == (0, len(items), len(users) + 1, len(items))
            and bool((np.diff(offsets) >= 0).all() and (items >= 0).all() and (items < len(ids)).all())
            and all(isinstance(value, str) for value in [*users, *ids, told["name"]])
            and all(value is None or isinstance(value, str) for value in [*texts, *titles])
            and (len(set(users)), len(set(ids)), len(texts), len(titles)) == (len(users), *[len(ids)] * 3)
            and type(told["order_only"]) is bool
        )
    except Exception:  # whatever json and numpy say of crafted files
        return False


def _run(words: list[str]) -> tuple[int, str, str]:
    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["lightrec", *words]
    code = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
    finally:
        sys.argv = before
    return code, out.getvalue(), err.getvalue()


def _open(data: Path) -> tuple[int, str, str]:
    """Everything that the library tells of a data set."""
    from lightrec.errors import DataError

    try:
        dataset = Dataset.open(data)
        told = {name: getattr(dataset, name) for name in LISTS} | {
            name: getattr(dataset, name).tolist() for name in ARRAYS
        }
    except DataError as error:
        return 2, "", f"Error: {error}"
    facts = [dataset.name, dataset.checksum, dataset.order_only, dataset.n_users, dataset.n_items]
    return 0, json.dumps([told, facts]), ""


def _data_set(path: Path) -> Path:
    choices = random.Random(1)
    lengths = [choices.randint(3, 8) for _ in range(12)]
    items = [choices.randrange(9) for _ in range(sum(lengths))]
    return write_dataset(
        path,
        name="small",
        user_ids=[f"u{user}" for user in range(12)],
        item_ids=[f"i{item}" for item in range(9)],
        item_texts=["Amélie, 2001", None, *(f"Film {item}, Drama" for item in range(7))],
        item_titles=["Amélie", None, *(f"Film {item}" for item in range(7))],
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        items=items,
        timestamps=[1_700_000_000 + place * 3600 for place in range(sum(lengths))],
        order_only=False,
    ).path


def _damage(data: Path, choices: random.Random) -> tuple[str, bool]:
    """Damage one file; the second answer is whether all checksums are right nevertheless."""
    name = choices.choice([DESCRIPTION, *FILES])
    file = data / name
    kind = choices.choice(["bit", "byte", "cut", "longer", "gone", "swapped", "folder", "empty", *["crafted"] * 4])
    content = bytearray(file.read_bytes())
    place = choices.randrange(len(content))
    if kind == "bit":
        content[place] ^= 1 << choices.randrange(8)
    elif kind == "byte":
        content[place] = choices.randrange(256)
    elif kind == "cut":
        del content[place:]
    elif kind == "longer":
        content += choices.randbytes(choices.randint(1, 20))
    elif kind == "empty":
        content.clear()
    elif kind == "swapped":
        content = bytearray((data / choices.choice([DESCRIPTION, *FILES])).read_bytes())
    if kind in ("gone", "folder"):
        file.unlink()
        if kind == "folder":
            file.mkdir()
        return kind, False
    if kind == "crafted":
        return _craft(data, name, choices)
    file.write_bytes(content)
    return kind, False


def _craft(data: Path, name: str, choices: random.Random) -> tuple[str, bool]:
    """Other content with right checksums, as an attacker would write it."""
    file = data / name
    description = read_json(data / DESCRIPTION)
    if name == DESCRIPTION:
        key = choices.choice(list(description))
        description[key] = choices.choice(JUNK)
        return f"crafted {key}", _seal(data, description)
    if file.suffix == ".json":
        values = read_json(file)
        values[choices.randrange(len(values))] = choices.choice(JUNK)
        values = choices.choice([values, values[:-1], [*values, "more"], {"a": values}, None])
        file.write_bytes(json.dumps(values).encode())
        return f"crafted {name}", _seal(data, description)
    values = np.load(file)
    values[choices.randrange(len(values))] = choices.choice([-1, 8, 9, 2**31 - 1, -(2**31)])
    kinds = ["as it is", "shorter", "as floats", "in another width", "of two dimensions", "big-endian", "header"]
    kind = choices.choice(kinds)
    changed = {
        "shorter": lambda: values[:-1],
        "as floats": lambda: values.astype(float),
        "in another width": lambda: values.astype(np.int16),
        "of two dimensions": lambda: values[None],
        "big-endian": lambda: values.astype(values.dtype.newbyteorder(">")),
    }
    np.save(file, changed.get(kind, lambda: values)())
    if kind == "header":
        shape = choices.choice(["10**15", "2**63", "-1", "0", "(5,)", "True", "'a'", "[" * 50])
        content = file.read_bytes()
        dtype = choices.choice(["<i4", "<i8", "|O", "<U9", "V0"])
        header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({shape},)}}"
        file.write_bytes(content[:8] + len(header).to_bytes(2, "little") + header.encode() + content[128:])
    return f"crafted {name}, {kind}", _seal(data, description)


def _seal(data: Path, description: dict[str, Any]) -> bool:
    """Set every checksum right; the answer is whether that was possible."""
    if isinstance(description.get("files"), dict):
        description["files"] = {name: sha256_file(data / name) for name in FILES}
        if isinstance(description.get("order_only"), bool):
            description["checksum"] = checksum(description["files"], description["order_only"])
    description.pop(OWN_DIGEST, None)
    try:
        write_json(data / DESCRIPTION, description | {OWN_DIGEST: own_digest(description)})
    except (ValueError, UnicodeEncodeError):  # infinite numbers and lone surrogates are no JSON that can be written
        (data / DESCRIPTION).write_bytes(json.dumps(description).encode())
    return True
