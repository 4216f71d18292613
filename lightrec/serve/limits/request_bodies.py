"""Read each request's body within limits of size and time, before anything else happens."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

from lightrec.serve.limits.request_sizes import whole_number
from lightrec.serve.metrics import Metrics

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODIES_HELD = 64
"""All bodies in memory together have at most this many times the bytes allowed for one."""
MAX_BODIES_DISCARDED = 8
"""A body of at most this many times the limit is read to its end and discarded, so that its client gets the reason."""


class Gate:
    """ASGI middleware: reads the whole body before anything else happens, or refuses it; counts and times requests."""

    def __init__(self, app: ASGIApp, metrics: Metrics, max_body: int, timeout: float):
        self.app = app
        self.metrics = metrics
        self.max_body = max_body
        """Maximum bytes of a body."""
        self.timeout = timeout
        """Maximum seconds for a body to arrive."""
        self.held = 0
        """Bytes of all bodies that are being read or answered."""

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
        headers = dict(scope["headers"])
        announced = whole_number(headers.get(b"content-length", b"0").decode("latin-1")) or 0
        if announced > self.max_body and (b"expect" in headers or announced > MAX_BODIES_DISCARDED * self.max_body):
            await self._too_large(send)
            return
        body = _Body(self.max_body)
        try:
            if await self._read(body, receive, send):
                await self.app(scope, _replayed(b"".join(body.chunks), receive), send)
        finally:
            self.held -= body.held

    async def _read(self, body: _Body, receive: Receive, send: Send) -> bool:
        """Read ``body``; return False if it is incomplete, after a refusal or because the client disconnected."""
        more = True
        try:
            async with asyncio.timeout(self.timeout):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return False
                    self.held += body.add(message.get("body", b""))
                    if self.held > MAX_BODIES_HELD * self.max_body:
                        sentence = "Too many large requests are under way: come again in a second."
                        await refuse(send, 503, sentence, (b"retry-after", b"1"))
                        return False
                    more = message.get("more_body", False)
        except TimeoutError:
            await refuse(send, 408, f"The body did not arrive within {self.timeout:g} seconds: send it again.")
            return False
        if body.too_large:
            await self._too_large(send)
        return not body.too_large

    async def _too_large(self, send: Send) -> None:
        await refuse(send, 413, f"The body has more than {self.max_body:,} bytes: ask for fewer users at once.")


class _Body:
    """The part of one body received so far; emptied once the body is too large."""

    def __init__(self, most: int):
        self._most = most
        self.chunks: list[bytes] = []
        self.held = 0
        """Bytes of :attr:`chunks`."""
        self.too_large = False

    def add(self, chunk: bytes) -> int:
        """Add a chunk; return by how many bytes the memory in use changed."""
        before = self.held
        self.too_large = self.too_large or self.held + len(chunk) > self._most
        if self.too_large:
            self.chunks.clear()
            self.held = 0
        else:
            self.chunks.append(chunk)
            self.held += len(chunk)
        return self.held - before


async def refuse(send: Send, status: int, problem: str, *headers: tuple[bytes, bytes]) -> None:
    """Answer with one sentence and close the connection, because the rest of the body may still arrive."""
    body = json.dumps({"error": problem}).encode()
    size = str(len(body)).encode()
    usual = [(b"content-type", b"application/json"), (b"content-length", size), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": [*usual, *headers]})
    await send({"type": "http.response.body", "body": body})


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that gives ``body`` once, then the client's further messages, such as a disconnect."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
