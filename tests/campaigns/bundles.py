"""Damaged and forged bundles of every format, through ``Recommender.load`` and ``verify``, in another process."""

from __future__ import annotations

import json
import math
import os
import queue
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from campaigns import _bundle_mutations as mutations
from campaigns._fixture_bundles import IDS, student, write_bundles
from campaigns.campaign import Campaign, Outcome

WAYS = ("recommend", "verify", "rewrite")
"""How the worker uses a bundle."""
SECONDS = 60
"""After which an attempt counts as hanging; it takes a few hundredths of one."""


class BundleCampaign(Campaign):
    """Mutations with and without right hashes; see :mod:`campaigns._bundle_mutations`."""

    name = "bundles"
    promise = "A damaged or forged bundle is refused with one sentence; nothing hangs, crashes or answers out of it."

    def prepare(self, folder: Path) -> None:
        """One bundle for each format, and what each answers untouched."""
        self.folder = folder
        self.worker = _Worker()
        self.bundles = write_bundles(folder / "bundles", student())
        self.expected = {}
        for name, (bundle, backend) in self.bundles.items():
            found = self.worker.ask(_task(bundle, backend))
            if any(found[way][0] != "answered" for way in WAYS):
                raise AssertionError(f"The untouched bundle {name} does not answer: {found}")
            self.expected[name] = found["recommend"][1]

    def attempt(self, random: random.Random) -> Outcome:
        """Change one file, with right hashes in two of three attempts, and use the bundle."""
        name = random.choice(sorted(self.bundles))
        bundle, backend = self.bundles[name]
        copy = mutations.copy(bundle, self.folder / "changed")
        change, hashed = mutations.mutate(copy, random), random.random() < 2 / 3
        if hashed:
            mutations.rehash(copy)
        kind = f"{name}: {change}{', right hashes' if hashed else ''}"
        found = self.worker.ask(_task(copy, backend))
        for way in WAYS:
            result, detail = found[way]
            if result == "refused":
                outcome = Outcome.refused(kind, detail)
                if outcome.result == "other":
                    return outcome
            elif result != "answered":
                return Outcome.other(kind, f"{way} {result}: {detail}")
        if found["recommend"][0] == "refused":
            return Outcome.refused(kind, found["recommend"][1])
        problem = _problem(found["recommend"][1], None if hashed else self.expected[name])
        return Outcome.other(kind, problem) if problem else Outcome.right(kind)

    def close(self) -> None:
        """End the worker."""
        self.worker.stop()


class _Worker:
    """A process that uses bundles; replaced when it ends or takes too long."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        command = [sys.executable, str(Path(__file__).with_name("_bundle_worker.py"))]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONWARNINGS": "ignore", "OPENBLAS_NUM_THREADS": "1"},
        )
        self.lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, args=(self.process, self.lines), daemon=True).start()

    @staticmethod
    def _read(process: Any, lines: queue.Queue[str]) -> None:
        for line in process.stdout:
            lines.put(line)
        lines.put("")

    def ask(self, task: dict[str, Any]) -> dict[str, Any]:
        """What came of both ways to use a bundle; ``hung`` or ``died`` where the process did not answer."""
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()
        try:
            line = self.lines.get(timeout=SECONDS)
        except queue.Empty:
            line, ended = "", "hung"
        else:
            ended = "died"
        if line:
            return json.loads(line)
        self.stop()
        code = self.process.returncode
        self._start()
        return {way: [ended, f"exit code {code}"] for way in WAYS}

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()


def _task(bundle: Path, backend: str) -> dict[str, Any]:
    histories = [["3"], ["1", "2"], IDS[:4], IDS[:9], ["x"], IDS[5:15]]
    return {"bundle": str(bundle), "backend": backend, "histories": histories, "k": 5, "candidates": IDS[12:18]}


def _problem(answers: list[list[list[Any]]], expected: list[Any] | None) -> str | None:
    """What is wrong with answers: untouched files must answer as before, others at least by the rules of a ranking."""
    if expected is not None:
        for found, wanted in zip(answers, expected, strict=True):
            same = len(found) == len(wanted) and all(
                one[0] == other[0] and one[2] in (other[2], None) and _near(one[1], other[1])
                for one, other in zip(found, wanted, strict=True)
            )
            if not same:
                return f"answered {found} instead of {wanted}"
        return None
    for answer in answers:
        ids, scores = [item for item, *_ in answer], [score for _, score, _ in answer if score is not None]
        titles = [title for *_, title in answer if title is not None]
        if len(set(ids)) != len(ids) or len(ids) > 5 or not all(isinstance(item, str) for item in ids):
            return f"answered with items twice, or too many: {ids}"
        if scores != sorted(scores, reverse=True):
            return f"answered in another order than that of the scores: {scores}"
        if not all(map(math.isfinite, scores)) or not all(isinstance(title, str) for title in titles):
            return f"answered with scores or titles of another kind: {scores} {titles}"
        if "forged" in titles:
            return "used titles that are not listed"
    return None


def _near(one: float | None, other: float | None) -> bool:
    return one is other or (one is not None and other is not None and abs(one - other) <= 1e-4 * max(1, abs(other)))
