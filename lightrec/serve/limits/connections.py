"""Limit the number of connections, and the time that each may take to send a request or read a response.

uvicorn limits neither, so clients that send half a request or do not read the response could lock out all others.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 10.0
"""Maximum seconds from a request's first byte, or the connection's start, until its headers are complete."""
WRITE_SECONDS = 30.0
"""Maximum seconds from when a response first has to wait for its client until the client has read all of it."""
MAX_HEAD_BYTES = 65_536
"""Maximum bytes of a request's first line and headers."""
MAX_BYTES_PER_BODY_BYTE = 10
"""Bytes received per byte that a body may have: it may come in chunks of one byte, or be read only to be discarded."""

REASONS = {400: "Bad Request", 408: "Request Timeout", 413: "Content Too Large", 431: "Header Fields Too Large"}
REASONS[503] = "Service Unavailable"


@dataclasses.dataclass
class Connections:
    """All connections of one service."""

    most: int
    """How many may be open at one time."""
    max_body: int
    """Bytes that a request's body may have."""
    head_seconds: float = HEAD_SECONDS
    write_seconds: float = WRITE_SECONDS
    open: set[Connection] = dataclasses.field(default_factory=set)
    idle: dict[Connection, None] = dataclasses.field(default_factory=dict)
    """The connections without a request in progress, the one idle for longest first."""

    def admit(self, new: Connection) -> bool:
        """Admit a connection; if there is no room, close the one idle for longest. Return False if all are busy."""
        if len(self.open) >= self.most:
            if not self.idle:
                return False
            next(iter(self.idle)).drop()
        self.open.add(new)
        self.idle[new] = None
        return True

    def forget(self, connection: Connection) -> None:
        """Remove a connection that is closed or about to be."""
        self.open.discard(connection)
        self.idle.pop(connection, None)


class Connection(HttpToolsProtocol):
    """uvicorn's connection, with timers and limits."""

    def __init__(self, limits: Connections, **options: Any):
        super().__init__(**options)
        self._limits = limits
        self._clock: asyncio.TimerHandle | None = None
        """The timer that runs while headers are awaited."""
        self._writing: asyncio.TimerHandle | None = None
        """The timer that runs while a response waits for its client."""
        self._in_head = True
        self._received = 0
        """Bytes since the request began."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the connection, or refuse it if there is no room."""
        super().connection_made(transport)
        if self._limits.admit(self):
            self._start_clock()
        else:
            self._refuse(503, "Too many connections are open: come again in a second.", "retry-after: 1\r\n")

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers."""
        self._limits.forget(self)
        self._stop_clock()
        if self._writing is not None:
            self._writing.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Process received bytes within the limits."""
        if self.transport.is_closing():
            return
        self._received += len(data)
        if self._in_head and self._clock is None:
            self._start_clock()
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._in_head and self._received > MAX_HEAD_BYTES:
            self._refuse(431, f"The headers have more than {MAX_HEAD_BYTES:,} bytes: send fewer.")
        elif self._received > MAX_HEAD_BYTES + MAX_BYTES_PER_BODY_BYTE * self._limits.max_body:
            self.drop()  # it goes on after a 413, or sends endless chunk extensions

    def on_message_begin(self) -> None:
        """Note the start of a request."""
        self._in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header to the request; ignore trailers, which follow a body."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Mark the connection as busy and let uvicorn answer the request."""
        self._in_head = False
        self._stop_clock()
        self._limits.idle.pop(self, None)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Prepare for the next request, to which the next byte belongs."""
        super().on_message_complete()
        self._in_head, self._received = True, 0

    def on_response_complete(self) -> None:
        """Mark the connection as idle, and time how long its client takes to read the response."""
        super().on_response_complete()
        if self.cycle is not None and self.cycle.response_complete and self in self._limits.open:
            self._limits.idle[self] = None
        if self.transport.get_write_buffer_size():
            self._time_writing()

    def pause_writing(self) -> None:
        """Start the timer for a client that reads more slowly than it is sent data."""
        super().pause_writing()
        self._time_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse data that is not HTTP."""
        self._refuse(400, "The request is not HTTP/1.1, or has a wrong header: send another.")

    def drop(self) -> None:
        """Close the connection at once, even with a request in progress."""
        self._limits.forget(self)
        self.transport.abort()

    def _start_clock(self) -> None:
        self._clock = self.loop.call_later(self._limits.head_seconds, self._late)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _late(self) -> None:
        self._clock = None
        if self.transport.is_closing():
            return
        if self._answering():  # the next request's headers must wait for this one
            self._start_clock()
        elif self._received:
            self._refuse(
                408, f"The headers did not arrive within {self._limits.head_seconds:g} seconds: send it again."
            )
        else:
            self.transport.close()

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _time_writing(self) -> None:
        if self._writing is None:
            self._writing = self.loop.call_later(self._limits.write_seconds, self._not_taken)

    def _not_taken(self) -> None:
        self._writing = None
        if self.transport.get_write_buffer_size():
            self.drop()

    def _refuse(self, status: int, problem: str, header: str = "") -> None:
        """Refuse data that is not a complete request, and close the connection."""
        if self._answering() and (self.cycle.response_started or not self.cycle.more_body):
            self.cycle.keep_alive = False  # the request before is complete: answer it, then close
            self.flow.pause_reading()
            return
        content = json.dumps({"error": problem}).encode()
        kind = f"content-type: application/json\r\ncontent-length: {len(content)}\r\nconnection: close\r\n"
        head = f"HTTP/1.1 {status} {REASONS[status]}\r\n{kind}x-content-type-options: nosniff\r\n{header}\r\n"
        self.transport.write(head.encode() + content)
        self.transport.close()
        if self.transport.get_write_buffer_size():
            self._time_writing()
