"""The service of one bundle: its recommender, workers and counters."""

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
    """The settings of a service."""

    bundle: Path
    """The bundle's folder; a reload reads it again."""
    name: str
    """The model's name in the Open Inference Protocol."""
    workers: int = 1
    """Requests that are computed at one time, each by one thread."""
    queue: int = 1000
    """Requests that may wait for a worker; more are refused with 503, as are those that wait half of the timeout."""
    timeout: float = 1.0
    """Seconds after which a request gets 504; also the time for its body to arrive (408)."""
    max_body: int = 1_000_000
    """Maximum bytes of a request's body; larger ones are refused with 413."""
    connections: int = 1000
    """Maximum number of open connections; it is lowered to what the limit of open files allows."""
    reload_token: str | None = None
    """The bearer token that ``POST /reload`` requires; if None, there is no such route."""
    block: Path | None = None
    """File of items never to recommend, one id per line; a reload reads it again."""
    allow_unknown_blocked: bool = False
    """Whether ids of :attr:`block` that the bundle does not know are skipped with a warning instead of refused."""
    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may send requests, such as ``https://shop.example``; ``*`` for all. Browsers block others."""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Options for :meth:`Recommender.load`."""


class Service:
    """Answers requests with the current bundle; for one event loop."""

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
        """The recommender that answers now; read it once per request."""
        return self._slot.current

    async def ask(
        self, question: Callable[[Recommender], list[Recommendations]], render: Callable[[list[Recommendations]], T]
    ) -> T:
        """Call ``question`` with the recommender, then ``render`` with the result, in a worker; return the latter's.

        Raises:
            QueueFullError: if too many requests wait, or this one waited too long.
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
        """Load the bundle's folder again, while the old bundle keeps answering.

        Raises:
            BundleError: if it cannot be loaded; the old bundle stays.
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
        """Call :meth:`reload` on a signal, which has no response, and log the outcome."""
        try:
            recommender = await self.reload()
            LOG.warning("%s read anew: %d items.", self.settings.bundle, recommender.n_items)
        except Exception as error:
            LOG.error("The bundle was not read anew: %s", error)

    def close(self) -> None:
        """Finish the work in progress and stop the workers."""
        self.workers.close()

    def _swap(self) -> None:
        with self._reading:
            self._blocked = self._read_block_list()
            self._slot.swap(self.settings.bundle)

    def _read_block_list(self) -> list[str]:
        return [] if self.settings.block is None else read_block_list(self.settings.block)

    def _check(self, recommender: Recommender) -> None:
        """Apply the block list; refuse a bundle that lacks its items, because a mistyped id would block nothing."""
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
