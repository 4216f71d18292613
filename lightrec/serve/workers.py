"""Threads that answer, and a bounded queue in front of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class QueueFullError(Exception):
    """There is no room for another request."""


class Workers:
    """Runs work in threads; what does not fit the queue is refused at once, so that nobody waits in vain.

    The runtimes compute outside Python's lock, so that several threads keep several cores busy.
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

        Work that still waits when the time is over is never begun; work that has begun keeps its place till it ends.

        Raises:
            QueueFullError: if the queue is full.
            TimeoutError: after ``timeout`` seconds.
        """
        with self._lock:
            if self.pending >= self.room:
                raise QueueFullError
            self.pending += 1
        future = self._pool.submit(work)
        future.add_done_callback(self._leave)
        async with asyncio.timeout(timeout):
            return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Wait for what has begun and end the threads."""
        self._pool.shutdown(cancel_futures=True)

    def _leave(self, _: Future) -> None:
        with self._lock:
            self.pending -= 1
