import dataclasses
import gzip
import hashlib
import json
import shutil

import numpy as np
import pytest
from mini_bundle import IDS, TITLES, write_bundle

from lightrec.bundle import (
    Catalogue,
    copy_bundle,
    deployed_bytes,
    events_by_rank,
    read_catalogue,
    read_golden,
    read_manifest,
    summarise_events,
    verify_hashes,
    write_catalogue,
    write_manifest,
)
from lightrec.bundle import catalogue as catalogue_module
from lightrec.errors import BundleError, BundleIntegrityError, BundleVersionError


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path / "bundle")


def edit_manifest(bundle, **changes):
    values = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps(values | changes))


def test_a_manifest_reads_back_as_it_was_written(bundle):
    manifest = read_manifest(bundle)
    assert manifest.models[0].files == ("model.onnx",)
    assert sorted(manifest.files) == ["golden.json", "items.json.gz", "model.onnx", "popularity.npy", "titles.json.gz"]
    assert manifest.files["model.onnx"].bytes == (bundle / "model.onnx").stat().st_size
    assert write_manifest(bundle, manifest) == manifest == read_manifest(bundle)


def test_every_field_of_the_manifest_survives(bundle):
    changed = dataclasses.replace(
        read_manifest(bundle),
        gate={"cases": 10},
        training={"seed": 1},
        history_lengths={"p50": 9},
        item_events={"1": 4, "2": 5},
        additions=({"items": 2},),
    )
    write_manifest(bundle, changed)
    assert read_manifest(bundle) == changed


def test_popularity_is_told_in_a_few_numbers(bundle):
    # In order: 9 7 4 4 3 2 1 0; together 9, 16, 20, 24, 27, 29, 30.
    events = summarise_events(np.array([4, 0, 9, 1, 7, 2, 4, 3]))
    assert events == {"1": 9, "2": 16, "4": 24, "7": 30}
    manifest = dataclasses.replace(read_manifest(bundle), n_items=9, item_events=events)
    assert events_by_rank(manifest).tolist() == [9, 7, 4, 4, 2, 2, 2, 0, 0]  # of ranks 5 to 7 only the sum is told: 6
    assert summarise_events(np.array([0, 2])) == {"1": 2}
    assert summarise_events(np.array([1, 1])) == {"1": 1, "2": 2}
    assert summarise_events(np.zeros(3)) is None
    assert events_by_rank(read_manifest(bundle)) is None
    of_many = summarise_events(np.arange(1_000_000))
    assert len(of_many) == 21 and max(of_many.values()) == 999_999 * 1_000_000 // 2


@pytest.mark.parametrize(
    "events",
    [
        {},
        {"1": 5, "9": 6},
        {"1": 5, "2": 4},
        {"0": 1, "1": 2},
        {"one": 1},
        {"1": None},
        {"1": 0},
        {"1": "five"},
        [1, 2],
    ],
)
def test_a_popularity_that_is_none_is_refused_by_who_reads_it(bundle, events):
    edit_manifest(bundle, item_events=events)
    manifest = read_manifest(bundle)  # no recommendation needs it
    with pytest.raises(BundleError, match=r"item_events do not tell .* of 6 items share: export again"):
        events_by_rank(manifest)


def test_another_major_version_is_refused_and_a_newer_minor_one_is_read(bundle):
    edit_manifest(bundle, format_version="2.7", something_new=1)
    assert read_manifest(bundle).format_version == "2.7"
    for version, remedy in (("3.0", "upgrade lightrec"), ("1.2", "export again")):
        edit_manifest(bundle, format_version=version)
        with pytest.raises(BundleVersionError, match=rf"format version {version}, .* reads version 2: {remedy}"):
            read_manifest(bundle)


