"""The service's metrics for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from lightrec.bundle import Manifest

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
"""Bounds of the latency histogram: a recommendation takes a millisecond or less if no request waits."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counters of one service, separate from those of any other service in the process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter("lightrec_requests", "Requests answered.", ["route", "status"], registry=self.registry)
        self._seconds = Histogram(
            "lightrec_request_seconds", "Time to answer.", ["route"], buckets=SECONDS, registry=self.registry
        )
        self.users = Counter(
            "lightrec_users", "Histories answered, those of batches one by one.", registry=self.registry
        )
        self.fallbacks = Counter(
            "lightrec_fallbacks", "Histories without a known item, answered by popularity.", registry=self.registry
        )
        self.unknown = Counter("lightrec_unknown_ids", "Ids that the bundle does not know.", registry=self.registry)
        self.pending = Gauge("lightrec_pending", "Requests being answered or waiting.", registry=self.registry)
        self.reloads = Counter(
            "lightrec_reloads", "Times the bundle was read anew.", ["result"], registry=self.registry
        )
        self._bundle = Gauge(
            "lightrec_bundle_items",
            "Items of the bundle that answers.",
            ["model_type", "created", "precision", "backend"],
            registry=self.registry,
        )

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count one request to ``route``, the route's pattern, never the path that a client sent."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def loaded(self, manifest: Manifest, precision: str, backend: str) -> None:
        """Record which bundle answers from now on."""
        words = (manifest.model_type, manifest.created, precision, backend)
        self._bundle.clear()
        # A manifest may hold lone surrogates, which UTF-8 cannot encode.
        self._bundle.labels(*(word.encode("utf-8", "replace").decode() for word in words)).set(manifest.n_items)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)
