"""Many right requests from several clients, while the bundle is exchanged under them again and again."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from campaigns import _service_oracle as oracle
from campaigns import _service_requests as make
from campaigns.campaign import Campaign, Outcome
from mini_bundle import write_bundle
from service_process import TOKEN, Server

from lightrec.bundle import copy_bundle
from lightrec.runtime.recommender import Recommender

CLIENTS = 4
REQUESTS = 50
"""Of each client, in one attempt."""
WARM_UP = 10
"""Attempts after which the service's memory is measured for the first time."""
MORE_MEMORY = 100 * 2**20
"""Bytes that it may have more after any number of attempts."""


class ServiceSoakCampaign(Campaign):
    """An answer is that of the bundle before or after the exchange that is under way, never of both or of none."""

    name = "service-soak"
    promise = (
        "A service whose bundle is exchanged under load answers every request by one of the two, in bounded memory."
    )

    def prepare(self, folder: Path) -> None:
        """Start the service over the first of two bundles whose answers differ."""
        size = len(make.KNOWN)
        scores = np.random.default_rng(2).normal(size=(size, size)).astype(np.float32)
        order = list(range(size))
        self.bundles = [
            write_bundle(folder / "first", scores, make.KNOWN, None, order),
            write_bundle(folder / "second", -scores, make.KNOWN, None, order[::-1]),
        ]
        self.recommenders = [Recommender.load(bundle) for bundle in self.bundles]
        self.served = folder / "bundle"
        copy_bundle(self.bundles[0], self.served)
        self.log = folder / "service.log"
        self.server = Server(self.served, "--timeout", "20", "--workers", "2", log=self.log)
        self.answering = 0
        self.attempts = 0
        self.most = 0

    def attempt(self, random: Random) -> Outcome:
        """One exchange of the bundle, for another, for the same or for a damaged one, beside all clients."""
        before, after = self.answering, random.randrange(2)
        damaged = random.random() < 0.2
        wrong: list[str] = []
        clients = [
            threading.Thread(target=self._client, args=(Random(random.random()), {before, after}, wrong), daemon=True)
            for _ in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        status, said = self._exchange(after, damaged)
        if not damaged:
            self.answering = after
        for client in clients:
            client.join()
        kind = "exchange for a damaged bundle" if damaged else "exchange"
        if wrong:
            return Outcome.other(kind, wrong[0])
        if status != (422 if damaged else 200):
            return Outcome.other(kind, f"the reload was answered by {status} {said}")
        self._client(Random(0), {self.answering}, wrong, 5)
        if wrong:
            return Outcome.other(kind, f"after the exchange: {wrong[0]}")
        problem = self._problem()
        if problem is not None:
            return Outcome.other(kind, problem)
        return Outcome.refused(kind, said["error"]) if damaged else Outcome.right(kind)

    def close(self) -> None:
        """End the service, which must end by itself."""
        if self.server.stop() != 0:
            raise RuntimeError("The service did not end in order.")

    def _exchange(self, after: int, damaged: bool) -> tuple[int, Any]:
        copy_bundle(self.bundles[after], self.served)
        if damaged:
            model = self.served / "model.onnx"
            model.write_bytes(model.read_bytes()[:-100])
        status, _, said = self.server.ask("/reload", method="POST", Authorization=f"Bearer {TOKEN}")
        return status, said

    def _client(self, random: Random, bundles: set[int], wrong: list[str], requests: int = REQUESTS) -> None:
        """Ask over one connection; every answer must be that of one of ``bundles``."""
        connection = self.server.connect()
        try:
            for _ in range(requests):
                batch = random.random() < 0.3
                value = make.batch(random) if batch else make.single(random)
                path = "/recommend/batch" if batch else "/recommend"
                status, _, said = self.server.ask(path, value, connection=connection)
                allowed = [oracle.answer(self.recommenders[which], value, batch) for which in bundles]
                if status != 200 or said not in allowed:
                    wrong.append(f"{status} {str(said)[:500]} to {json.dumps(value)[:500]}")
                    return
        except Exception as error:  # in a thread: reported by the attempt
            wrong.append(repr(error))
        finally:
            connection.close()

    def _problem(self) -> str | None:
        """What is wrong with the service's log or memory; None if nothing is."""
        log = self.log.read_text()
        if log:
            return f"the service has logged {log[-2000:]}"
        self.attempts += 1
        held = self.server.memory()
        if self.attempts <= WARM_UP:
            self.most = held + MORE_MEMORY
        return f"the service holds {held:,} bytes after {self.attempts:,} exchanges" if held > self.most else None
