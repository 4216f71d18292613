import numpy as np
import pytest
from mini_bundle import write_bundle

from lightrec.benchmarks.harness.latency_statistics import PERCENTILES
from lightrec.bundle import read_catalogue, read_manifest


def write_chain(dataset, path, **options):
    """A bundle for the miniature data set that knows its rule: after item i comes i + 1."""
    n_items = dataset.n_items
    steps = (np.arange(n_items)[None, :] - np.arange(n_items)[:, None] - 1) % n_items
    return write_bundle(
        path,
        scores=-steps.astype(np.float32),
        ids=dataset.item_ids,
        titles=dataset.item_titles,
        popularity=np.arange(n_items)[::-1],
        max_length=5,
        **options,
    )


@pytest.fixture(scope="session")
def chain_bundle(tiny_dataset, tmp_path_factory):
    """Such a bundle for ONNX Runtime. Not to be changed."""
    return write_chain(tiny_dataset, tmp_path_factory.mktemp("benchmarks") / "chain")


@pytest.fixture(scope="session")
def both_bundle(tiny_dataset, tmp_path_factory):
    """Such a bundle for ONNX Runtime and OpenVINO. Not to be changed."""
    return write_chain(tiny_dataset, tmp_path_factory.mktemp("benchmarks") / "both", openvino=True)


@pytest.fixture(scope="session")
def manifest(chain_bundle):
    return read_manifest(chain_bundle)


@pytest.fixture(scope="session")
def catalogue(chain_bundle, manifest):
    return read_catalogue(chain_bundle, manifest)


@pytest.fixture
def speed_row():
    """Makes the row of a variant that answers in ``p50`` milliseconds."""

    def make(variant, p50, drop=0.0, over="torch fp32", first_p50=1.0, **changes):
        latency = {"count": 100, "mean": p50, "min": p50, "round_medians": [p50]}
        latency |= {f"p{p}": p50 * (1 + p / 100) if p > 50 else p50 for p in PERCENTILES}
        latency["speedup"] = {"over": over, "value": first_p50 / p50, "low": 0.9 * first_p50 / p50, "high": 9.0}
        interval = {"value": 0.1 * (1 - drop), "low": 0.08, "high": 0.12}
        return {
            "kind": "speed",
            "variant": variant,
            "backend": variant.split()[0],
            "precision": variant.split()[-1],
            "size_bytes": 774_000,
            "load_ms": 12.5,
            "k": 10,
            "latency_ms": {"recommend": latency, "graph": latency},
            "per_second": {"1": 1e3 / p50, "32": 2e3 / p50, "256": 3e3 / p50},
            "quality": {
                "cases": 40,
                "ties": "lowest-index",
                "ndcg@10": interval,
                "hr@10": interval,
                "compared_with": over,
                "ndcg_drop": drop,
            },
            "bundle": "student",
            "model_type": "miniature",
            "n_items": 30,
            "data": {
                "name": "tiny",
                "checksum": "0123456789abcdef",
                "source": "test users, leave-one-out",
                "histories": 40,
                "median_length": 9.0,
            },
            "threads": 1,
            "seconds": 1.0,
            "seed": 0,
            "command": "lightrec bench student --data tiny",
            "time": "2026-01-01T00:00:00+00:00",
            "lightrec_version": "0.1.0",
            "commit": "0123456789ab",
            "machine": {
                "processor": "Processor 9000",
                "features": ["AVX2"],
                "cores": 4,
                "usable_cores": 2.0,
                "memory_bytes": 8 * 2**30,
                "system": "Linux, x86_64",
                "python": "3.11.0",
                "packages": {"numpy": "2.0"},
            },
            **changes,
        }

    return make


@pytest.fixture
def quality_row():
    """Makes the row of an evaluated model."""

    def make(label, ndcg, seed=0, data="tiny", **changes):
        metrics = {
            "ndcg@10": {"value": ndcg, "low": ndcg - 0.01, "high": ndcg + 0.01},
            "hr@10": {"value": 2 * ndcg, "low": None, "high": None},
        }
        return {"kind": "quality", "label": label, "data": data, "seed": seed, "metrics": metrics, **changes}

    return make
