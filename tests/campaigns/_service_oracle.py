"""What the service must answer: requests read by the standard library alone, answered by a Recommender in this process.

A reading of its own, so that a mistake of the service's reader is none of the oracle's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from lightrec.errors import LightrecError
from lightrec.runtime.recommender import Recommendations, Recommender

NO_SCORE = -3.4028234663852886e38
MAX_IDS, MAX_USERS, MAX_K, MAX_ITEMS_RETURNED = 65_536, 1024, 1000, 131_072
"""The limits that docs/serve.md states."""
SINGLE = {"history", "k", "exclude", "candidates", "boost"}
BATCH = {"histories", "k", "exclude", "candidates", "boost"}


class Wrong(Exception):
    """The request must be refused."""


def parse(body: bytes) -> Any:
    """The JSON value of ``body``; raises :class:`Wrong`."""
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_refuse)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # lone surrogates
    except (ValueError, RecursionError):
        raise Wrong from None
    return value


def question(value: Any, batch: bool) -> dict[str, Any]:
    """The arguments that a request means; raises :class:`Wrong`."""
    required = "histories" if batch else "history"
    _require(type(value) is dict and set(value) <= (BATCH if batch else SINGLE) and required in value)
    k = value.get("k", 10)
    _require(type(k) is int and 1 <= k <= MAX_K)
    for name in ("candidates", "boost"):
        if value.get(name) is not None:
            (_require_ids if name == "candidates" else _require_boost)(value[name])
    if not batch:
        _require_ids(value["history"])
        _require_ids(value.get("exclude", []))
        return value
    _require_lists(value["histories"])
    if value.get("exclude") is not None:
        _require_lists(value["exclude"])
        _require(len(value["exclude"]) == len(value["histories"]))
    _require(len(value["histories"]) * k <= MAX_ITEMS_RETURNED)
    return value


def answer(recommender: Recommender, rules: dict[str, Any], batch: bool) -> Any:
    """The JSON value of the answer; raises :class:`Wrong`."""
    try:
        if batch:
            return {"answers": list(map(_answer, recommender.recommend_batch(**rules)))}
        return _answer(recommender.recommend(**rules))
    except LightrecError:
        raise Wrong from None


def infer_rules(value: Any) -> tuple[list[list[Any]], int, list[list[Any]] | None]:
    """Histories, k and exclusions of an inference request whose data are all in its JSON, or that has none."""
    tensors = {tensor["name"]: (tensor["shape"], _flat(tensor.get("data", []))) for tensor in value["inputs"]}
    rows = {name: _rows(*tensors[name]) for name in ("history", "exclude") if name in tensors}
    lengths = tensors["length"][1] if "length" in tensors else [None] * len(rows["history"])
    histories = [row[:length] for row, length in zip(rows["history"], lengths, strict=True)]
    return histories, tensors["k"][1][0] if "k" in tensors else 10, rows.get("exclude")


def infer_outputs(found: Sequence[Recommendations]) -> dict[str, tuple[list[int], list[Any]]]:
    """Shape and flat data of each output."""
    users, width = len(found), max(map(len, found), default=0)
    filled = [[*answer, *[None] * (width - len(answer))] for answer in found]
    items = [item.id if item else "" for row in filled for item in row]
    scores = [NO_SCORE if item is None or item.score is None else item.score for row in filled for item in row]
    return {
        "items": ([users, width], items),
        "scores": ([users, width], scores),
        "fallback": ([users], [answer.fallback for answer in found]),
    }


def _answer(found: Recommendations) -> dict[str, Any]:
    items = [{"id": item.id, "score": _finite(item.score), "title": item.title} for item in found]
    return {"items": items, "unknown": list(found.unknown), "fallback": found.fallback}


def _finite(score: float | None) -> float | None:
    return score if score is not None and math.isfinite(score) else None


def _flat(data: list[Any]) -> list[Any]:
    return [value for row in data for value in (row if isinstance(row, list) else [row])]


def _rows(shape: list[int], values: list[Any]) -> list[list[Any]]:
    if len(shape) == 1:
        return [values]
    return [values[row * shape[1] : (row + 1) * shape[1]] for row in range(shape[0])]


def _require(right: bool) -> None:
    if not right:
        raise Wrong


def _require_ids(value: Any) -> None:
    _require(type(value) is list and len(value) <= MAX_IDS and all(type(item) in (str, int) for item in value))


def _require_lists(value: Any) -> None:
    _require(type(value) is list and len(value) <= MAX_USERS)
    for ids in value:
        _require_ids(ids)


def _require_boost(value: Any) -> None:
    _require(type(value) is dict and len(value) <= MAX_IDS)
    for amount in value.values():
        try:
            _require(type(amount) in (int, float) and math.isfinite(amount))
        except OverflowError:
            raise Wrong from None


def _refuse(_: str) -> None:
    raise ValueError
