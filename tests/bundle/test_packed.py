"""The mapped form of a large catalogue: what it answers is what lists and a dict answer."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mini_bundle import IDS, NEXT_SCORES, TITLES, pack, write_bundle

from lightrec import Recommender
from lightrec.bundle import (
    LARGE_CATALOGUE,
    PACKED_ITEMS,
    PACKED_TITLES,
    Catalogue,
    copy_bundle,
    deployed_bytes,
    packed,
    read_catalogue,
    read_manifest,
    verify_hashes,
    write_catalogue,
    write_manifest,
)
from lightrec.errors import BundleError, BundleIntegrityError, DataError
from lightrec.verify.verify_bundle import verify_bundle

names = st.lists(st.text(max_size=6), unique=True, min_size=1, max_size=30)
any_string = st.text(st.characters(), max_size=6)  # also lone surrogates, which no UTF-8 holds
same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def bundle(tmp_path):
    return pack(write_bundle(tmp_path / "bundle"))


@same_folder
@given(names, st.lists(any_string), st.integers(1, 32))
def test_ids_are_found_as_in_a_dict_however_many_share_a_hash(tmp_path, ids, others, bits):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed, "HASH", lambda raw: packed.zlib.crc32(raw) >> (32 - bits))
        packed.write_ids(tmp_path, "items", ids)
        found = packed.read_ids(tmp_path, "items", len(ids))
        index = {name: place for place, name in enumerate(ids)}
        asked = [*others, *ids, *others]
        assert found.find(asked) == [index.get(name) for name in asked]
        assert list(found) == ids and found.problem() is None


@same_folder
@given(st.lists(st.none() | st.text(max_size=6), min_size=1, max_size=30), st.integers(-40, 40), st.integers(-40, 40))
def test_strings_and_nulls_are_a_sequence(tmp_path, strings, start, stop):
    packed.write_strings(tmp_path, "titles", strings)
    found = packed.read_strings(tmp_path, "titles", len(strings))
    assert list(found) == strings and len(found) == len(strings)
    assert found[start:stop] == strings[start:stop] and found[::-1] == strings[::-1]
    for place in (start, np.int64(stop)):
        if -len(strings) <= place < len(strings):
            assert found[place] == strings[place]
        else:
            with pytest.raises(IndexError):
                found[place]


@same_folder
@given(names, st.data(), st.integers(1, 32))
def test_an_id_that_stands_twice_is_refused(tmp_path, ids, data, bits):
    twice = data.draw(st.permutations([*ids, data.draw(st.sampled_from(ids))]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed, "HASH", lambda raw: packed.zlib.crc32(raw) >> (32 - bits))
        with pytest.raises(DataError, match="stands in the catalogue twice"):
            packed.write_ids(tmp_path, "items", twice)


def test_real_crc_collisions_are_told_apart(tmp_path):
    ids = ["plumless", "buckeroo", "neither"]
    assert packed.HASH(b"plumless") == packed.HASH(b"buckeroo")
    packed.write_ids(tmp_path, "items", ids)
    assert packed.read_ids(tmp_path, "items", 3).find(["buckeroo", "neither", "plumless", "x"]) == [1, 2, 0, None]


def test_large_catalogues_are_packed(tmp_path):
    for size, name in ((LARGE_CATALOGUE, PACKED_ITEMS[0]), (LARGE_CATALOGUE - 1, "items.json.gz")):
        (tmp_path / name).mkdir()
        write_catalogue(tmp_path / name, Catalogue([str(item) for item in range(size)], np.arange(size)))
        assert (tmp_path / name / name).is_file()


histories = st.lists(st.sampled_from([*IDS, "nobody", 7]), max_size=6)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("both")
    listed = write_bundle(folder / "listed")
    return Recommender.load(listed), Recommender.load(pack(shutil.copytree(listed, folder / "packed")), verify=True)


@given(histories, histories, st.none() | histories, st.integers(1, 8))
def test_a_packed_bundle_answers_as_a_listed_one(both, history, exclude, candidates, k):
    ours, theirs = (one.recommend(history, k, exclude, candidates) for one in reversed(both))
    assert (ours, ours.unknown, ours.fallback) == (theirs, theirs.unknown, theirs.fallback)


def test_a_packed_bundle_knows_its_items(both):
    _, recommender = both
    assert list(recommender.item_ids) == IDS and recommender.item_ids[:2] == IDS[:2]
    assert 7 in recommender and "nobody" not in recommender
    assert [recommender.title(item) for item in [*IDS, "nobody"]] == [*TITLES, None]
    assert recommender.session(["a"]).recommend(2) == recommender.recommend(["a"], 2)


def test_it_is_verified_copied_and_counted_like_any_other(bundle, tmp_path):
    assert verify_bundle(bundle).passed
    copy_bundle(bundle, tmp_path / "copy")
    files = ["manifest.json", "model.onnx", "popularity.npy", "golden.json", *PACKED_ITEMS]
    assert deployed_bytes(tmp_path / "copy") == sum((bundle / name).stat().st_size for name in files)
    (bundle / PACKED_ITEMS[0]).write_bytes((bundle / PACKED_ITEMS[0]).read_bytes()[:-1] + b"!")
    with pytest.raises(BundleIntegrityError, match=r"items\.utf8\.npy differs"):
        Recommender.load(bundle, verify=True)


def test_its_titles_may_be_deleted(bundle):
    for name in PACKED_TITLES:
        (bundle / name).unlink()
    verify_hashes(bundle)
    assert Recommender.load(bundle).recommend(["a"], 1)[0].title is None


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("items.offsets.npy", np.arange(6), "does not fit the 6 items"),
        ("items.offsets.npy", np.arange(7), "not as long as its offsets say"),
        ("items.offsets.npy", np.array([0, 3, 2, 3, 4, 7, 8]), "The items of .* have offsets that do not grow"),
        ("items.hashes.npy", np.arange(6), "not a numpy array of uint32"),
        ("items.hashes.npy", np.arange(6, 0, -1, dtype=np.uint32), "have hashes that are not sorted"),
        ("items.order.npy", np.array([0, 1, 2, 3, 4, 6], np.int32), "have an order that does not name every item once"),
        ("titles.utf8.npy", np.zeros(3), "not a numpy array of uint8"),
        ("titles.offsets.npy", np.array([{}]), "missing or not a numpy array"),
        ("popularity.npy", np.zeros(6, np.int32), "does not order the 6 items"),
    ],
)
def test_arrays_that_do_not_fit_are_one_sentence(bundle, name, array, message):
    np.save(bundle / name, array, allow_pickle=True)
    write_manifest(bundle, read_manifest(bundle))
    with pytest.raises(BundleError, match=message):
        verify_bundle(bundle)


def test_a_manifest_must_list_all_of_its_files(bundle):
    values = json.loads((bundle / "manifest.json").read_text())
    del values["files"]["items.order.npy"]
    (bundle / "manifest.json").write_text(json.dumps(values))
    with pytest.raises(BundleError, match=r"records no SHA-256 of items\.order\.npy"):
        read_manifest(bundle)


def test_a_packed_catalogue_is_written_again_as_a_list(bundle, tmp_path):
    write_bundle(tmp_path / "listed", NEXT_SCORES)
    catalogue = read_catalogue(bundle, read_manifest(bundle))
    write_catalogue(bundle, catalogue, packed=False)
    for name in ("items.json.gz", "titles.json.gz"):
        assert (bundle / name).read_bytes() == (tmp_path / "listed" / name).read_bytes()


@pytest.mark.parametrize("text", [b"a", b"\xff"])  # the id of another item, and a null
def test_an_answer_never_holds_an_id_twice_or_none(bundle, text):
    offsets, texts = np.load(bundle / "items.offsets.npy"), np.load(bundle / "items.utf8.npy")
    texts[offsets[1] : offsets[2]] = np.frombuffer(text, dtype=np.uint8)
    np.save(bundle / "items.utf8.npy", texts)
    write_manifest(bundle, read_manifest(bundle))
    with pytest.raises(BundleError, match="of one id or of none"):
        Recommender.load(bundle).recommend([], k=6)


def test_a_null_among_ids_is_refused_when_they_are_written_again(tmp_path):
    with pytest.raises(BundleError, match="Item 1 of the catalogue has no id"):
        packed.write_ids(tmp_path, "items", ["a", None])
