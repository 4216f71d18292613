"""A damaged or hostile prepared data set: refused with one sentence that names the file, never used."""

import hashlib
import json
import os
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from lightrec.cli.app import app
from lightrec.data.dataset import Dataset, write_dataset
from lightrec.data.dataset_files import ARRAYS, FILES, LISTS, OWN_DIGEST, checksum, own_digest
from lightrec.data.describe import describe
from lightrec.errors import DataError
from lightrec.files.atomic import read_json, sha256_file, write_json


@pytest.fixture
def folder(tmp_path):
    return write_dataset(
        tmp_path / "d",
        name="two users",
        user_ids=["a", "007"],
        item_ids=["x", "y", "zé"],
        item_texts=["X, 1999", None, "Z"],
        offsets=[0, 2, 5],
        items=[0, 1, 2, 0, 2],
        timestamps=[10, 20, 5, 5, 6],
        order_only=False,
        details={"source": {"rows": 5}, "share": 0.1},
    ).path


def answer(folder):
    """Everything that a data set tells, but for the digest of its description."""
    dataset = Dataset.open(folder)
    return (
        {name: getattr(dataset, name).tolist() for name in ARRAYS},
        {name: getattr(dataset, name) for name in LISTS},
        {key: value for key, value in dataset.description.items() if not key.startswith(OWN_DIGEST[:-1])},
        describe(dataset),
    )


@pytest.mark.parametrize("name", ["dataset.json", *FILES])
def test_every_changed_byte_is_refused_or_changes_nothing(folder, name):
    """Only white space between the values of dataset.json, and the name of its digest, may change."""
    before, content = answer(folder), (folder / name).read_bytes()
    digest = own_digest(before[2])
    passed = 0
    for place in range(len(content)):
        mask = 0xFF if place % 3 else 1 << place % 8
        (folder / name).write_bytes(content[:place] + bytes([content[place] ^ mask]) + content[place + 1 :])
        try:
            found = answer(folder)
        except DataError as error:
            assert "dataset.json" in str(error) or name in str(error)
            continue
        passed += 1
        assert {key: value for key, value in found[2].items() if value != digest} == before[2]
        assert (found[0], found[1], found[3]) == (before[0], before[1], before[3])
    assert passed < 40 if name == "dataset.json" else passed == 0


@pytest.mark.parametrize("name", ["dataset.json", *FILES])
@pytest.mark.parametrize("damage", ["empty", "short", "long", "gone", "folder", "pipe"])
def test_files_of_another_size_or_kind_are_refused(folder, name, damage):
    file = folder / name
    content = file.read_bytes()
    file.unlink()
    if damage in ("empty", "short", "long"):
        file.write_bytes({"empty": b"", "short": content[:-2], "long": content + b"{"}[damage])
    elif damage == "folder":
        file.mkdir()
    elif damage == "pipe":
        os.mkfifo(file)
    with pytest.raises(DataError, match="dataset.json" if name == "dataset.json" else name):
        answer(folder)


def sealed(folder, **changes):
    """Write files and keys of the description, with all checksums as an attacker would set them."""
    description = read_json(folder / "dataset.json") | {key: value for key, value in changes.items() if "." not in key}
    for name, content in changes.items():
        if "." in name:
            (folder / name).write_bytes(content)
    description["files"] = description["files"] | {name: sha256_file(folder / name) for name in FILES}
    description["checksum"] = checksum(description["files"], description["order_only"])
    write_json(folder / "dataset.json", description | {OWN_DIGEST: own_digest(description)})
    return folder


def npy(shape, descr="<i4", data=b"", version=b"\x01\x00"):
    header = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    return b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header + data


