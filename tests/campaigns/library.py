"""Requests to the library and its sessions, right and wrong, compared with a ranking of all scores by numpy."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from typing import Any

import numpy as np
from campaigns._fixture_bundles import IDS, MAX_LENGTH, N_ITEMS, POPULARITY, student, write_bundles
from campaigns.campaign import Campaign, Outcome

from lightrec import Recommender
from lightrec.errors import LightrecError
from lightrec.runtime.session_state import _digest

TOLERANCE = 1e-3
"""Scores of float32 in another runtime; the bundle's own golden cases allow as much."""
UNKNOWN = ["x", "", "1.0", "007", "\ud800", "é", "0 ", "nan", "None", "\0", "1" * 300]
NO_ID = [1.0, np.float32(3), float("nan"), None, True, b"1", bytearray(b"2"), ["1"], {}, object(), 10**5000, 1j]
NO_LIST = [None, "1", b"1", bytearray(b"12"), memoryview(b"1"), 5, 1.5, {"1": 2}, True, object(), np.array(3)]
NO_K = [0, -1, 2.0, "3", None, True, [1], np.float64(4), np.int8(-5), float("nan"), b"1", np.array([2])]
NO_BOOST = [
    [],
    "1",
    5,
    [("1", 2)],
    {"1": None},
    {"1": "2"},
    {"1": float("nan")},
    {"1": 10**400},
    {1.0: 2},
    {1: 1, "1": 2},
]
KINDS_OF_K = [int, np.uint8, np.int8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]


@dataclasses.dataclass
class Asked:
    """A request in plain ids."""

    history: list[str]
    k: int
    exclude: list[str]
    candidates: list[str] | None
    boost: dict[str, float]
    blocked: list[str]


