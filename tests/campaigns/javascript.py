"""Damaged and forged bundles, and requests of every kind, given to lightrec.js in Node and compared with Python."""

from __future__ import annotations

import json
import math
import queue
import shutil
import subprocess
import threading
from pathlib import Path
from random import Random
from typing import Any

from campaigns import _bundle_mutations as mutations
from campaigns import _javascript_requests as make
from campaigns import bundles
from campaigns._javascript_requests import WRONG
from campaigns.campaign import Campaign, Outcome

from lightrec import Recommender

SECONDS = 60
"""After which a call counts as hanging; it takes a few hundredths of one."""
MOST_LINES = 400
"""Node starts anew after so many: what is loaded stays in its memory."""
HISTORIES = [["i03"], ["i01", "i02"], bundles.IDS[:4], bundles.IDS[:9], ["x"], bundles.IDS[5:15]]
K = 5


class JavascriptCampaign(Campaign):
    """Half of the attempts change a bundle, the others ask an untouched one."""

    name = "javascript"
    promise = "Whatever bundle or request lightrec.js is given, it answers as Python does or refuses with one sentence."

    def prepare(self, folder: Path) -> None:
        """A bundle with the graphs for sessions, and Node with lightrec.js."""
        self.folder = folder
        # Written by the campaign of bundles, whose process also answers for Python: a crash ends only that one.
        self.bundle = bundles._write_bundles(folder / "bundles")["onnx"][0]
        self.python = bundles._Worker()
        self.node = _Node(folder / "project")
        self.recommender = Recommender.load(self.bundle)
        self.ids = list(self.recommender.item_ids)
        self.untouched = self._of_python(self.bundle)
        assert self.untouched is not None

    def attempt(self, random: Random) -> Outcome:
        """A bundle, a request, or a session."""
        return random.choice([self._bundle, self._request, self._session])(random)

    def close(self) -> None:
        """End both processes."""
        for process in ("python", "node"):
            if hasattr(self, process):
                getattr(self, process).stop()

    def _bundle(self, random: Random) -> Outcome:
        copy = mutations.copy(self.bundle, self.folder / "changed")
        change = mutations.mutate(copy, random) if random.random() < 0.95 else "untouched"
        hashed = random.random() < 2 / 3
        if hashed:
            mutations.rehash(copy)
        kind = f"bundle: {change}{', right hashes' if hashed else ''}"
        found = self.node.ask(copy, [_asked(history) for history in HISTORIES] + [_played(one) for one in HISTORIES])
        errors = [found["load"], *(one.get("error") for one in found["told"])]
        for own, message in filter(None, errors):
            outcome = Outcome.refused(kind, message) if own else Outcome.other(kind, message)
            if outcome.result == "other" or change == "untouched":
                return Outcome.other(kind, message)
        if any(errors):
            return Outcome.refused(kind, next(filter(None, errors))[1])
        answers = [_rows(one["answer"]) for one in found["told"]]
        # What Python refuses and JavaScript does not read must not change the answer.
        expected = self._of_python(copy) or self.untouched
        for answer, theirs in zip(answers, expected, strict=True):
            if problem := _difference(answer, theirs):
                return Outcome.other(kind, problem)
        return Outcome.right(kind)

    def _of_python(self, bundle: Path) -> list[list[Any]] | None:
        """Python's answers to all histories, then in sessions; None if it refuses the bundle."""
        task = {"bundle": str(bundle), "backend": "onnxruntime", "histories": HISTORIES, "k": K}
        result, answers = self.python.ask({**task, "candidates": bundles.IDS[12:18]})["recommend"]
        asked = 4 * len(HISTORIES)  # for each history plain, with candidates, with a boost, in a session
        return None if result != "answered" else answers[0:asked:4] + answers[3:asked:4]

    def _request(self, random: Random) -> Outcome:
        wrong = random.choice([0, 0.2, 0.5])
        history, items = make.sequence(random, self.ids, wrong)
        options, values = make.options(random, self.ids, wrong)
        call = f"return recommender.recommend({history}{', ' if options else ''}{options});"
        [told] = self._kept([call])
        if items is WRONG or values is WRONG:
            return _must_refuse("request: wrong", call, told)
        return _compared("request: right", call, told, self.recommender.recommend(items, **values))

    def _session(self, random: Random) -> Outcome:
        """A session of right and wrong steps; after each wrong one it goes on as if that had not been."""
        wrong = random.choice([0, 0, 0.3])
        history, items = make.sequence(random, self.ids, 0)
        session = self.recommender.session(items)
        calls, expected = [f"box.session = await recommender.session({history}); return 0;"], [None]
        for _ in range(random.randint(1, 6)):
            more, items = make.sequence(random, self.ids, wrong, 4)
            options, values = make.options(random, self.ids, wrong)
            if items is not WRONG:
                session.extend(items)
            calls += [f"box.session.extend({more}); return 0;", f"return box.session.recommend({options});"]
            expected += [items, values if values is WRONG else session.recommend(**values)]
        for call, told, theirs in list(zip(calls, self._kept(calls), expected, strict=True))[1:]:
            recommends = call.startswith("return")
            if theirs is WRONG:
                outcome = _must_refuse("session: wrong step", call, told)
            elif not recommends and "error" not in told:
                continue
            else:
                outcome = _compared("session", " ".join(calls), told, theirs)
            if outcome.result == "other":
                return outcome
        return Outcome.right("session of right and wrong steps" if wrong else "session")

    def _kept(self, calls: list[str]) -> list[dict[str, Any]]:
        found = self.node.ask(self.bundle, calls, kept=True)
        assert found["load"] is None, found
        return found["told"]


