"""Routes for those who run the service: health, metrics, the page, and reading the bundle anew."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

from lightrec.errors import BundleError
from lightrec.serve.metrics import CONTENT_TYPE
from lightrec.serve.openapi import problems
from lightrec.serve.requests import Json
from lightrec.serve.responses import Health, Live, Ready, Reloaded, live, readiness
from lightrec.serve.service import Service

PAGE = Path(__file__).with_name("page.html")
"""Reads openapi.json and needs nothing else."""


def add_operations(app: FastAPI, service: Service) -> None:
    """Add all of them; ``POST /reload`` only where the service has a token for it."""
    _add_health(app, service)
    _add_page(app)

    @app.get("/metrics", summary="For Prometheus", response_class=Response)
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)

    if service.settings.reload_token is not None:
        _add_reload(app, service, service.settings.reload_token)


def content_policy(page: str) -> str:
    """A Content-Security-Policy: ``page`` runs its own script and style, asks this service, and does no more."""
    hashes = {tag: _hash(page, tag) for tag in ("script", "style")}
    rules = {
        "default-src": "'none'",
        "script-src": hashes["script"],
        "style-src": hashes["style"],
        "connect-src": "'self'",
        "img-src": "data:",  # an empty icon, else the browser asks for one
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _add_health(app: FastAPI, service: Service) -> None:
    @app.get("/health", response_model=Health, summary="Live and ready, and what is served")
    async def health() -> Response:
        manifest, record = service.recommender.manifest, service.recommender.backend.record
        served = {"model_type": manifest.model_type, "created": manifest.created, "items": manifest.n_items}
        state = {"live": True, "ready": service.ready}
        return Json({**state, "bundle": {**served, "backend": record.backend, "precision": record.precision}})

    @app.get("/health/live", response_model=Live, summary="The process runs")
    async def is_live() -> Response:
        return Json(live())

    @app.get("/health/ready", response_model=Ready, summary="Requests are answered; 503 otherwise")
    async def is_ready() -> Response:
        return Json(*readiness(service.ready))


def _add_page(app: FastAPI) -> None:
    page = PAGE.read_text(encoding="utf-8")
    headers = {"Content-Security-Policy": content_policy(page), "Referrer-Policy": "no-referrer"}

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(page, headers=headers)


def _add_reload(app: FastAPI, service: Service, token: str) -> None:
    expected = token.encode("utf-8", "surrogateescape")  # as the environment held it

    @app.post(
        "/reload",
        response_model=Reloaded,
        responses=problems(401, 422),
        summary="Read the bundle's folder anew; needs the bearer token",
    )
    async def reload(request: Request) -> Response:
        scheme, _, given = dict(request.scope["headers"]).get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(given.strip(), expected):
            headers = {"WWW-Authenticate": "Bearer"}
            raise HTTPException(401, "Give the token of this service: Authorization: Bearer TOKEN.", headers)
        try:
            recommender = await service.reload()
        except BundleError as error:
            raise HTTPException(422, str(error)) from None
        return Json({"items": recommender.n_items, "created": recommender.manifest.created})


def _hash(page: str, tag: str) -> str:
    """How a policy names the content of the only ``tag`` of ``page``."""
    (content,) = re.findall(rf"<{tag}[^>]*>(.*?)</{tag}>", page, re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
