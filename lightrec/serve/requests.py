"""Request and response bodies of the recommendation routes; the OpenAPI page is made from these classes."""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StrictInt, StrictStr, ValidationError

from lightrec.errors import DataError
from lightrec.runtime.recommender import Recommendation, Recommendations
from lightrec.serve.limits.request_sizes import MAX_IDS, MAX_K, MAX_USERS, require_size

ItemId = StrictStr | StrictInt
"""An item's own id; the number 50 means "50"."""
Ids = Annotated[list[ItemId], Field(max_length=MAX_IDS, fail_fast=True)]
"""``fail_fast``: else a body full of mistakes would be answered after a list of all of them was made."""
K = Annotated[int, Field(ge=1, le=MAX_K, description="How many items.")]
Body = TypeVar("Body", bound=BaseModel)


class Strict(BaseModel):
    """A body, or a part of one: no value is converted, and unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class _Rules(Strict):
    """What a request may say besides the history."""

    k: K = 10
    candidates: Ids | None = Field(None, description="If given, only these may be returned.")
    boost: Annotated[dict[str, FiniteFloat], Field(max_length=MAX_IDS)] | None = Field(
        None, description="Added to the scores of these items before the catalogue is ranked; ln 2 = 0.69 doubles odds."
    )


class Question(_Rules):
    """One user."""

    history: Ids = Field(description="The user's items, oldest first; empty for the most popular items.")
    exclude: Ids = Field(default=[], description="Items never to return, besides those of the history.")


class BatchQuestion(_Rules):
    """Several users; candidates and boosts hold for all of them."""

    histories: Annotated[list[Ids], Field(max_length=MAX_USERS, fail_fast=True)] = Field(
        description="One history for each user."
    )
    exclude: Annotated[list[Ids], Field(max_length=MAX_USERS, fail_fast=True)] | None = Field(
        None, description="For each user, items never to return."
    )


class Item(BaseModel):
    """One recommended item."""

    id: str
    score: float | None = Field(description="Comparable within one answer; null where popularity answered.")
    title: str | None


class Answer(BaseModel):
    """The items to show, best first."""

    items: list[Item]
    unknown: list[str] = Field(description="Ids in the request that the bundle does not know; they were skipped.")
    fallback: bool = Field(description="True if no item of the history was known: these are the most popular items.")


class BatchAnswer(BaseModel):
    """One answer for each user, in their order."""

    answers: list[Answer]


class Problem(BaseModel):
    """What every answer but 2xx holds."""

    error: str = Field(description="One sentence.")


class Json(Response):
    """JSON that is valid UTF-8 whatever the bundle's ids and titles hold."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The bytes; a lone surrogate, which UTF-8 does not have, is escaped."""
        options: dict[str, Any] = {"allow_nan": False, "separators": (",", ":")}
        try:
            return json.dumps(content, ensure_ascii=False, **options).encode()
        except UnicodeEncodeError:
            return json.dumps(content, **options).encode()


def read_question(body: bytes, content_type: str | None) -> Question:
    """The body of ``POST /recommend``; raises :class:`DataError`."""
    _require_json(content_type)
    return read_body(Question, body)


def read_batch(body: bytes, content_type: str | None) -> BatchQuestion:
    """The body of ``POST /recommend/batch``; raises :class:`DataError`."""
    _require_json(content_type)
    question = read_body(BatchQuestion, body)
    require_size(len(question.histories), question.k)
    return question


def read_body(kind: type[Body], body: bytes) -> Body:
    """The JSON ``body`` as ``kind``.

    Raises:
        DataError: if it is not JSON in UTF-8, is nested too deeply, or is no such object; in one sentence.
    """
    if not body:
        raise DataError("The body is missing: send JSON.")
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise DataError(_sentence(error)) from None


def answer(found: Recommendations) -> dict[str, object]:
    """An :class:`Answer`, ready for JSON."""
    return {"items": list(map(_item, found)), "unknown": list(found.unknown), "fallback": found.fallback}


def _item(item: Recommendation) -> dict[str, object]:
    score = item.score
    # JSON has no infinity, which the sum of a score and a large boost may be.
    return {"id": item.id, "score": score if score is None or math.isfinite(score) else None, "title": item.title}


def _require_json(content_type: str | None) -> None:
    """Web pages may send any other type to any address without asking first."""
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise DataError("The body is not marked as JSON: send the header Content-Type: application/json.")


def _sentence(error: ValidationError) -> str:
    """One sentence for the first thing that is wrong with a request."""
    first = error.errors(include_url=False)[0]
    place = _place(first["loc"])
    match first["type"]:
        case "json_invalid":
            return f"The body is not valid JSON in UTF-8 ({first['ctx']['error']})."
        case "extra_forbidden":
            return f"There is no field {place!r}: the fields of each request stand on the page /docs."
        case "missing":
            return f"The field {place!r} is missing."
        case "model_type" if not place:
            return "The body is no JSON object: send one."
    if place.endswith((".str", ".int")):
        given = reprlib.repr(first["input"])
        return f"The field {place[:-4]!r} holds {given}: give an item's id, a string or a whole number."
    message = first["msg"]
    return f"The field {place!r} is wrong: {message[0].lower()}{message[1:]}."


def _place(location: Sequence[str | int]) -> str:
    """``histories.3``, of where pydantic saw an error; no more of a long key than shows which it is."""
    return ".".join(reprlib.repr(part)[1:-1] if isinstance(part, str) else str(part) for part in location)
