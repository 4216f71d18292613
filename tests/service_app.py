"""Asks the service's ASGI application in this process."""

from __future__ import annotations

import asyncio
import json


async def post(
    app, body: bytes, delay: float = 0, path: str = "/recommend", **headers: bytes
) -> tuple[int, dict, dict]:
    """Status, headers and JSON of a POST whose body arrives after ``delay`` seconds."""
    sent = []

    async def receive():
        await asyncio.sleep(delay)
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "http_version": "1.1"}
    given = {"content_type": b"application/json", **headers}
    raw = [(name.replace("_", "-").encode(), value) for name, value in given.items()]
    await app({**scope, "headers": raw}, receive, send)
    headers = {key.decode(): value.decode() for key, value in sent[0]["headers"]}
    return sent[0]["status"], headers, json.loads(b"".join(message.get("body", b"") for message in sent[1:]))
