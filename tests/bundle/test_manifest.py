"""Every value of a manifest has its type and range, and every golden case fits the bundle."""

import json

import pytest
from mini_bundle import write_bundle

from lightrec.bundle import read_golden, read_manifest
from lightrec.errors import BundleError
from lightrec.verify.verify_bundle import verify_bundle


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path / "bundle")


def edited(file, **changes):
    values = json.loads(file.read_text())
    file.write_text(json.dumps(values | changes))


SIZES, WORDS = ("n_items", "max_length", "k_limit", "hidden_size"), ("model_type", "lightrec_version", "created")
WRONG = {
    **{name: [0, -1, True, 1.0, "6", None, 2**31, [6]] for name in SIZES},
    **{name: ["", 5, None, "a\nb", "\x1b[2J", "x" * 1001, "\ud800"] for name in WORDS},
    **{name: [None, [], "x", 1] for name in ("gate",)},
    "training": [
        None,
        [],
        {"dataset": None},
        {"config": 5},
        {"split": "last"},
        {"split": {}},
        {"dataset": {"checksum": 5}},
    ],
    "files": [None, [], "x", {}],
    **{name: [[], "x", 1, False] for name in ("history_lengths", "text_projection")},
    **{name: [None, {}, "ab", [1], [None]] for name in ("additions", "removals")},
    "models": [None, [], {}, "x", [1], [[]]],
    "format_version": ["2", 2.3, None, "2.x", "2.3.1", "９.9", "-1.0", "2." + "9" * 5000],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in WRONG for value in WRONG[name]], ids=repr)
def test_a_value_of_another_type_or_range_is_named(bundle, name, value):
    edited(bundle / "manifest.json", **{name: value})
    with pytest.raises(BundleError, match=rf"manifest\.json .*({name}|SHA-256)") as error:
        read_manifest(bundle)
    assert "\n" not in str(error.value) and str(error.value).isprintable()


MODEL = {"backend": "onnxruntime", "precision": "fp32", "files": ["model.onnx"], "opset": 20}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backend": 5}, "no backend"),
        ({"precision": None}, "no precision"),
        ({"files": "model.onnx"}, "names no files"),
        ({"files": [5]}, "names no files"),
        ({"opset": "20"}, "opset"),
        ({"opset": True}, "opset"),
        ({"parts": []}, "has parts"),
        ({"parts": {"step": 5}}, "has parts"),
        ({"parts": {"step": "model.onnx"}}, "some of the parts step, score, candidates"),
        ({"parts": dict.fromkeys(("step", "score", "candidates"), "step.onnx")}, r"records no SHA-256 of step\.onnx"),
    ],
)
def test_a_malformed_model_is_named(bundle, change, message):
    edited(bundle / "manifest.json", models=[MODEL, MODEL | change])
    with pytest.raises(BundleError, match=message):
        read_manifest(bundle)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "/a", "a\\b", "C:a", "a\0", "a\n", "manifest.json", "x" * 256, "a.", "a ", "\ud800"]
)
def test_file_names_are_plain(bundle, name):
    files = json.loads((bundle / "manifest.json").read_text())["files"]
    edited(bundle / "manifest.json", files=files | {name: files["golden.json"]})
    with pytest.raises(BundleError, match="names files outside the bundle"):
        read_manifest(bundle)


@pytest.mark.parametrize(
    "record",
    [None, [], {}, {"sha256": "0" * 64}, {"sha256": "0" * 63, "bytes": 1}, {"sha256": "A" * 64, "bytes": 1}]
    + [{"sha256": "0" * 64, "bytes": size} for size in (-1, 1.0, True, "1", None, 2**60)]
    + [{"sha256": "0" * 64, "bytes": 1, "content_bytes": "1"}, {"sha256": "0" * 64, "bytes": 1, "content_sha256": 5}],
)
def test_every_file_has_a_digest_and_a_size(bundle, record):
    files = json.loads((bundle / "manifest.json").read_text())["files"]
    edited(bundle / "manifest.json", files=files | {"more": record})
    with pytest.raises(BundleError, match="records no SHA-256 and size of more"):
        read_manifest(bundle)


CASE = {"history": [0], "exclude": [], "k": 3, "items": [1, 2, 3], "scores": [9.0, 8.0, 7.0]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"history": []}, "no history of 1 to 3 items"),
        ({"history": [0, 1, 2, 3]}, "no history of 1 to 3 items"),
        ({"history": "0"}, "no history"),
        ({"history": [6]}, "the items 0 to 5"),
        ({"history": [-1]}, "the items 0 to 5"),
        ({"history": [True]}, "the items 0 to 5"),
        ({"history": [0.0]}, "the items 0 to 5"),
        ({"exclude": None}, "lacks exclude"),
        ({"exclude": [2**63]}, "the items 0 to 5"),
        ({"items": [1, 2, 6]}, "the items 0 to 5"),
        ({"items": [1, 2, 2]}, "an item twice"),
        ({"items": [0, 1, 2]}, "one of the history"),
        ({"k": 2}, "no k, or more items"),
        ({"k": True}, "no k"),
        ({"k": "3"}, "no k"),
        ({"scores": [9.0, 8.0]}, "each of its items a score"),
        ({"scores": [9.0, 8.0, None]}, "each of its items a score"),
        ({"scores": [9.0, 8.0, 1e39]}, "each of its items a score"),
    ],
)
def test_a_golden_case_that_does_not_fit_is_named(bundle, change, message):
    edited(bundle / "golden.json", cases=[CASE, CASE | change])
    with pytest.raises(BundleError, match=rf"golden\.json is malformed \(case 1 .*{message}"):
        read_golden(bundle, read_manifest(bundle))


@pytest.mark.parametrize("tolerance", [-1, 1e30, 9.5, None, "1", True])
def test_the_tolerance_is_smaller_than_the_scores(bundle, tolerance):
    edited(bundle / "golden.json", cases=[CASE], tolerance=tolerance)
    with pytest.raises(BundleError, match=r"golden\.json (is malformed|allows scores to differ)"):
        read_golden(bundle)


def test_more_golden_cases_than_anybody_writes_are_refused(bundle):
    edited(bundle / "golden.json", cases=[CASE] * 10_001)
    with pytest.raises(BundleError, match="holds 10,001 golden cases"):
        read_golden(bundle)


def test_the_list_of_golden_cases_is_a_list(bundle):
    for cases in (None, {}, "x", 5):
        edited(bundle / "golden.json", cases=cases)
        with pytest.raises(BundleError, match=r"golden\.json is malformed"):
            read_golden(bundle)
    (bundle / "golden.json").write_text("[]")
    with pytest.raises(BundleError, match=r"golden\.json"):
        verify_bundle(bundle)
