"""One bundle being served: the recommender, its workers, its counters."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from lightrec.errors import BundleError, ConfigError, DataError, LightrecError
from lightrec.runtime.recommender import Recommendations, Recommender
from lightrec.runtime.slot import RecommenderSlot
from lightrec.serve.block_list import read_block_list, unknown_ids
from lightrec.serve.limits.work_queue import Workers
from lightrec.serve.metrics import Metrics

T = TypeVar("T")
LOG = logging.getLogger("lightrec.serve")


@dataclasses.dataclass(frozen=True)
class ServeSettings:
    """How to serve."""

    bundle: Path
    """The folder; a reload reads it anew."""
    name: str
    """What the Open Inference Protocol calls the model."""
    workers: int = 1
    """Requests that are computed at one time, each by one thread."""
    queue: int = 1000
    """Requests that may wait for a worker; more are refused with 503, and those that wait for half of the timeout."""
    timeout: float = 1.0
    """Seconds from a request's arrival to 504; also for its body to arrive (408)."""
    max_body: int = 1_000_000
    """Bytes of a request's body; more are refused with 413."""
    connections: int = 1000
    """Connections that may be open; at most as many as the limit of open files leaves room for."""
    reload_token: str | None = None
    """What ``POST /reload`` must bring as its bearer token; there is no such route if None."""
    block: Path | None = None
    """File of the items that nobody is recommended, one id a line; a reload reads it anew."""
    allow_unknown_blocked: bool = False
    """Whether ids of :attr:`block` that the bundle does not know are skipped with a warning, and not refused."""
    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may ask, such as ``https://shop.example``; ``*`` for all. No browser lets them otherwise."""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """For :meth:`Recommender.load`."""


class Service:
    """Answers by the bundle that is loaded now; for one event loop."""

    def __init__(self, settings: ServeSettings):
        if not settings.name or "/" in settings.name:
            raise ConfigError(f"The name {settings.name!r} is no part of an address: give --name one without slashes.")
        self.settings = settings
        self.metrics = Metrics()
        self.workers = Workers(settings.workers, settings.queue)
        self.ready = True
        """False from the moment the service stops."""
        self._reading = threading.Lock()
        self.metrics.pending.set_function(lambda: self.workers.pending)
        self._blocked = self._read_block_list()
        self._slot = RecommenderSlot(settings.bundle, self._check, **settings.options)
        self._tell()

    @property
    def recommender(self) -> Recommender:
        """The bundle that answers now; take it once for each request."""
        return self._slot.current

    async def ask(
        self, question: Callable[[Recommender], list[Recommendations]], render: Callable[[list[Recommendations]], T]
    ) -> T:
        """Put ``question`` to the bundle and ``render`` what it found, in a worker; returns what ``render`` does.

        Raises:
            QueueFullError: if too many requests wait, or this one did for too long.
            TimeoutError: if the answer takes too long.
        """
        recommender = self.recommender

        def work() -> tuple[list[Recommendations], T]:
            found = question(recommender)
            return found, render(found)

        found, rendered = await self.workers.run(work, self.settings.timeout)
        self.metrics.users.inc(len(found))
        self.metrics.fallbacks.inc(sum(answer.fallback for answer in found))
        self.metrics.unknown.inc(sum(len(answer.unknown) for answer in found))
        return rendered

    async def reload(self) -> Recommender:
        """Read the folder of the bundle anew, while the old bundle goes on answering.

        Raises:
            BundleError: if it cannot be loaded; the old one stays.
        """
        try:
            await asyncio.to_thread(self._swap)
        except Exception as error:
            self.metrics.reloads.labels("failed").inc()
            if not isinstance(error, LightrecError | OSError):
                raise
            raise BundleError(f"{str(error).rstrip('.')}; the bundle read before goes on answering.") from None
        self.metrics.reloads.labels("loaded").inc()
        self._tell()
        return self.recommender

    async def reload_or_log(self) -> None:
        """:meth:`reload` for those who cannot be answered: a signal."""
        try:
            recommender = await self.reload()
            LOG.warning("%s read anew: %d items.", self.settings.bundle, recommender.n_items)
        except Exception as error:
            LOG.error("The bundle was not read anew: %s", error)

    def close(self) -> None:
        """Let the workers end."""
        self.workers.close()

    def _swap(self) -> None:
        with self._reading:
            self._blocked = self._read_block_list()
            self._slot.swap(self.settings.bundle)

    def _read_block_list(self) -> list[str]:
        return [] if self.settings.block is None else read_block_list(self.settings.block)

    def _check(self, recommender: Recommender) -> None:
        """Apply the block list; refuse a bundle that lacks its items: a mistyped one would go on being recommended."""
        unknown = unknown_ids(self._blocked, recommender)
        recommender.block(self._blocked, skip_unknown=True)
        if unknown is None:
            return
        said = f"{self.settings.block} given to --block lists ids that the bundle does not know, {unknown}"
        if not self.settings.allow_unknown_blocked:
            raise DataError(f"{said}: mend or remove them, or skip them with --allow-unknown-blocked.")
        LOG.warning("%s: they are skipped.", said)

    def _tell(self) -> None:
        record = self.recommender.backend.record
        self.metrics.loaded(self.recommender.manifest, record.precision, record.backend)
