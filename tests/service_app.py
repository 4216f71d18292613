"""Asks the service's ASGI application in this process."""

from __future__ import annotations

import asyncio
import json


async def post(
    app, body: bytes, delay: float = 0, path: str = "/recommend", last_after: float | None = None, **headers: bytes
) -> tuple[int, dict, dict]:
    """Status, headers and JSON of a POST whose body arrives after ``delay`` seconds.

    With ``last_after`` the last byte of the body comes apart from the others, so many seconds after them.
    """
    sent = []
    parts = [(delay, body)] if last_after is None else [(delay, body[:-1]), (last_after, body[-1:])]

    async def receive():
        wait, part = parts.pop(0)
        await asyncio.sleep(wait)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "http_version": "1.1"}
    given = {"content_type": b"application/json", **headers}
    raw = [(name.replace("_", "-").encode(), value) for name, value in given.items()]
    await app({**scope, "headers": raw}, receive, send)
    headers = {key.decode(): value.decode() for key, value in sent[0]["headers"]}
    return sent[0]["status"], headers, json.loads(b"".join(message.get("body", b"") for message in sent[1:]))