class RequestCampaign(Campaign):
    """One request for each attempt, in any form that Python has for it."""

    name = "requests"
    promise = "Any request to the library is answered as ranking all scores would, or refused with one sentence."

    def prepare(self, folder: Path) -> None:
        """A recommender for each format, and the student that scores for the oracle."""
        self.student = student()
        bundles = write_bundles(folder / "bundles", self.student)
        load = {name: {"bundle": path, "backend": backend} for name, (path, backend) in bundles.items()}
        load["threads"] = {**load["onnx"], "threads": 2}
        self.recommenders = {name: Recommender.load(**options, cache=False) for name, options in load.items()}

    def attempt(self, random: random.Random) -> Outcome:
        """Ask in one of several ways; wrong requests must be refused, right ones answered."""
        name = random.choice(sorted(self.recommenders))
        recommender, asked = self.recommenders[name], _request(random)
        recommender.block(asked.blocked)
        way = random.choice(["recommend", "batch", "session", "state", "wrong", "forged"])
        kind = f"{name}: {way}"
        if way == "wrong":
            return self._wrong(recommender, asked, kind, random)
        if way == "forged":
            return self._forged(recommender, asked, kind, random)
        answer = getattr(self, f"_{way}")(recommender, asked, random)
        problem = self._problem(answer, asked)
        return Outcome.other(kind, f"{problem} for {asked}") if problem else Outcome.right(kind)

    def _recommend(self, recommender: Recommender, asked: Asked, random: random.Random) -> Any:
        return recommender.recommend(_spelt(asked.history, random), **_rest(asked, random))

    def _batch(self, recommender: Recommender, asked: Asked, random: random.Random) -> Any:
        others = [_request(random).history for _ in range(random.choice([0, 1, 5, 70]))]
        place = random.randrange(len(others) + 1)
        histories = [*others[:place], asked.history, *others[place:]]
        rest = _rest(asked, random)
        rest["exclude"] = [asked.exclude] * len(histories)
        return recommender.recommend_batch([_spelt(history, random) for history in histories], **rest)[place]

    def _session(self, recommender: Recommender, asked: Asked, random: random.Random) -> Any:
        cut = random.randrange(len(asked.history) + 1)
        session = recommender.session(_spelt(asked.history[:cut], random))
        for item in asked.history[cut:]:
            if random.random() < 0.5:
                session.recommend(random.randrange(1, 5))
            session.add(item)
        return session.recommend(**_rest(asked, random))

    def _state(self, recommender: Recommender, asked: Asked, random: random.Random) -> Any:
        """A session that goes on under any of the bundles, which all have the same student."""
        cut = random.randrange(len(asked.history) + 1)
        session = recommender.session(asked.history[:cut])
        session.recommend(1)
        other = self.recommenders[random.choice(sorted(self.recommenders))]
        other.block(asked.blocked)
        return other.session(asked.history[cut:], state=session.export()).recommend(**_rest(asked, random))

    def _wrong(self, recommender: Recommender, asked: Asked, kind: str, random: random.Random) -> Outcome:
        where = random.choice(["history", "exclude", "candidates", "k", "boost", "block"])
        rest: dict[str, Any] = {"history": asked.history, **_rest(asked, random)}
        if where == "k":
            rest["k"] = random.choice(NO_K)
        elif where == "boost":
            rest["boost"] = random.choice(NO_BOOST)
        else:
            listed = random.choice(NO_LIST)
            if random.random() < 0.5 or (listed is None and where == "candidates"):
                listed = [*asked.history, random.choice(NO_ID)]
                random.shuffle(listed)
            elif random.random() < 0.1 and where == "history":
                listed = {"1", "2"}
            rest[where] = listed
        block = rest.pop("block", None)
        try:
            if where == "block":
                recommender.block(random.choice([block, ["1", "not known"]]))
            elif random.random() < 0.5:
                recommender.recommend(**rest)
            else:
                recommender.session(rest.pop("history")).recommend(**rest)
        except LightrecError as error:
            return Outcome.refused(f"{kind} {where}", str(error))
        return Outcome.other(f"{kind} {where}", f"accepted {rest if block is None else block!r}")

    def _forged(self, recommender: Recommender, asked: Asked, kind: str, random: random.Random) -> Outcome:
        """A state with one array changed, with the right digest in half of the attempts."""
        session = recommender.session(asked.history or ["1"])
        session.recommend(1)
        state = session.export()
        name = random.choice(sorted(state))
        changed = _changed(state[name], random)
        kept = {**state, name: changed}
        if changed is None:
            del kept[name]
        if digest := random.random() < 0.5:
            kept.pop("digest", None)
            kept["digest"] = np.array(_digest(kept))
        try:
            answer = recommender.session(state=kept).recommend(5)
        except LightrecError as error:
            return Outcome.refused(f"{kind} {name}", str(error))
        if not digest and changed is not None and not _equal(changed, state[name]):
            return Outcome.other(f"{kind} {name}", f"accepted {name} {changed!r}")
        sound = len({item.id for item in answer}) == len(answer) <= 5
        return Outcome.right(f"{kind} {name}") if sound else Outcome.other(f"{kind} {name}", f"answered {answer}")

    def _problem(self, answer: Any, asked: Asked) -> str | None:
        """What is wrong with an answer; None if it is the best k of all items that may be returned."""
        history = [int(item) for item in asked.history if item in IDS]
        hidden = {*history, *(int(item) for item in [*asked.exclude, *asked.blocked] if item in IDS)}
        allowed = IDS if asked.candidates is None else asked.candidates
        left = [item for item in POPULARITY if item not in hidden and str(item) in allowed]
        given = [*asked.history, *asked.exclude, *(asked.candidates or []), *asked.boost]
        if set(answer.unknown) != set(given) - set(IDS) or answer.fallback != (not history):
            return f"unknown {answer.unknown}, fallback {answer.fallback}"
        if not history:
            expected = [(str(item), None) for item in left[: asked.k]]
            return None if [(item.id, item.score) for item in answer] == expected else f"{answer} instead of {expected}"
        scores = self._scores(history)
        for item, amount in asked.boost.items():
            if item in IDS:
                scores[int(item)] += amount
        best = sorted((scores[item] for item in left), reverse=True)[: asked.k]
        found = [item.score for item in answer]
        if len(found) != len(best) or not np.allclose(found, best, atol=TOLERANCE):
            return f"scores {found} instead of {best}"
        named = all(int(item.id) in left and abs(scores[int(item.id)] - item.score) <= TOLERANCE for item in answer)
        return None if named and len({item.id for item in answer}) == len(answer) else f"answered {answer}"

    def _scores(self, history: list[int]) -> np.ndarray:
        import torch

        recent = torch.tensor([history[-MAX_LENGTH:]])
        with torch.no_grad():
            state = self.student.last_state(recent, torch.tensor([recent.shape[1]]))
            table = self.student._directions(self.student.item_embedding.weight)[:N_ITEMS]
            return (state @ table.T)[0].double().numpy()


