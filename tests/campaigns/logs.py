"""Logs in every way of writing, whole or damaged: read as they were made, or refused with one sentence."""

from __future__ import annotations

import gzip
import random
import shutil
import time
from pathlib import Path

from campaigns.campaign import Campaign, Outcome
from campaigns.log_files import Log, Written, histories, make_log, write_log

from lightrec.data.prepare import prepare
from lightrec.errors import LightrecError

LONGEST = 20.0
"""Seconds that an attempt may take on a busy machine."""


class LogCampaign(Campaign):
    """A log whose sequences are known is written in a random way and perhaps damaged, then prepared."""

    name = "logs"
    promise = "Any file of interactions is read right or refused with one sentence."

    def prepare(self, folder: Path) -> None:
        self.folder = folder

    def attempt(self, random: random.Random) -> Outcome:
        place = self.folder / "attempt"
        place.mkdir()
        try:
            log = make_log(random, awkward=random.random() < 0.4)
            written = write_log(log, place, random)
            damage = _damage(written, random) if random.random() < 0.5 else None
            return _outcome(log, written, damage, place / "out")
        finally:
            shutil.rmtree(place)


def _outcome(log: Log, written: Written, damage: str | None, out: Path) -> Outcome:
    kind = f"{written.kind}, {damage or 'whole'}"
    started = time.monotonic()
    try:
        dataset = prepare(written.paths, out, reading=written.options, k_core=0, drop_repeats=False, name="log")
    except LightrecError as error:
        if damage is None:
            return Outcome.other(kind, f"a whole log is refused: {error}")
        if out.exists():
            return Outcome.other(kind, "refused, but a data set was written")
        return Outcome.refused(kind, str(error))
    if time.monotonic() - started > LONGEST:
        return Outcome.other(kind, f"it took more than {LONGEST} s")
    read = histories(dataset)
    if read == log.sequences:
        return Outcome.right(kind)
    return Outcome.other(kind, f"read as {read} instead of {log.sequences}")


def _damage(written: Written, choices: random.Random) -> str:
    """Damage one file in a way that can be found, and say how.

    A digit changed in plain text is another log, not a damaged one; what is changed here breaks a checksum, an
    encoding, or the form of a row.
    """
    path = choices.choice(sorted(file for given in written.paths for file in _files(given)))
    content = path.read_bytes()
    ways = [_remove, _overwrite]
    if _checked(content):
        ways += [_cut, _flip]
    if written.text is not None:
        ways += [_break_text] * 3
    return choices.choice(ways)(path, content, written, choices)


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in path.iterdir() if not file.name.startswith("_")]


def _checked(content: bytes) -> bool:
    """Whether the format finds by itself that content is missing or changed."""
    return content[:4] in (b"\x28\xb5\x2f\xfd", b"\xfd7zX") or content[:2] == b"\x1f\x8b" or content[:3] == b"BZh"


def _remove(path: Path, content: bytes, written: Written, choices: random.Random) -> str:
    """The one file of a log goes; of several parts each holds what nothing else does."""
    if len(written.paths) == 1 and written.paths[0].is_dir():
        shutil.rmtree(written.paths[0])
    else:
        path.unlink()
    return "missing"


def _overwrite(path: Path, content: bytes, written: Written, choices: random.Random) -> str:
    strange = {
        "nothing": b"",
        "zeros": bytes(len(content)),
        "noise": b"\0" + choices.randbytes(len(content)),
        "a page": b"<!DOCTYPE html><html><body>Not found</body></html>",
        "an archive": b"PK\x03\x04" + content,
        "compressed noise": gzip.compress(b"\0" + choices.randbytes(len(content))),
        "an open bracket": b"[" * 1000,
        "an open brace": b'{"a":' * 1000,
    }
    name = choices.choice(list(strange))
    if name == "nothing" and written.paths[0].is_dir():
        name = "zeros"  # an empty part of a folder is passed over, and said
    path.write_bytes(strange[name])
    return f"overwritten by {name}"


def _cut(path: Path, content: bytes, written: Written, choices: random.Random) -> str:
    path.write_bytes(content[: choices.randrange(1, len(content))])
    return "cut short"


def _flip(path: Path, content: bytes, written: Written, choices: random.Random) -> str:
    changed = bytearray(content)
    changed[choices.randrange(12, len(content))] ^= 1 << choices.randrange(8)
    path.write_bytes(changed)
    return "a bit changed"


def _break_text(path: Path, content: bytes, written: Written, choices: random.Random) -> str:
    """One change to the text that no reading of it can pass over."""
    assert written.text is not None and written.finish is not None
    text = written.text
    place = choices.randrange(len(text) + 1)
    way = choices.choice(("a NUL", "an open quote", "an open bracket at the end"))
    if way == "a NUL":
        changed = f"{text[:place]}\0{text[place:]}"
    elif way == "an open quote":
        changed = f'{text}"'
    else:
        changed = f"{text}[{{"
    path.write_bytes(written.finish(changed))
    return way
