"""The service as an ASGI application."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

import lightrec
from lightrec.errors import BundleError, LightrecError
from lightrec.serve.limits.request_bodies import Gate
from lightrec.serve.limits.work_queue import QueueFullError
from lightrec.serve.open_inference.routes import HEADER_LENGTH, add_open_inference
from lightrec.serve.openapi import ASKED, EVERYWHERE, add_schemas, problems, reads
from lightrec.serve.operations import add_operations
from lightrec.serve.requests import (
    Answer,
    BatchAnswer,
    BatchQuestion,
    Json,
    Question,
    answer,
    read_batch,
    read_question,
)
from lightrec.serve.service import LOG, Service

GENERIC = {
    "Not Found": "There is nothing at this address: see /docs.",
    "Method Not Allowed": "This address takes another method: see /docs.",
}
"""Sentences that replace Starlette's own error texts."""


def make_app(service: Service) -> FastAPI:
    """Return the application, which closes ``service`` when it shuts down."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.ready = False
        service.close()

    app = FastAPI(
        title="lightrec",
        version=lightrec.__version__,
        description="The next items for a user, from a lightrec bundle. Addresses not on this page get 404.",
        lifespan=lifespan,
        responses=problems(*EVERYWHERE),
        docs_url=None,  # FastAPI's own page loads its scripts from another host
        redoc_url=None,
        redirect_slashes=False,  # the redirect would go to the address in the Host header
    )
    _add_recommend(app, service)
    add_operations(app, service)
    add_open_inference(app, service)
    add_schemas(app)
    _add_errors(app)
    settings = service.settings
    app.add_middleware(Gate, metrics=service.metrics, max_body=settings.max_body, timeout=settings.timeout)
    if settings.cors_origins:
        _let_pages_in(app, settings.cors_origins)
    return app


def _add_recommend(app: FastAPI, service: Service) -> None:
    asked = problems(*ASKED)

    @app.post(
        "/recommend", response_model=Answer, responses=asked, summary="The next items for one user", **reads(Question)
    )
    async def recommend(request: Request) -> Response:
        question = read_question(await request.body(), request.headers.get("content-type"))
        rules = question.model_dump()
        return await service.ask(
            lambda recommender: [recommender.recommend(**rules)], lambda found: Json(answer(found[0]))
        )

    @app.post(
        "/recommend/batch",
        response_model=BatchAnswer,
        responses=asked,
        summary="The next items for several users",
        **reads(BatchQuestion),
    )
    async def recommend_batch(request: Request) -> Response:
        question = read_batch(await request.body(), request.headers.get("content-type"))
        rules = question.model_dump()
        return await service.ask(
            lambda recommender: recommender.recommend_batch(**rules),
            lambda found: Json({"answers": [answer(one) for one in found]}),
        )


def _add_errors(app: FastAPI) -> None:
    """Answer every error with one sentence under ``error``."""

    def problem(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
        return Json({"error": text}, status, headers)

    @app.exception_handler(LightrecError)
    async def refused(_: Request, error: LightrecError) -> Response:
        return problem(422, str(error))

    @app.exception_handler(BundleError)
    async def damaged(_: Request, error: BundleError) -> Response:
        LOG.error("%s", error)
        return problem(500, str(error))

    @app.exception_handler(HTTPException)
    async def other(_: Request, error: HTTPException) -> Response:
        text = GENERIC.get(error.detail, error.detail)
        return problem(error.status_code, text, dict(error.headers or {}))

    @app.exception_handler(QueueFullError)
    async def full(_: Request, error: QueueFullError) -> Response:
        return problem(503, "Too many requests wait: come again in a second.", {"Retry-After": "1"})

    @app.exception_handler(TimeoutError)
    async def late(_: Request, error: TimeoutError) -> Response:
        return problem(504, "There was no answer in time: ask for less, or come again.")

    @app.exception_handler(Exception)
    async def unexpected(_: Request, error: Exception) -> Response:
        return problem(500, "The service met an error of its own: its log has more.")


class _Preflights(CORSMiddleware):
    """Starlette's CORS middleware, with refusals in the form of all other errors."""

    def preflight_response(self, request_headers: Headers) -> Response:
        answered = super().preflight_response(request_headers)
        if answered.status_code == 200:
            return answered
        why = bytes(answered.body).decode().removeprefix("Disallowed CORS ")
        headers = {name: value for name, value in answered.headers.items() if not name.startswith("content-")}
        return Json({"error": f"The preflight is refused for its {why}: see --cors-origin."}, 400, headers)


def _let_pages_in(app: FastAPI, origins: tuple[str, ...]) -> None:
    """Add CORS as the outermost middleware, so that pages can read error responses as well."""
    app.add_middleware(
        _Preflights,
        allow_origins=origins,
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type", HEADER_LENGTH],
        expose_headers=["Retry-After", HEADER_LENGTH],
    )