def _request(random: random.Random) -> Asked:
    def some(most: int) -> list[str]:
        return [random.choice(UNKNOWN if random.random() < 0.1 else IDS) for _ in range(random.randrange(most + 1))]

    candidates = some(12) if random.random() < 0.4 else None
    boost = {item: random.choice([-3.0, 0.0, 0.5, 2, 1e30, -1e30]) for item in some(5)} if random.random() < 0.4 else {}
    known = [item for item in some(4) if item in IDS] if random.random() < 0.3 else []
    return Asked(some(14), random.choice([1, 2, 5, 23, 24, 25, 100, 127]), some(8), candidates, boost, known)


def _spelt(ids: list[str], random: random.Random) -> Any:
    """The same list in another of Python's forms."""
    numbers = all(item in IDS for item in ids)
    forms = [list, tuple, iter, lambda items: (item for item in items), lambda items: [np.str_(item) for item in items]]
    if numbers:
        forms += [
            lambda items: [int(item) for item in items],
            lambda items: [random.choice([str, int, np.int8, np.uint64])(item) for item in items],
            lambda items: np.array(items, dtype=random.choice([np.uint8, np.int64, str])),
        ]
    return random.choice(forms)(ids)


def _rest(asked: Asked, random: random.Random) -> dict[str, Any]:
    """The request but for its history, in other forms."""
    fits = [kind for kind in KINDS_OF_K if kind is int or asked.k <= np.iinfo(kind).max]
    candidates = None if asked.candidates is None else _spelt(asked.candidates, random)
    boost: Any = asked.boost or random.choice([None, {}])
    return {
        "k": random.choice(fits)(asked.k),
        "exclude": _spelt(asked.exclude, random) if random.random() < 0.8 else set(asked.exclude),
        "candidates": candidates,
        "boost": boost,
    }


def _changed(array: np.ndarray, random: random.Random) -> np.ndarray | None:
    """An array of another kind, another shape or another value; None for none at all."""
    change = random.randrange(7)
    if change == 0:
        return None
    if change == 1:
        kinds = [np.float64, np.int8, object, "U3", "S4"] if array.dtype.kind in "if" else [object]
        return array.astype(random.choice(kinds))
    if change == 2:
        return array[None]
    if change == 3:
        return array[..., :-1] if array.ndim else np.array([array])
    if change == 4:
        return np.array(random.choice([np.nan, -1, 2**40, "x", 0.5, True]))
    copy = array.copy()
    flat = copy.reshape(-1)
    if flat.size:
        extremes: dict[str, list[Any]] = {
            "f": [np.nan, np.inf, 1e38, 0],
            "i": [-1, 0, 2**62, 3],
            "U": ["x", "0", "\ud800"],
            "u": [34, 0, 255, 93],
        }
        flat[random.randrange(flat.size)] = random.choice(extremes[array.dtype.kind])
    return copy


def _equal(one: np.ndarray, other: np.ndarray) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
