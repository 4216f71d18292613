"""Several bundles of the same items in one run."""

import shutil

import numpy as np
import pytest
from mini_bundle import write_bundle

from lightrec.benchmarks.measure import bench
from lightrec.benchmarks.plan import Plan
from lightrec.benchmarks.variants.find_variants import Wanted
from lightrec.benchmarks.variants.more_bundles import more_bundle_variants
from lightrec.errors import ConfigError
from lightrec.machine.doctor import diagnose


@pytest.fixture
def ask(manifest, catalogue):
    return lambda *bundles, **more: more_bundle_variants(bundles, manifest, catalogue, diagnose(), **more)


def test_models_stand_under_their_bundles_names(ask, chain_bundle, both_bundle, tmp_path):
    copy = shutil.copytree(chain_bundle, tmp_path / "wide")
    found = ask(copy, both_bundle)
    assert [one.name for one in found if one.device == "CPU"] == [
        "ONNX Runtime fp32, wide",
        "ONNX Runtime fp32, both",
        "OpenVINO fp32, both",
    ]
    assert found[0].how["bundle"] == str(copy.resolve()) and found[0].how["backend"] == "onnxruntime"
    assert {one.device for one in ask(both_bundle, device="cpu")} == {"CPU"}


def test_other_items_are_refused(ask, tmp_path):
    with pytest.raises(ConfigError, match="other holds other items than the first bundle"):
        ask(write_bundle(tmp_path / "other"))


def test_bundles_of_one_name_are_refused(ask, chain_bundle):
    with pytest.raises(ConfigError, match="the same name"):
        ask(chain_bundle, chain_bundle)


@pytest.mark.slow
def test_a_worse_bundle_shows_as_worse_in_the_same_run(chain_bundle, tiny_dataset, tmp_path):
    n_items = tiny_dataset.n_items
    backwards = write_bundle(
        tmp_path / "backwards",
        scores=np.eye(n_items, k=-1, dtype=np.float32),
        ids=tiny_dataset.item_ids,
        titles=tiny_dataset.item_titles,
        popularity=np.arange(n_items)[::-1],
        max_length=5,
    )
    plan = Plan(scenarios=("single-stream",), seconds=0.2)
    rows = bench(chain_bundle, tiny_dataset.path, Wanted(device="cpu", beside=(backwards,)), plan=plan)
    # Another student may rank other items: that is no mistake.
    assert not any(row["agreement"]["wrong_items"] for row in rows if row["kind"] == "speed")
    found = {row["variant"]: row["quality"]["ndcg@10"]["value"] for row in rows if row["kind"] == "speed"}
    assert set(found) == {"ONNX Runtime fp32", "ONNX Runtime fp32, backwards"}
    assert found["ONNX Runtime fp32"] > found["ONNX Runtime fp32, backwards"]
