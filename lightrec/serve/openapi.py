"""Add to the OpenAPI page what FastAPI cannot derive: the bodies that routes read themselves, and the errors."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from lightrec.serve.open_inference.tensors import InferRequest
from lightrec.serve.requests import BatchQuestion, Problem, Question

REFERENCE = "#/components/schemas/{model}"
BODIES = (Question, BatchQuestion, InferRequest)
"""Bodies that the routes read themselves, because FastAPI would accept invalid JSON: NaN, lone surrogates."""

MEANINGS = {
    400: "This is not HTTP.",
    401: "The bearer token is missing or wrong.",
    404: "There is no such model or version.",
    405: "The address takes another method.",
    408: "The request did not arrive in time.",
    413: "The body is too large.",
    422: "The request is wrong; the sentence says how.",
    431: "The headers are too large.",
    500: "The service met an error of its own.",
    503: "Too many connections or requests wait: come again after Retry-After seconds.",
    504: "There was no answer in time.",
}
EVERYWHERE = (400, 405, 408, 413, 431, 500, 503)
"""The error statuses of every route."""
ASKED = (422, 504)
"""Further error statuses of the routes that use the bundle."""
FASTAPIS_OWN = ("HTTPValidationError", "ValidationError")
"""Schemas that FastAPI adds for routes with a path parameter."""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the error responses of ``statuses``, for FastAPI's ``responses``."""
    return {status: {"model": Problem, "description": MEANINGS[status]} for status in statuses}


def reads(kind: type[BaseModel]) -> dict[str, Any]:
    """Return the arguments of a route that reads its body itself, as one of :data:`BODIES`."""
    schema = {"$ref": REFERENCE.format(model=kind.__name__)}
    return {"openapi_extra": {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}}


def add_schemas(app: FastAPI) -> None:
    """Add the schemas of :data:`BODIES` to the page, and remove FastAPI's own error schemas, which are never sent."""
    describe = app.openapi

    def described() -> dict[str, Any]:
        page = describe()
        _, schemas = models_json_schema([(kind, "validation") for kind in BODIES], ref_template=REFERENCE)
        page["components"]["schemas"] |= schemas["$defs"]
        for name in FASTAPIS_OWN:
            page["components"]["schemas"].pop(name, None)
        for operations in page["paths"].values():
            for operation in operations.values():
                answers = operation["responses"]
                if "Problem" not in str(answers.get("422", "Problem")):
                    del answers["422"]
        return page

    app.openapi = described  # type: ignore[method-assign]
