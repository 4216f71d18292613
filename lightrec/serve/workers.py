"""Threads that answer, and a queue in front of them that is bounded by time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic
from typing import TypeVar

T = TypeVar("T")

FULL_AFTER = 0.5
"""The queue takes no more while its first has waited for this share of its time: whoever came now would be late."""


class QueueFullError(Exception):
    """There is no room for another request."""


class Workers:
    """Runs work in threads; what would wait too long is refused at once, so that nobody waits in vain.

    A burst, such as all that arrives while the system lets other programs run, waits for its turn however large it is;
    only a queue that does not move is full. The runtimes compute outside Python's lock, so that several threads keep
    several cores busy.
    """

    def __init__(self, threads: int, queue: int):
        self.room = threads + queue
        """How many requests may be worked on or wait at one time."""
        self.pending = 0
        """How many do."""
        self._waiting: dict[object, float] = {}
        """When each of those that wait came; the first first."""
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="lightrec")

    async def run(self, work: Callable[[], T], timeout: float) -> T:
        """What ``work`` returns.

        Work that still waits when the time is over is never begun; work that has begun keeps its place till it ends.

        Raises:
            QueueFullError: if the queue is full.
            TimeoutError: after ``timeout`` seconds.
        """
        place = object()
        with self._lock:
            if self.pending >= self.room or self._waits() > FULL_AFTER * timeout:
                raise QueueFullError
            self.pending += 1
            self._waiting[place] = monotonic()

        def begun() -> T:
            self._begin(place)
            return work()

        def left(_: Future[T]) -> None:
            self._begin(place)  # it may have been given up before
            with self._lock:
                self.pending -= 1

        future = self._pool.submit(begun)
        future.add_done_callback(left)
        async with asyncio.timeout(timeout):
            return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Wait for what has begun and end the threads."""
        self._pool.shutdown(cancel_futures=True)

    def _waits(self) -> float:
        """For how long the first of the queue has waited, in seconds."""
        first = next(iter(self._waiting.values()), None)
        return 0.0 if first is None else monotonic() - first

    def _begin(self, place: object) -> None:
        with self._lock:
            self._waiting.pop(place, None)
