"""Rows for the tests of the report."""

import pytest


@pytest.fixture
def full_rows(speed_row):
    """Rows with every field that a run can have."""

    def full(variant, p50, **changes):
        row = speed_row(variant, p50, **changes)
        call = row["latency_ms"]["recommend"] | {"p999": 3 * p50}
        call["histogram"] = {"edges_ms": [p50 / 2, p50, 2 * p50, 4 * p50], "counts": [40, 55, 5]}
        curve = [{"rate": 100.0 * n, "p99": p50 * 2**n, "p50": p50, "dropped": 0} for n in (1, 2, 3)]
        return row | {
            "latency_ms": {"recommend": call, "graph": row["latency_ms"]["graph"]},
            "per_second": {"1": 1000.0, "8": 2345.0, "256": 4567.0},
            "cpu_ms_per_call": 0.777,
            "energy_mj_per_call": 2.34,
            "memory_bytes": {"peak": 61_200_000, "steady": 52_100_000},
            "cold_start": {"ms": {"median": 181.0, "low": 170.0, "high": 190.0}, "peak_bytes": 63_400_000},
            "session_ms": {"p50": 0.0421, "p90": 0.06, "p99": 0.0987},
            "server": {"p99_bound_ms": 10.0, "max_rate": 876.0, "curve": curve},
            "streams": [{"streams": n, "per_second": 900.0 * n, "p50": p50, "p99": p50} for n in (1, 2)],
            "threads_scaling": [{"threads": n, "p50": p50 / n, "per_second": 1.0} for n in (1, 2)],
            "soak": {
                "seconds": 9,
                "p50_ms": [p50] * 3,
                "rss_bytes": [5e7] * 3,
                "p50_drift": 0.01,
                "memory_drift": 0.02,
            },
            "agreement": {"over": "torch fp32", "overlap@10": 0.9912, "wrong_items": False, "flag": None},
            "noise": {"warning": None},
            "limits": {
                "cores": 1,
                "memory_bytes": 512_000_000,
                "profile": "edge",
                "enforced_by": {"cores": "affinity"},
            },
        }

    sizes = [
        {"kind": "catalogue", "variant": variant, "n_items": n_items, "latency_ms": {"p50": n_items / 1e5}}
        for variant in ("ONNX Runtime int8", "ONNX Runtime fp32")
        for n_items in (1000, 10_000)
    ]
    absent = {"kind": "absent", "variant": "OpenVINO NPU", "reason": "no such device"}
    return [full("torch fp32", 1.0), full("ONNX Runtime int8", 0.125, drop=0.004), *sizes, absent]