def test_ids_are_compressed_the_same_each_time_and_must_be_gzip(bundle):
    manifest, packed = read_manifest(bundle), (bundle / "items.json.gz").read_bytes()
    assert json.loads(gzip.decompress(packed)) == IDS
    write_catalogue(bundle, read_catalogue(bundle, manifest))
    assert (bundle / "items.json.gz").read_bytes() == packed
    for damaged in (packed[:-9], packed[:20], b"[]", gzip.compress(b"{")):
        (bundle / "items.json.gz").write_bytes(damaged)
        with pytest.raises(BundleError, match=r"items\.json\.gz is missing or not valid JSON"):
            read_catalogue(bundle, manifest)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": None}, "states no format_version"),
        ({"models": []}, "wrong in models"),
        ({"models": [{"backend": "onnxruntime"}]}, "malformed"),
        ({"n_items": 0}, "wrong in n_items"),
        ({"n_items": "six"}, "wrong in n_items"),
        ({"files": {}}, "records no SHA-256 of golden.json, items.json.gz, model.onnx, popularity.npy"),
        ({"models": [{"backend": "onnxruntime", "precision": "fp32", "files": []}]}, "names no files"),
        ({"models": [{"backend": "onnxruntime", "precision": "fp32", "files": ["/x"]}]}, "records no SHA-256 of /x"),
    ],
)
def test_a_wrong_manifest_is_refused_with_a_sentence(bundle, changes, message):
    edit_manifest(bundle, **changes)
    with pytest.raises(BundleError, match=message):
        read_manifest(bundle)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "sub\\secret"])
def test_a_manifest_cannot_reach_outside_its_folder(bundle, name):
    files = json.loads((bundle / "manifest.json").read_text())["files"]
    edit_manifest(bundle, files=files | {name: {"sha256": "", "bytes": 0}})
    with pytest.raises(BundleError, match="outside the bundle"):
        read_manifest(bundle)


def test_missing_keys_are_named_together(bundle):
    (bundle / "manifest.json").write_text('{"format_version": "2.0", "model_type": "x", "n_items": 3}')
    with pytest.raises(BundleError, match="lacks max_length, k_limit, hidden_size, models"):
        read_manifest(bundle)


@pytest.mark.parametrize("content", ["", "[1, 2]", "{", "null"])
def test_a_manifest_that_is_no_manifest_is_refused(bundle, content):
    (bundle / "manifest.json").write_text(content)
    with pytest.raises(BundleError):
        read_manifest(bundle)


def test_a_folder_without_a_manifest_says_how_to_make_one(tmp_path):
    with pytest.raises(BundleError, match="lightrec export RUN"):
        read_manifest(tmp_path)


