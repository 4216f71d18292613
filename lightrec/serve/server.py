"""Run the service: uvicorn, signals, and a shutdown that drops no request."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import socket
import sys
from collections.abc import Callable

import uvicorn

from lightrec.errors import ConfigError
from lightrec.serve.app import make_app
from lightrec.serve.limits.connections import Connection, Connections
from lightrec.serve.limits.open_files import room
from lightrec.serve.service import LOG, Service

PATIENCE = 10
"""Seconds beyond a request's timeout that a stopping service waits for requests in progress."""
KEEP_ALIVE = 65
"""Seconds that an idle connection stays open: longer than clients and proxies keep theirs in their pools."""
HAND_OVER = 0.0005
"""Seconds after which a thread yields Python's lock, which the workers and the event loop share."""


def run(service: Service, host: str, port: int, started: Callable[[int], None]) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests in progress; SIGHUP reloads the bundle.

    Args:
        service: the service to run.
        host: address to listen at.
        port: port to listen at; 0 for any free port.
        started: called with the port once requests can arrive.

    Raises:
        ConfigError: if the service cannot listen at the address, or the limit of open files is too low.
    """
    listener = _listen(host, port)
    settings = service.settings
    most, backlog = room(settings.connections)
    if most < settings.connections:
        LOG.warning(
            "The limit of open files (ulimit -n) leaves room for %d connections, not %d.", most, settings.connections
        )
    connections = Connections(most, settings.max_body)
    sys.setswitchinterval(HAND_OVER)
    config = uvicorn.Config(
        make_app(service),
        http=functools.partial(Connection, connections),  # type: ignore[arg-type]
        ws="none",
        backlog=backlog,
        log_level="error",  # it would warn about every malformed request
        access_log=False,
        timeout_graceful_shutdown=int(settings.timeout) + PATIENCE,
        server_header=False,
        headers=[("X-Content-Type-Options", "nosniff")],
        timeout_keep_alive=KEEP_ALIVE,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        # After it has stopped, uvicorn raises the signal again for the handler before its own: do nothing then.
        signal.signal(number, lambda *_: None)
    started(listener.getsockname()[1])
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(uvicorn.Server(config), service, listener))


async def _serve(server: uvicorn.Server, service: Service, listener: socket.socket) -> None:
    loop, reloads = asyncio.get_running_loop(), set()

    def reload() -> None:
        task = loop.create_task(service.reload_or_log())
        reloads.add(task)  # the loop itself holds only weak references to tasks
        task.add_done_callback(reloads.discard)

    if hasattr(signal, "SIGHUP"):
        loop.add_signal_handler(signal.SIGHUP, reload)
    await server.serve(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    # Only if the protocol is given does asyncio set TCP_NODELAY; else an answer's second part waits 40 ms for an ACK.
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
        return listener
    except (OSError, OverflowError, UnicodeError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        said = f"Port {port} of {host} cannot be listened at ({reason})"
        raise ConfigError(f"{said}: choose another --port or --host.") from None
