"""The service as an ASGI application."""

from __future__ import annotations

import contextlib
import hmac
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.exceptions import HTTPException

import lightrec
from lightrec.errors import LightrecError
from lightrec.serve.gate import Gate
from lightrec.serve.metrics import CONTENT_TYPE
from lightrec.serve.open_inference import add_open_inference
from lightrec.serve.questions import Answer, BatchAnswer, BatchQuestion, Problem, Question, answer, sentence
from lightrec.serve.service import Service
from lightrec.serve.workers import QueueFullError

PAGE = Path(__file__).with_name("page.html")
"""Reads openapi.json and needs nothing else."""

PROBLEMS: dict[int | str, dict[str, Any]] = {
    413: {"model": Problem, "description": "The body is too large."},
    422: {"model": Problem, "description": "The request is wrong; the sentence says how."},
    503: {"model": Problem, "description": "Too many requests wait: come again after Retry-After seconds."},
    504: {"model": Problem, "description": "There was no answer in time."},
}
GENERIC = {
    "Not Found": "There is nothing at this address: see /docs.",
    "Method Not Allowed": "This address takes another method: see /docs.",
}
"""Starlette's own words, as sentences."""


def make_app(service: Service) -> FastAPI:
    """The application; it closes ``service`` when it ends."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.ready = False
        service.close()

    app = FastAPI(
        title="lightrec",
        version=lightrec.__version__,
        description="The next items for a user, from a lightrec bundle.",
        lifespan=lifespan,
        responses=PROBLEMS,
        docs_url=None,  # FastAPI's own page loads its program from elsewhere
        redoc_url=None,
    )
    _add_recommend(app, service)
    _add_operations(app, service)
    add_open_inference(app, service)
    _add_errors(app)
    settings = service.settings
    app.add_middleware(Gate, metrics=service.metrics, max_body=settings.max_body, timeout=settings.timeout)
    return app


def _add_recommend(app: FastAPI, service: Service) -> None:
    @app.post("/recommend", response_model=Answer, summary="The next items for one user")
    async def recommend(question: Question) -> Response:
        rules = question.model_dump()
        found = await service.ask(lambda recommender: [recommender.recommend(**rules)])
        return JSONResponse(answer(found[0]))

    @app.post("/recommend/batch", response_model=BatchAnswer, summary="The next items for several users")
    async def recommend_batch(question: BatchQuestion) -> Response:
        rules = question.model_dump()
        found = await service.ask(lambda recommender: recommender.recommend_batch(**rules))
        return JSONResponse({"answers": [answer(one) for one in found]})


def _add_operations(app: FastAPI, service: Service) -> None:
    @app.get("/health", summary="Live and ready, and what is served")
    async def health() -> Response:
        manifest, record = service.recommender.manifest, service.recommender.backend.record
        served = {"model_type": manifest.model_type, "created": manifest.created, "items": manifest.n_items}
        state = {"live": True, "ready": service.ready}
        return JSONResponse({**state, "bundle": {**served, "backend": record.backend, "precision": record.precision}})

    @app.get("/health/live", summary="The process runs")
    async def live() -> Response:
        return JSONResponse({"live": True})

    @app.get("/health/ready", summary="Requests are answered; 503 otherwise")
    async def ready() -> Response:
        return JSONResponse({"ready": service.ready}, 200 if service.ready else 503)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return FileResponse(PAGE, media_type="text/html")

    @app.get("/metrics", summary="For Prometheus", response_class=Response)
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)

    token = service.settings.reload_token
    if token is None:
        return

    @app.post("/reload", summary="Read the bundle's folder anew; needs the bearer token")
    async def reload(request: Request) -> Response:
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            raise HTTPException(401, "Give the token of this service: Authorization: Bearer TOKEN.")
        recommender = await service.reload()
        return JSONResponse({"items": recommender.n_items, "created": recommender.manifest.created})


def _add_errors(app: FastAPI) -> None:
    """Everything that can go wrong becomes one sentence under ``error``."""

    def problem(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
        return JSONResponse({"error": text}, status, headers)

    @app.exception_handler(RequestValidationError)
    async def wrong(_: Request, error: RequestValidationError) -> Response:
        return problem(422, sentence(error))

    @app.exception_handler(LightrecError)
    async def refused(_: Request, error: LightrecError) -> Response:
        return problem(422, str(error))

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
