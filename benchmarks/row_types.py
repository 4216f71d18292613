"""Types of result rows, field by field; docs/bench.md explains each field and how it is measured.

Rows are plain dictionaries that go to JSON lines and come from them. Times are milliseconds, sizes bytes, rates per
second. None stands for what was not requested, or what the machine does not report.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NotRequired, TypedDict, cast, overload

Row = Mapping[str, Any]
"""A row of any kind."""

NewRow = dict[str, Any]
"""A row, or a part of one, that is being filled."""


class Estimate(TypedDict):
    """A metric with its 95 % interval over users."""

    value: float
    low: float | None
    high: float | None


class Speedup(TypedDict):
    """How many times as fast as the first variant: the ratio of medians, round by round."""

    over: NotRequired[str]
    """Name of the first variant."""
    value: float
    """Median over the rounds."""
    low: float
    """First quartile."""
    high: float
    """Third quartile."""
    interval: list[float]
    """95 % interval of the median."""
    differs: bool
    """Whether the whole interval is further from 1 than the smallest difference that counts."""


class Histogram(TypedDict):
    """Number of calls between each two edges."""

    edges_ms: list[float]
    counts: list[int]


class WarmUp(TypedDict):
    """The warm-up of a worker."""

    slices: int
    """Uncounted time slices."""
    stable: bool
    """Whether its medians agreed in the end."""


class Latency(TypedDict):
    """Milliseconds of single calls."""

    count: int
    mean: float
    min: float
    p50: float
    p90: float
    p99: float
    p999: float
    round_medians: list[float]
    speedup: NotRequired[Speedup]
    histogram: NotRequired[Histogram]
    warmup: NotRequired[WarmUp]


class Latencies(TypedDict):
    """Latency of the whole call, raw ids to titles, and of the model's graph alone."""

    recommend: Latency
    graph: Latency | None


class SessionLatency(TypedDict):
    """Milliseconds of one step of a session."""

    p50: float
    p90: float
    p99: float
    count: int
    incremental: bool
    """False if each step reads the whole history."""


class LoadPoint(TypedDict):
    """One arrival rate of the server scenario."""

    rate: float
    achieved: float
    count: int
    p50: float | None
    p99: float | None
    dropped: int


class ServerResult(TypedDict):
    """The highest arrival rate that keeps the bound of p99."""

    p99_bound_ms: float
    max_rate: float | None
    seconds: float
    curve: list[LoadPoint]


class StreamPoint(TypedDict):
    """Calls from several threads at once."""

    streams: int
    per_second: float
    p50: float
    p99: float


class ThreadPoint(TypedDict):
    """One number of compute threads."""

    threads: int
    p50: float
    per_second: float


class SoakResult(TypedDict):
    """Calls without pause: medians and memory by part of the time, and their change from first to last quarter."""

    seconds: float
    p50_ms: list[float]
    rss_bytes: list[int | None]
    p50_drift: float
    memory_drift: float | None


class Memory(TypedDict):
    """Memory of a new process."""

    peak: int | None
    steady: int | None


class StartTimes(TypedDict):
    """Milliseconds from process start to first answer."""

    median: float
    low: float
    high: float


class ColdStart(TypedDict):
    """New processes that load the variant and answer."""

    ms: StartTimes
    peak_bytes: int | None
    starts: int


Agreement = TypedDict(
    "Agreement",
    {"over": str, "cases": int, "overlap@10": float, "golden": str | None, "wrong_items": bool, "flag": str | None},
)
"""The share of the first variant's top 10 that a variant shows, and whether its items are wrong."""

Quality = TypedDict(
    "Quality",
    {
        "cases": int,
        "ties": str,
        "ndcg@10": Estimate,
        "hr@10": Estimate,
        "compared_with": str,
        "ndcg_drop": float | None,
        "overlap@10": float,
        "wrong_items": bool,
        "of_teacher": NotRequired[float | None],
    },
)
"""NDCG@10 and HR@10 of the process that was timed; ``ndcg_drop`` is relative, 0.01 is one per cent lost."""

TeacherQuality = TypedDict(
    "TeacherQuality",
    {
        "name": str,
        "model_type": str,
        "language_model": str | None,
        "seed": int | None,
        "device": str,
        "cases": int,
        "ties": str,
        "ndcg@10": Estimate,
        "hr@10": Estimate,
    },
)
"""The teacher's quality on the same cases."""


class WorkloadFacts(TypedDict):
    """The histories that were used."""

    name: str
    checksum: str | None
    source: str
    histories: int
    median_length: float


class Context(TypedDict):
    """The fields that every row of ``lightrec bench`` contains."""

    bundle: str
    model_type: str
    n_items: int
    data: WorkloadFacts
    teacher: TeacherQuality | None
    threads: int
    seconds: float
    seed: int
    scenarios: list[str]
    limits: dict[str, Any] | None
    command: str
    time: str
    elapsed_seconds: float
    noise: dict[str, Any]
    lightrec_version: str
    commit: str | None
    machine: dict[str, Any]
    host: NotRequired[str]


class SpeedRow(Context):
    """One variant."""

    kind: Literal["speed"]
    variant: str
    backend: str
    precision: str
    device: str
    size_bytes: int | None
    load_ms: float | None
    versions: dict[str, str] | None
    k: int
    latency_ms: Latencies
    per_second: dict[str, float]
    cpu_ms_per_call: float
    energy_mj_per_call: float | None
    session_ms: SessionLatency | None
    agreement: Agreement | None
    quality: Quality | None
    failed: dict[str, str]
    streams: list[StreamPoint] | None
    server: ServerResult | None
    soak: SoakResult | None
    memory_bytes: Memory
    cold_start: ColdStart | None
    threads_scaling: list[ThreadPoint] | None


class CatalogueRow(Context):
    """A bundle with random weights and a catalogue of another size."""

    kind: Literal["catalogue"]
    variant: str
    precision: str
    size_bytes: int
    latency_ms: Latency


class AbsentRow(TypedDict):
    """A variant or catalogue that could not be measured."""

    kind: Literal["absent"]
    variant: str
    reason: str
    requested: bool


class QualityRow(TypedDict):
    """One evaluated model, of one seed."""

    kind: Literal["quality"]
    label: str
    data: str
    data_checksum: str
    seed: int
    split: dict[str, Any]
    on: str
    cases: int
    hidden_targets: int
    ties: str
    metrics: dict[str, Estimate]
    slices: dict[str, Any]
    deployed_bytes: NotRequired[int]


@overload
def rows_of_kind(rows: Iterable[Row], kind: Literal["speed"]) -> list[SpeedRow]: ...
@overload
def rows_of_kind(rows: Iterable[Row], kind: Literal["catalogue"]) -> list[CatalogueRow]: ...
@overload
def rows_of_kind(rows: Iterable[Row], kind: Literal["absent"]) -> list[AbsentRow]: ...
@overload
def rows_of_kind(rows: Iterable[Row], kind: Literal["quality"]) -> list[QualityRow]: ...
def rows_of_kind(rows: Iterable[Row], kind: str) -> Any:
    """Return the rows of one kind, in their order."""
    return cast(Any, [row for row in rows if row["kind"] == kind])
