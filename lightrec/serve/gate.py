"""What every request passes first: the limits of its body, and the clock."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

from lightrec.serve.limits import whole_number
from lightrec.serve.metrics import Metrics

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Gate:
    """ASGI middleware: reads the whole body before anything else happens, or refuses it; counts and times requests."""

    def __init__(self, app: ASGIApp, metrics: Metrics, max_body: int, timeout: float):
        self.app = app
        self.metrics = metrics
        self.max_body = max_body
        """Bytes that a body may have."""
        self.timeout = timeout
        """Seconds that it may take to arrive."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def counted(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._answer(scope, receive, counted)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            self.metrics.answered(route, status, time.perf_counter() - started)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        announced = dict(scope["headers"]).get(b"content-length", b"0").decode("latin-1")
        if (whole_number(announced) or 0) > self.max_body:
            await self._too_large(send)
            return
        try:
            async with asyncio.timeout(self.timeout):
                body = await self._body(receive)
        except TimeoutError:
            await refuse(send, 408, f"The body did not arrive within {self.timeout:g} seconds: send it again.")
            return
        if body is None:
            await self._too_large(send)
            return
        await self.app(scope, _replayed(body, receive), send)

    async def _body(self, receive: Receive) -> bytes | None:
        """All of it; None if it is too large, whose rest is read and forgotten, so that the client hears why."""
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            chunk = message.get("body", b"")
            size += len(chunk)
            if size <= self.max_body:
                chunks.append(chunk)
            if not message.get("more_body"):
                return b"".join(chunks) if size <= self.max_body else None

    async def _too_large(self, send: Send) -> None:
        await refuse(send, 413, f"The body has more than {self.max_body:,} bytes: ask for fewer users at once.")


async def refuse(send: Send, status: int, problem: str) -> None:
    """Answer by one sentence, and close the connection: something of the body may still be under way."""
    body = json.dumps({"error": problem}).encode()
    size = str(len(body)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", size), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Gives ``body`` once, then what else the client does, such as leaving."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