FIVE = np.array([0, 1, 2, 0, 2], np.int32)
HOSTILE = {
    "huge": {"items.npy": npy((10**15,))},
    "overflowing": {"items.npy": npy((2**62, 2**62))},
    "negative": {"items.npy": npy((-5,))},
    "of objects": {"items.npy": npy((5,), "|O", b"\x80" * 40)},
    "of another width": {"items.npy": npy((5,), "<i8", FIVE.astype(np.int64).tobytes())},
    "of floats": {"items.npy": npy((5,), "<f4", FIVE.astype(np.float32).tobytes())},
    "big-endian": {"items.npy": npy((5,), ">i4", FIVE.astype(">i4").tobytes())},
    "of two dimensions": {"items.npy": npy((5, 1), "<i4", FIVE.tobytes())},
    "without a header": {"items.npy": b"\x93NUMPY\x01\x00\xff\xff"},
    "a header of code": {"items.npy": b"\x93NUMPY\x01\x00\x14\x00__import__('os').abc"},
    "of an unknown version": {"items.npy": npy((5,), "<i4", FIVE.tobytes(), b"\x09\x00")},
    "an index too high": {"items.npy": npy((5,), "<i4", (FIVE + 1).tobytes())},
    "an index below 0": {"items.npy": npy((5,), "<i4", (FIVE - 1).tobytes())},
    "too few": {"items.npy": npy((4,), "<i4", FIVE[:4].tobytes())},
    "falling offsets": {"offsets.npy": npy((3,), "<i8", np.array([0, 6, 5]).tobytes())},
    "offsets past the end": {"offsets.npy": npy((3,), "<i8", np.array([0, 2, 6]).tobytes())},
    "no offsets": {"offsets.npy": npy((0,), "<i8")},
    "nested lists": {"user_ids.json": b"[" * 100_000},
    "an object": {"item_ids.json": b'{"x": 1}'},
    "numbers": {"item_ids.json": b"[1, 2, 3]"},
    "one too many": {"item_texts.json": b'["a", "b", "c", "d"]'},
    "ids that repeat": {"item_ids.json": b'["x", "x", "y"]'},
    "half a character": {"item_titles.json": b'["\\ud800", null, null]'},
    "NaN": {"item_titles.json": b"[NaN, null, null]"},
    "not UTF-8": {"item_titles.json": b'["\xff", null, null]'},
    "users as text": {"users": "2"},
    "users as a truth": {"users": True},
    "a negative count": {"items": -3},
    "a huge count": {"users": 10**30},
    "no name": {"name": None},
    "no order": {"order_only": None},
    "a list as format": {"format_version": [1]},
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_crafted_files_with_right_checksums_are_refused(folder, kind):
    with pytest.raises(DataError, match=r"(\.npy|\.json) is missing or damaged"):
        answer(sealed(folder, **HOSTILE[kind]))


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b"null", b"[]", b"{}", b'{"format_version": 1}', b"\xff", b"1" * 5000]
)
def test_a_description_that_is_none_is_refused(folder, content):
    (folder / "dataset.json").write_bytes(content)
    with pytest.raises(DataError, match=r"dataset\.json is missing or damaged"):
        Dataset.open(folder)


def test_data_sets_of_older_versions_are_still_opened(folder):
    """They have no digest of the description."""
    before = answer(folder)
    description = read_json(folder / "dataset.json")
    assert (
        description.pop(OWN_DIGEST)
        == hashlib.sha256(json.dumps(description, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    )
    write_json(folder / "dataset.json", description)
    assert answer(folder) == before


@pytest.mark.parametrize("command", ["describe", "evaluate", "train"])
@pytest.mark.parametrize("name", FILES)
def test_commands_refuse_a_data_set_with_one_flipped_bit(tiny_dataset, tmp_path, command, name):
    """They refuse before they start, though some would need the file only at their end."""
    shutil.copytree(tiny_dataset.path, tmp_path / "d")
    content = bytearray((tmp_path / "d" / name).read_bytes())
    content[len(content) // 2] ^= 0x10
    (tmp_path / "d" / name).write_bytes(content)
    words = {
        "describe": ["data", "describe", str(tmp_path / "d")],
        "evaluate": ["evaluate", "popularity", str(tmp_path / "d")],
        "train": ["train", str(tmp_path / "d"), "--out", str(tmp_path / "run"), "--epochs", "1", "--device", "cpu"],
    }[command]
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, DataError) and not done.output, done.output
    assert name in str(done.exception) and "SHA-256" in str(done.exception)
