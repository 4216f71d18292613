"""One bundle being served: the recommender, its workers, its counters."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from lightrec.errors import DataError, LightrecError
from lightrec.runtime.recommender import Recommendations, Recommender
from lightrec.runtime.slot import RecommenderSlot
from lightrec.serve.metrics import Metrics
from lightrec.serve.workers import Workers

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
    queue: int = 64
    """Requests that may wait for a worker; more are refused with 503."""
    timeout: float = 1.0
    """Seconds from a request's arrival to 504; also for its body to arrive (408)."""
    max_body: int = 1_000_000
    """Bytes of a request's body; more are refused with 413."""
    reload_token: str | None = None
    """What ``POST /reload`` must bring as its bearer token; there is no such route if None."""
    block: Path | None = None
    """File of the items that nobody is recommended, one id a line; a reload reads it anew."""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """For :meth:`Recommender.load`."""

    def blocked(self) -> list[str]:
        """The ids in the file :attr:`block`.

        Raises:
            DataError: if it cannot be read.
        """
        if self.block is None:
            return []
        try:
            lines = self.block.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            raise DataError(f"{self.block} given to --block is missing or no UTF-8 text: list one id a line.") from None
        return [line.strip() for line in lines if line.strip()]


class Service:
    """Answers by the bundle that is loaded now; for one event loop."""

    def __init__(self, settings: ServeSettings):
        self.settings = settings
        self.metrics = Metrics()
        self.workers = Workers(settings.workers, settings.queue)
        self.ready = True
        """False from the moment the service stops."""
        self.metrics.pending.set_function(lambda: self.workers.pending)
        self._slot = RecommenderSlot(settings.bundle, block=settings.blocked(), **settings.options)
        self._tell()

    @property
    def recommender(self) -> Recommender:
        """The bundle that answers now; take it once for each request."""
        return self._slot.current

    async def ask(self, question: Callable[[Recommender], list[Recommendations]]) -> list[Recommendations]:
        """Put ``question`` to the bundle, in a worker.

        Raises:
            QueueFullError: if too many requests wait.
            TimeoutError: if the answer takes too long.
        """
        recommender = self.recommender
        found = await self.workers.run(lambda: question(recommender), self.settings.timeout)
        self.metrics.users.inc(len(found))
        self.metrics.fallbacks.inc(sum(answer.fallback for answer in found))
        self.metrics.unknown.inc(sum(len(answer.unknown) for answer in found))
        return found

    async def reload(self) -> Recommender:
        """Read the folder of the bundle anew, while the old bundle goes on answering.

        Raises:
            LightrecError: if it cannot be loaded; the old one stays.
        """
        try:
            await asyncio.to_thread(self._swap)
        except (LightrecError, OSError):
            self.metrics.reloads.labels("failed").inc()
            raise
        self.metrics.reloads.labels("loaded").inc()
        self._tell()
        return self.recommender

    async def reload_or_log(self) -> None:
        """:meth:`reload` for those who cannot be answered: a signal."""
        try:
            recommender = await self.reload()
            LOG.warning("%s read anew: %d items.", self.settings.bundle, recommender.n_items)
        except (LightrecError, OSError) as error:
            LOG.error("The bundle was not read anew: %s", error)

    def close(self) -> None:
        """Let the workers end."""
        self.workers.close()

    def _swap(self) -> None:
        self._slot.swap(self.settings.bundle, block=self.settings.blocked())

    def _tell(self) -> None:
        record = self.recommender.backend.record
        self.metrics.loaded(self.recommender.manifest, record.precision, record.backend)
