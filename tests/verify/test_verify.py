import dataclasses
import sys

import numpy as np
import pytest
from mini_bundle import NEXT_SCORES, last_item_graph

from lightrec.bundle import GoldenCase, ModelRecord, read_golden, read_manifest, write_golden, write_manifest
from lightrec.errors import BundleError, BundleIntegrityError
from lightrec.verify.compare import compare
from lightrec.verify.verify_bundle import verify_bundle


def test_a_sound_bundle_passes_in_every_runtime(own_bundle):
    report = verify_bundle(own_bundle)
    assert [(check.backend, check.status, check.cases) for check in report.models] == [
        ("onnxruntime", "passed", 1),
        ("openvino", "passed", 1),
    ]
    assert [check.max_score_difference for check in report.models] == [0.0, 0.0]
    assert report.passed
    report.require()


def test_a_damaged_file_is_an_error(own_bundle):
    (own_bundle / "model.bin").write_bytes(b"")
    with pytest.raises(BundleIntegrityError, match=r"model\.bin differs"):
        verify_bundle(own_bundle)


def test_a_model_that_answers_otherwise_fails_alone(own_bundle):
    scores = NEXT_SCORES.copy()
    scores[0, 1] = 6.5  # b falls behind c and d for a history that ends in a
    (own_bundle / "model.onnx").write_bytes(last_item_graph(scores).SerializeToString())
    write_manifest(own_bundle, read_manifest(own_bundle))
    report = verify_bundle(own_bundle)
    assert [check.status for check in report.models] == ["failed", "passed"]
    # Recorded 9 8 7, answered 8 7 6.5.
    assert report.models[0].max_score_difference == 1.0
    with pytest.raises(BundleError, match=r"onnxruntime fp32: golden case 0: scores differ by 1, more than 0\.0001"):
        report.require()


def test_excluded_items_are_part_of_a_golden_case(own_bundle):
    _, tolerance = read_golden(own_bundle)
    write_golden(own_bundle, [GoldenCase([0], [1, 2], 2, [3, 4], [7.0, 6.0])], tolerance)
    write_manifest(own_bundle, read_manifest(own_bundle))
    verify_bundle(own_bundle).require()


def test_an_absent_runtime_is_listed_with_how_to_get_it(own_bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    report = verify_bundle(own_bundle)
    check = report.models[1]
    assert (check.status, check.cases, check.detail) == ("absent", 0, "pip install 'lightrec[openvino]'")
    assert report.passed


def test_a_bundle_that_nothing_here_can_run_does_not_pass(own_bundle):
    manifest = read_manifest(own_bundle)
    future = ModelRecord("tomorrow", "int4", ("model.onnx",))
    write_manifest(own_bundle, dataclasses.replace(manifest, models=(future,)))
    report = verify_bundle(own_bundle)
    assert [check.status for check in report.models] == ["absent"]
    with pytest.raises(BundleError, match="install a runtime"):
        report.require()


CASE = GoldenCase(history=[9], exclude=[], k=4, items=[1, 2, 3, 4], scores=[5.0, 4.0, 4.0, 1.0])


@pytest.mark.parametrize(
    ("items", "scores", "wrong"),
    [
        ([1, 2, 3, 4], [5.0, 4.0, 4.0, 1.0], None),
        ([1, 3, 2, 4], [5.0, 4.0, 4.0, 1.0], None),  # 2 and 3 are tied
        ([1, 2, 3, 8], [5.0, 4.0, 4.0, 1.0], None),  # 8 may be tied with 4 just below the list
        ([2, 1, 3, 4], [5.0, 4.0, 4.0, 1.0], "item 2 instead of 1 at rank 1"),
        ([1, 2, 3, 4], [5.0, 4.0, 4.0, 1.2], "scores differ by 0.2, more than 0.1"),
        ([1, 2, 3, 4], [5.0, 4.0, 4.0, np.nan], "scores differ by nan"),
        ([1, 2, 3], [5.0, 4.0, 4.0], "3 items instead of 4"),
    ],
)
def test_answers_are_compared_up_to_ties(items, scores, wrong):
    found = compare(CASE, np.array(items), np.array(scores, dtype=np.float32), tolerance=0.1)
    assert found is None if wrong is None else found.startswith(wrong)
