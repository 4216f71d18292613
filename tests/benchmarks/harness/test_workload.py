import dataclasses

import numpy as np
import pytest
from mini_bundle import write_bundle

from lightrec.benchmarks.harness.workload import real_workload, synthetic_workload
from lightrec.bundle import read_catalogue, read_manifest
from lightrec.data.splits import leave_one_out
from lightrec.errors import BundleError, ModelError


def test_real_histories_are_those_of_the_test_cases(tiny_dataset, chain_bundle, manifest, catalogue):
    workload = real_workload(tiny_dataset.path, chain_bundle, manifest, catalogue, cases=1000, seed=0)
    test = leave_one_out(tiny_dataset).test
    expected = {user: test.history(case).tolist() for case, user in enumerate(test.users)}
    found = {user: history.tolist() for user, history in zip(workload.cases.users, workload.histories, strict=True)}
    assert found == expected
    assert list(workload.cases.users) != sorted(workload.cases.users)
    assert workload.to_json()["checksum"] == tiny_dataset.checksum
    assert workload.to_json()["source"] == "test users, leave-one-out"


def test_fewer_cases_are_drawn_by_the_seed(tiny_dataset, chain_bundle, manifest, catalogue):
    users = [
        real_workload(tiny_dataset.path, chain_bundle, manifest, catalogue, cases=7, seed=seed).cases.users.tolist()
        for seed in (0, 0, 1)
    ]
    assert len(set(users[0])) == 7
    assert users[0] == users[1] != users[2]


def test_the_data_of_another_bundle_is_refused(tiny_dataset, tmp_path):
    bundle = write_bundle(tmp_path / "bundle")
    manifest = read_manifest(bundle)
    with pytest.raises(ModelError, match="are not those of"):
        real_workload(tiny_dataset.path, bundle, manifest, read_catalogue(bundle, manifest), cases=7, seed=0)


def test_made_up_histories_follow_popularity_and_lengths(manifest, catalogue):
    lengths = {"cases": 9, "mean": 6.0, "p0": 2, "p50": 4, "p100": 12}
    known = dataclasses.replace(manifest, history_lengths=lengths)
    workload = synthetic_workload(known, catalogue, cases=4000, seed=1)
    sizes = np.array([len(history) for history in workload.histories])
    assert (len(sizes), sizes.min(), sizes.max(), np.median(sizes)) == (4000, 2, 12, 4)
    counts = np.bincount(np.concatenate(workload.histories), minlength=manifest.n_items)
    order = counts[catalogue.popularity] / counts.sum()
    zipf = (1 / np.arange(1, 31)) / (1 / np.arange(1, 31)).sum()
    assert order == pytest.approx(zipf, abs=0.01)
    assert "distributed as in the manifest" in workload.source
    assert workload.cases is None


@pytest.mark.parametrize("lengths", [{}, {"p": 1}, {"p50": None}, {"p50": [1]}, {"p50": 1e9}, {"p50": -1}, {"pnan": 5}])
def test_a_distribution_that_is_none_is_one_sentence(manifest, catalogue, lengths):
    known = dataclasses.replace(manifest, history_lengths=lengths)
    with pytest.raises(BundleError, match="history_lengths are not quantiles"):
        synthetic_workload(known, catalogue, cases=10, seed=1)


def test_made_up_histories_have_the_popularity_that_the_manifest_tells(manifest, catalogue):
    known = dataclasses.replace(manifest, item_events={"1": 40, "2": 70, "4": 90, "6": 100})
    workload = synthetic_workload(known, catalogue, cases=8000, seed=1)
    counts = np.bincount(np.concatenate(workload.histories), minlength=manifest.n_items)
    order = counts[catalogue.popularity] / counts.sum()
    assert order[:6] == pytest.approx([0.4, 0.3, 0.1, 0.1, 0.05, 0.05], abs=0.01)
    assert (order[6:] == 0).all()  # without an event in training
    assert workload.source == (
        "made up: items by their training events, as the bundle's manifest tells them, lengths even from 1 to the "
        "model's limit"
    )
    again = synthetic_workload(known, catalogue, cases=8000, seed=1)
    assert all(map(np.array_equal, workload.histories, again.histories))


def test_without_a_distribution_lengths_are_even_and_it_says_so(manifest, catalogue):
    workload = synthetic_workload(manifest, catalogue, cases=500, seed=1)
    assert {len(history) for history in workload.histories} == {1, 2, 3, 4, 5}
    assert workload.to_json() == {
        "name": "synthetic",
        "checksum": None,
        "source": "made up: items by Zipf's law over the bundle's popularity order, lengths even from 1 to the "
        "model's limit",
        "histories": 500,
        "median_length": 3.0,
    }
    again = synthetic_workload(manifest, catalogue, cases=500, seed=1)
    assert all(map(np.array_equal, workload.histories, again.histories))