def test_every_damaged_file_is_named(bundle):
    verify_hashes(bundle)
    content = bytearray((bundle / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / "model.onnx").write_bytes(content)
    (bundle / "items.json.gz").unlink()
    with pytest.raises(BundleIntegrityError, match=r"items\.json\.gz is missing, model\.onnx differs"):
        verify_hashes(bundle)
    with pytest.raises(BundleIntegrityError, match=r"\(items\.json\.gz is missing\)"):
        verify_hashes(bundle, only=["items.json.gz", "popularity.npy"])


def test_titles_may_be_left_out_when_deploying(bundle, tmp_path):
    (bundle / "titles.json.gz").unlink()
    verify_hashes(bundle)
    copy_bundle(bundle, tmp_path / "copy")
    assert read_catalogue(tmp_path / "copy", read_manifest(bundle)).titles is None


def test_titles_are_read_when_they_are_asked_for_even_if_the_bundle_is_gone_by_then(bundle, monkeypatch):
    unpacked, parse = [], catalogue_module.parse_json
    monkeypatch.setattr(
        catalogue_module,
        "parse_json",
        lambda content, file, limit: unpacked.append(file.name) or parse(content, file, limit),
    )
    catalogue = read_catalogue(bundle, read_manifest(bundle))
    assert unpacked == ["items.json.gz"]
    shutil.rmtree(bundle)
    assert catalogue.titles == TITLES and unpacked == ["items.json.gz", "titles.json.gz"]


def test_wrong_titles_are_found_by_a_thorough_look(bundle):
    (bundle / "titles.json.gz").write_bytes(gzip.compress(b'["one"]'))
    manifest = write_manifest(bundle, read_manifest(bundle))
    read_catalogue(bundle, manifest)
    with pytest.raises(BundleError, match=r"titles\.json\.gz does not list the 6 items"):
        read_catalogue(bundle, manifest, thorough=True)


def test_a_copy_is_whole(bundle, tmp_path):
    assert copy_bundle(bundle, tmp_path / "deep" / "copy") == read_manifest(bundle)
    names = sorted(file.name for file in bundle.iterdir())
    assert sorted(file.name for file in (tmp_path / "deep" / "copy").iterdir()) == names
    assert all((tmp_path / "deep" / "copy" / name).read_bytes() == (bundle / name).read_bytes() for name in names)


def test_a_damaged_bundle_is_not_copied_and_what_stood_there_stays(bundle, tmp_path):
    copy_bundle(bundle, tmp_path / "copy")
    (bundle / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(BundleIntegrityError, match=f"{bundle}.*model.onnx differs"):
        copy_bundle(bundle, tmp_path / "copy")
    verify_hashes(tmp_path / "copy")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["bundle", "copy"]


def test_a_copy_never_replaces_another_folder_or_itself(bundle, tmp_path):
    (tmp_path / "photos").mkdir()
    for target in (tmp_path / "photos", bundle):
        with pytest.raises(BundleError, match="choose a new folder"):
            copy_bundle(bundle, target)
    verify_hashes(bundle)


def test_deployed_bytes_count_everything_but_the_titles(bundle):
    names = ["manifest.json", "model.onnx", "items.json.gz", "popularity.npy", "golden.json"]
    assert deployed_bytes(bundle) == sum((bundle / name).stat().st_size for name in names)
    (bundle / "popularity.npy").unlink()
    with pytest.raises(BundleIntegrityError, match=r"lacks popularity\.npy"):
        deployed_bytes(bundle)


def test_a_catalogue_reads_back_and_must_fit_the_manifest(bundle):
    catalogue = read_catalogue(bundle, read_manifest(bundle))
    assert (catalogue.item_ids, catalogue.titles) == (IDS, TITLES)
    assert catalogue.popularity.tolist() == [3, 0, 5, 1, 2, 4]
    write_catalogue(bundle, Catalogue([*IDS, "one more"], catalogue.popularity))
    with pytest.raises(BundleError, match=r"items\.json\.gz does not list the 6 items"):
        read_catalogue(bundle, read_manifest(bundle))


@pytest.mark.parametrize("order", [[0, 1, 2], [0, 0, 1, 2, 3, 4], [1, 2, 3, 4, 5, 6]])
def test_a_popularity_order_that_is_no_order_is_refused(bundle, order):
    write_catalogue(bundle, Catalogue(IDS, np.array(order)))
    with pytest.raises(BundleError, match="does not order the 6 items"):
        read_catalogue(bundle, read_manifest(bundle))


@pytest.mark.parametrize("ids", [["a", "a", "c", "d", "e", "f"], ["a", "b", "c", "d", "e", 6]])
def test_item_ids_are_different_strings(bundle, ids):
    write_catalogue(bundle, Catalogue(ids, np.arange(6)))
    with pytest.raises(BundleError, match=r"items\.json\.gz holds an id twice or one that is not a string"):
        read_catalogue(bundle, read_manifest(bundle))


def test_a_pickled_popularity_is_refused(bundle):
    np.save(bundle / "popularity.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(BundleError, match="not a numpy array"):
        read_catalogue(bundle, read_manifest(bundle))


def test_golden_cases_read_back_with_their_length(bundle):
    cases, tolerance = read_golden(bundle)
    assert (cases[0].history, cases[0].items, cases[0].scores, tolerance) == ([0], [1, 2, 3], [9.0, 8.0, 7.0], 1e-4)
    assert json.loads((bundle / "golden.json").read_text())["cases"][0]["length"] == 1
    (bundle / "golden.json").write_text('{"cases": [{"history": [], "items": [1]}], "tolerance": 0}')
    with pytest.raises(BundleError, match="malformed"):
        read_golden(bundle)


def test_the_manifest_records_what_a_compressed_file_holds(bundle):
    record = read_manifest(bundle).files["items.json.gz"]
    content = gzip.decompress((bundle / "items.json.gz").read_bytes())
    assert (record.content_sha256, record.content_bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    written = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))["files"]
    assert written["items.json.gz"]["content_bytes"] == len(content)
    assert set(written["model.onnx"]) == {"sha256", "bytes"}


def test_a_manifest_without_it_is_read_as_before(bundle):
    values = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    for key in ("content_sha256", "content_bytes"):
        del values["files"]["items.json.gz"][key]
    (bundle / "manifest.json").write_text(json.dumps(values))
    assert read_manifest(bundle).files["items.json.gz"].content_sha256 is None
    assert verify_hashes(bundle)


def test_of_a_file_that_is_not_gzip_no_content_is_recorded(bundle):
    (bundle / "titles.json.gz").write_bytes(b"[]")
    record = write_manifest(bundle, read_manifest(bundle)).files["titles.json.gz"]
    assert (record.bytes, record.content_sha256, record.content_bytes) == (2, None, None)
