"""Uses bundles as a user would, one for each line of standard input: a crash or a hang ends only this process.

A line is a JSON object with ``bundle``, ``backend`` and ``histories``; the answer is a JSON object with ``recommend``,
``verify`` and ``rewrite``: each is ``["answered", ...]``, ``["refused", sentence]`` or ``["escaped", traceback]``.
"""

import contextlib
import json
import os
import resource
import sys
import tempfile
import traceback
from pathlib import Path

from lightrec import Recommender
from lightrec.bundle import copy_bundle, deployed_bytes, events_by_rank, read_golden, retitle_bundle
from lightrec.errors import LightrecError
from lightrec.verify.verify_bundle import verify_bundle

MEMORY = 4 * 2**30
"""Bytes of memory that a bundle of a few kilobytes may make the process use."""


def recommend(task):
    """Every question to a bundle: plain, with candidates, boosts, in a session and as a batch."""
    recommender = Recommender.load(task["bundle"], backend=task["backend"], cache=False)
    k = task["k"]
    answers = []
    for history in task["histories"]:
        session = recommender.session(history[:-1])
        session.recommend(1)
        session.extend(history[-1:])
        answers += [
            recommender.recommend(history, k),
            recommender.recommend(history, k, candidates=task["candidates"]),
            recommender.recommend(history, k, boost={task["candidates"][0]: 0.5}),
            session.recommend(k),
        ]
    answers += recommender.recommend_batch(task["histories"], k)
    return [[[item.id, item.score, item.title] for item in answer] for answer in answers]


def verify(task):
    """Whether the bundle passes; the golden answers are asked for again by whoever reads this."""
    report = verify_bundle(Path(task["bundle"]))
    report.require()
    read_golden(task["bundle"], report.manifest)
    return [check.status for check in report.models]


def rewrite(task):
    """Copy the bundle, and write it with another title; what is written must verify where the bundle did."""
    with tempfile.TemporaryDirectory() as folder:
        copied = copy_bundle(task["bundle"], Path(folder) / "copied")
        retitled = retitle_bundle(task["bundle"], Path(folder) / "retitled", {task["candidates"][0]: "Another title"})
        deployed_bytes(task["bundle"])
        events_by_rank(copied)
        return [copied.n_items, retitled.n_items]


def tried(use, task):
    """What came of it."""
    try:
        return ["answered", use(task)]
    except LightrecError as error:
        return ["refused", str(error)]
    except BaseException:
        return ["escaped", traceback.format_exc()[-2000:]]


if __name__ == "__main__":
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    # A runtime's own C++ code may write to standard output: only answers may reach whoever asked.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        asked = json.loads(line)
        ways = {"recommend": recommend, "verify": verify, "rewrite": rewrite}
        print(json.dumps({name: tried(way, asked) for name, way in ways.items()}), file=answers, flush=True)
