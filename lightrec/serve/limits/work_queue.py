"""Run requests in worker threads, behind a queue in which no request waits for long."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 0.5
"""The share of its timeout that a request may wait: work begun later would often end after the timeout, for nothing."""


class QueueFullError(Exception):
    """The queue is full, or the request waited too long in it."""


class Workers:
    """Runs work in threads, in the order of arrival.

    The queue absorbs a burst, such as the requests that arrive while the system runs other programs; but no request
    waits for long. The runtimes compute outside Python's lock, so several threads keep several cores busy.
    """

    def __init__(self, threads: int, queue: int):
        self.room = threads + queue
        """How many requests may be in progress or waiting at one time."""
        self.pending = 0
        """How many are now."""
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="lightrec")

    async def run(self, work: Callable[[], T], timeout: float) -> T:
        """Run ``work`` in a worker thread and return its result.

        Work that has waited too long is never begun; work that has begun occupies its worker until it ends.

        Raises:
            QueueFullError: if the queue is full, or the work has waited longer than :data:`PATIENCE` of ``timeout``.
            TimeoutError: after ``timeout`` seconds.
        """
        with self._lock:
            if self.pending >= self.room:
                raise QueueFullError
            self.pending += 1
        latest = monotonic() + PATIENCE * timeout

        def begun() -> T:
            if monotonic() > latest:
                raise QueueFullError
            return work()

        future = self._pool.submit(begun)
        future.add_done_callback(self._leave)
        async with asyncio.timeout(timeout):
            return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Wait for the work in progress and end the threads."""
        self._pool.shutdown(cancel_futures=True)

    def _leave(self, _: Future) -> None:
        with self._lock:
            self.pending -= 1
