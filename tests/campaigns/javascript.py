"""Damaged and forged bundles, and requests of every kind, given to lightrec.js in Node and compared with Python."""

from __future__ import annotations

import json
import math
import shutil
import sys
from pathlib import Path
from random import Random
from typing import Any

from campaigns import _bundle_mutations as mutations
from campaigns import _javascript_requests as make
from campaigns._fixture_bundles import IDS, student, write_bundles
from campaigns._javascript_requests import WRONG
from campaigns._processes import AnsweringProcess
from campaigns.campaign import Campaign, Outcome

from lightrec import Recommender

HISTORIES = [IDS[3:4], IDS[1:3], IDS[:4], IDS[:9], ["x"], IDS[5:15]]
K = 5


class JavascriptCampaign(Campaign):
    """Half of the attempts change a bundle, the others ask an untouched one."""

    name = "javascript"
    promise = "Whatever bundle or request lightrec.js is given, it answers as Python does or refuses with one sentence."

    def prepare(self, folder: Path) -> None:
        """A bundle with the graphs for sessions, and Node with lightrec.js."""
        self.folder = folder
        self.bundle = write_bundles(folder / "bundles", student())["onnx"][0]
        self.node = _node(folder / "project")
        # Python answers in a process of its own, too: a crash ends only that one.
        self.python = AnsweringProcess([sys.executable, str(Path(__file__).with_name("_bundle_worker.py"))])
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
        found = self._in_node(copy, [_asked(history) for history in HISTORIES] + [_played(one) for one in HISTORIES])
        errors = [found["load"], *(one.get("error") for one in found["told"])]
        for own, message in filter(None, errors):
            outcome = Outcome.refused(kind, message) if own else Outcome.other(kind, message)
            if outcome.result == "other" or change == "untouched":
                return Outcome.other(kind, message)
        if any(errors):
            return Outcome.refused(kind, next(filter(None, errors))[1])
        answers = [_rows(one["answer"]) for one in found["told"]]
        expected = self._of_python(copy)
        if expected is None:
            # What Python refuses and JavaScript does not read must not change the answer. Titles may be gone.
            expected = self.untouched if _lists_titles(copy) else _without_titles(self.untouched)
        for answer, theirs in zip(answers, expected, strict=True):
            if problem := _difference(answer, theirs):
                return Outcome.other(kind, problem)
        return Outcome.right(kind)

    def _of_python(self, bundle: Path) -> list[list[Any]] | None:
        """Python's answers to all histories, then in sessions; None if it refuses the bundle."""
        task = {"bundle": str(bundle), "backend": "onnxruntime", "histories": HISTORIES, "k": K}
        found = self.python.ask({**task, "candidates": IDS[12:18]})
        result, answers = found["recommend"] if isinstance(found, dict) else (found, [])
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
        found = self._in_node(self.bundle, calls, kept=True)
        assert found["load"] is None, found
        told: list[dict[str, Any]] = found["told"]
        return told

    def _in_node(self, bundle: Path, calls: list[str], kept: bool = False) -> dict[str, Any]:
        """What came of the calls; where Node hung or ended, an error that is not lightrec's."""
        found = self.node.ask({"bundle": str(bundle), "calls": calls, "kept": kept})
        return found if isinstance(found, dict) else {"load": [False, f"Node has {found}"], "told": []}


def _node(project: Path) -> AnsweringProcess:
    """Node with lightrec.js and ONNX Runtime."""
    from node_packages import node_modules

    from lightrec.web import FOLDER

    project.mkdir()
    (project / "node_modules").symlink_to(node_modules())
    (project / "package.json").write_text('{"type": "module"}')
    shutil.copy(FOLDER / "lightrec.js", project)
    shutil.copy(Path(__file__).with_name("_node_runner.mjs"), project / "runner.mjs")
    return AnsweringProcess(["node", "runner.mjs"], folder=project)


def _asked(history: list[str]) -> str:
    return f"return recommender.recommend({json.dumps(history)}, {{ k: {K} }});"


def _played(history: list[str]) -> str:
    return (
        f"const session = await recommender.session({json.dumps(history[:-1])}); await session.recommend({{ k: 1 }});"
        f"session.extend({json.dumps(history[-1:])}); return session.recommend({{ k: {K} }});"
    )


def _rows(answer: dict[str, Any]) -> list[list[Any]]:
    return [[item["id"], item["score"], item["title"]] for item in answer["items"]]


def _lists_titles(bundle: Path) -> bool:
    """Whether the manifest, read as leniently as JavaScript does, lists a file of titles."""
    text = (bundle / "manifest.json").read_text(errors="replace")
    return any(name.startswith("titles") for name in json.loads(text, parse_int=float)["files"])


def _without_titles(answers: list[list[Any]]) -> list[list[Any]]:
    return [[[item, score, None] for item, score, _ in answer] for answer in answers]


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
