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
"""A request waits for this share of its time at most: what is begun later would often end too late, for nobody."""


class QueueFullError(Exception):
    """The queue is full, or the request waited too long in it."""


class Workers:
    """Runs work in threads, in the order of its coming.

    A burst, such as all that arrives while the system lets other programs run, waits for its turn however large it is;
    but nothing waits for long. The runtimes compute outside Python's lock, so that several threads keep several cores
    busy.
    """

    def __init__(self, threads: int, queue: int):
        self.room = threads + queue
        """How many requests may be worked on or wait at one time."""
        self.pending = 0
        """How many do."""
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="lightrec")

    async def run(self, work: Callable[[], T], timeout: float) -> T:
        """What ``work`` returns.

        Work that still waits when its turn is too late is never begun; work that has begun keeps its place till it
        ends.

        Raises:
            QueueFullError: if the queue is full, or the turn comes after :data:`PATIENCE` of the time.
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
        """Wait for what has begun and end the threads."""
        self._pool.shutdown(cancel_futures=True)

    def _leave(self, _: Future) -> None:
        with self._lock:
            self.pending -= 1
