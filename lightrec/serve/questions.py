"""What the service is asked and answers, as JSON; the OpenAPI page is made from these classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StrictInt, StrictStr

from lightrec.runtime.recommender import Recommendations

MOST_ITEMS = 1000
"""The largest k: a longer ranking is no recommendation, and would let one request take the memory of thousands."""
MOST_USERS = 1024
"""The largest batch."""

ItemId = StrictStr | StrictInt
"""An item's own id; the number 50 means "50"."""
Ids = list[ItemId]
K = Annotated[int, Field(ge=1, le=MOST_ITEMS, strict=True, description="How many items.")]


class _Rules(BaseModel):
    """What a request may say besides the history; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")

    k: K = 10
    candidates: Ids | None = Field(None, description="If given, only these may be returned.")
    boost: dict[str, FiniteFloat] | None = Field(
        None, description="Added to the scores of these items before the catalogue is ranked; ln 2 = 0.69 doubles odds."
    )


class Question(_Rules):
    """One user."""

    history: Ids = Field(description="The user's items, oldest first; empty for the most popular items.")
    exclude: Ids = Field(default=[], description="Items never to return, besides those of the history.")


class BatchQuestion(_Rules):
    """Several users; candidates and boosts hold for all of them."""

    histories: list[Ids] = Field(max_length=MOST_USERS, description="One history for each user.")
    exclude: list[Ids] | None = Field(None, description="For each user, items never to return.")


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


def answer(found: Recommendations) -> dict[str, object]:
    """An :class:`Answer`, ready for JSON."""
    return {
        "items": [item._asdict() for item in found],
        "unknown": list(found.unknown),
        "fallback": found.fallback,
    }


def sentence(error: RequestValidationError) -> str:
    """One sentence for the first thing that is wrong with a request."""
    first = error.errors()[0]
    place = _place(first["loc"])
    match first["type"]:
        case "json_invalid":
            return f"The body is not valid JSON ({first['ctx']['error']})."
        case "extra_forbidden":
            return f"There is no field {place!r}: the fields of each request stand on the page /docs."
        case "missing":
            return f"The field {place!r} is missing." if place else "The body is missing: send JSON."
        case "model_attributes_type":
            return "The body is no JSON object: send one, with the header Content-Type: application/json."
    if place.endswith((".str", ".int")):
        return f"The field {place[:-4]!r} holds {first['input']!r}: give an item's id, a string or a whole number."
    message = first["msg"]
    return f"The field {place!r} is wrong: {message[0].lower()}{message[1:]}."


def _place(location: Sequence[str | int]) -> str:
    """``histories.3``, of where pydantic saw an error."""
    return ".".join(map(str, location[1:]))