class _Node:
    """Node with lightrec.js; replaced when it ends, takes too long, or has done enough."""

    def __init__(self, project: Path) -> None:
        from node_packages import node_modules

        from lightrec.web import FOLDER

        project.mkdir()
        (project / "node_modules").symlink_to(node_modules())
        (project / "package.json").write_text('{"type": "module"}')
        shutil.copy(FOLDER / "lightrec.js", project)
        shutil.copy(Path(__file__).with_name("_node_runner.mjs"), project / "runner.mjs")
        self.project = project
        self._start()

    def _start(self) -> None:
        self.asked = 0
        options: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(["node", "runner.mjs"], cwd=self.project, encoding="utf-8", **options)
        self.lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, args=(self.process, self.lines), daemon=True).start()

    @staticmethod
    def _read(process: Any, lines: queue.Queue[str]) -> None:
        for line in process.stdout:
            lines.put(line)
        lines.put("")

    def ask(self, bundle: Path, calls: list[str], kept: bool = False) -> dict[str, Any]:
        """What came of the calls; where Node ended or hung, an error that is not lightrec's."""
        if self.asked == MOST_LINES:
            self.stop()
            self._start()
        self.asked += 1
        self.process.stdin.write(json.dumps({"bundle": str(bundle), "calls": calls, "kept": kept}) + "\n")
        self.process.stdin.flush()
        try:
            line = self.lines.get(timeout=SECONDS)
        except queue.Empty:
            line, ended = "", "Node hangs"
        else:
            ended = "Node has ended"
        if line:
            return json.loads(line)
        self.stop()
        self._start()
        return {"load": [False, ended], "told": []}

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()


def _asked(history: list[str]) -> str:
    return f"return recommender.recommend({json.dumps(history)}, {{ k: {K} }});"


def _played(history: list[str]) -> str:
    return (
        f"const session = await recommender.session({json.dumps(history[:-1])}); await session.recommend({{ k: 1 }});"
        f"session.extend({json.dumps(history[-1:])}); return session.recommend({{ k: {K} }});"
    )


def _rows(answer: dict[str, Any]) -> list[list[Any]]:
    return [[item["id"], item["score"], item["title"]] for item in answer["items"]]


def _difference(found: list[list[Any]], expected: list[list[Any]]) -> str | None:
    """What tells two answers apart; items may change places whose scores are equal but for rounding."""
    problem = f"{found} instead of {expected}"
    if len(found) != len(expected):
        return problem
    scores = {item: score for item, score, _ in expected}
    titles = {item: title for item, _, title in expected}
    for (item, score, title), (_, at_rank, _) in zip(found, expected, strict=True):
        if not _near(score, at_rank) or not _near(score, scores.get(item, at_rank)):
            return problem
        if item in titles and title != titles[item]:
            return problem
    return None


def _near(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-3, abs_tol=1e-3)


def _must_refuse(kind: str, call: str, told: dict[str, Any]) -> Outcome:
    if "error" not in told:
        return Outcome.other(kind, f"{call} was answered: {told}")
    own, message = told["error"]
    return Outcome.refused(kind, message) if own else Outcome.other(kind, f"{call}: {message}")


def _compared(kind: str, call: str, told: dict[str, Any], expected: Any) -> Outcome:
    if "error" in told:
        return Outcome.other(kind, f"{call}: {told['error']}")
    answer = told["answer"]
    theirs = [[item.id, item.score, item.title] for item in expected]
    problem = _difference(_rows(answer), theirs)
    if not problem and (tuple(answer["unknown"]), answer["fallback"]) != (expected.unknown, expected.fallback):
        problem = f"{answer['unknown']} {answer['fallback']} instead of {expected.unknown} {expected.fallback}"
    return Outcome.other(kind, f"{call}: {problem}") if problem else Outcome.right(kind)
