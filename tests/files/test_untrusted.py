"""Files that anybody may have written: limits before anything is allocated, and one sentence for the rest."""

import gzip
import json
import os
import tracemalloc

import numpy as np
import pytest

from lightrec.errors import BundleError
from lightrec.files.untrusted import (
    is_count,
    is_number,
    list_limit,
    parse_json,
    read_array,
    read_bytes,
    require_shallow,
)


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"1" * 5000,
        b"[NaN]",
        b"[Infinity]",
        b"[-Infinity]",
        b"[1e400]",
        b"\xff",
        b'["\xff"]',
        b"",
        b"{",
        b"[1] [2]",
    ],
)
def test_what_is_no_json_is_one_sentence(tmp_path, content):
    for name, packed in (("x.json", content), ("x.json.gz", gzip.compress(content))):
        with pytest.raises(BundleError, match=rf"{name.replace('.', '[.]')} is missing or not valid JSON") as error:
            parse_json(packed, tmp_path / name)
        assert "\n" not in str(error.value)


def test_a_gzip_bomb_is_unpacked_no_further_than_its_limit(tmp_path):
    bomb = gzip.compress(b" " * 2**20, mtime=0) * 4096  # 4 GiB of blanks
    tracemalloc.start()
    with pytest.raises(BundleError, match=r"items\.json\.gz unpacks to more than 1,052,672 bytes"):
        parse_json(bomb, tmp_path / "items.json.gz", limit=list_limit(1))
    assert tracemalloc.get_traced_memory()[1] < 2**25
    tracemalloc.stop()


@pytest.mark.parametrize(
    "packed", [gzip.compress(b"[1]")[:-1], gzip.compress(b"[1]")[:-5] + b"12345", b"[1]", b"\x1f\x8b"]
)
def test_damaged_gzip_is_one_sentence(tmp_path, packed):
    with pytest.raises(BundleError, match="not valid JSON"):
        parse_json(packed, tmp_path / "items.json.gz")
    assert parse_json(gzip.compress(b"[1,") + gzip.compress(b"2]"), tmp_path / "items.json.gz") == [1, 2]


def test_levels_are_counted(tmp_path):
    def nested(levels):
        return json.loads('{"a": [' * (levels // 2) + "1" + "]}" * (levels // 2))

    require_shallow(nested(100), tmp_path / "manifest.json")
    with pytest.raises(BundleError, match=r"manifest\.json nests lists and objects deeper than 100 levels"):
        require_shallow(nested(102), tmp_path / "manifest.json")


def test_only_regular_files_of_a_bounded_size_are_read(tmp_path):
    (tmp_path / "large").write_bytes(b"12345")
    assert read_bytes(tmp_path / "large", 5) == b"12345"
    with pytest.raises(BundleError, match="large is larger than 4 bytes"):
        read_bytes(tmp_path / "large", 4)
    (tmp_path / "itself").symlink_to("itself")
    (tmp_path / "endless").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe")
    for name in ("itself", "endless", "pipe", ".", "nowhere"):
        with pytest.raises(BundleError, match="is missing or not valid JSON"):
            read_bytes(tmp_path / name)
        with pytest.raises(BundleError, match="is missing or not a numpy array of int32"):
            read_array(tmp_path / name, np.int32)


def header(text, version=b"\1\0"):
    text = text.encode() + b"\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text


NUMBERS = np.array([3, 1, 2], dtype="<i4").tobytes()


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize(
    "content",
    [
        header("{'descr': '<i4', 'fortran_order': False, 'shape': (4611686018427387904,)}") + NUMBERS,
        header("{'descr': '<i4', 'fortran_order': False, 'shape': (4,)}") + NUMBERS,
        header("{'descr': '<i4', 'fortran_order': False, 'shape': (2,)}") + NUMBERS,
        header("{'descr': '<i4', 'fortran_order': False, 'shape': (3, 1)}") + NUMBERS,
        header("{'descr': '<i4', 'fortran_order': False, 'shape': ()}") + NUMBERS,
        header("{'descr': '<i4', 'fortran_order': False, 'shape': (-1,)}") + NUMBERS,
        header("{'descr': '<i4', 'fortran_order': False, 'shape': (True,)}") + NUMBERS[:4],
        header("{'descr': '>i4', 'fortran_order': False, 'shape': (3,)}") + NUMBERS,
        header("{'descr': '|O', 'fortran_order': False, 'shape': (3,)}") + NUMBERS,
        header("{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (3,)}") + NUMBERS,
        header("{'descr': '<i4', 'fortran_order': False}") + NUMBERS,
        header("(" * 1000) + NUMBERS,
        header("__import__('os').abort()") + NUMBERS,
        header(" " * 60_000) + NUMBERS,
        header("{'descr': '<i4', 'fortran_order': False, 'shape': (3,)}", b"\7\0") + NUMBERS,
        b"\x93NUMPY\1\0\xff\xff",
        b"\x93NUM",
        b"",
    ],
)
def test_an_array_that_is_none_is_one_sentence(tmp_path, content, mapped):
    (tmp_path / "popularity.npy").write_bytes(content)
    with pytest.raises(BundleError, match=r"popularity\.npy is missing or not a numpy array of int32 in one dimension"):
        read_array(tmp_path / "popularity.npy", np.int32, mapped)


@pytest.mark.parametrize("mapped", [False, True])
def test_arrays_read_back(tmp_path, mapped):
    for values in (np.array([3, 1, 2], dtype=np.int32), np.empty(0, dtype=np.int32)):
        np.save(tmp_path / "x.npy", values)
        found = read_array(tmp_path / "x.npy", np.int32, mapped)
        assert found.tolist() == values.tolist() and type(found) is np.ndarray and found.dtype == np.int32


def test_numbers_of_json_are_strict():
    assert [is_count(value, 1, 5) for value in (1, 5, 0, 6, True, 1.0, "1", None, 2**70)] == [True, True] + [False] * 7
    assert [is_number(value) for value in (1, -2.5, 0)] == [True] * 3
    assert [is_number(value) for value in (True, None, "1", 1e39, 10**400, float("nan"))] == [False] * 6
