import hashlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightrec.files import new_folder, read_json, sha256_file, write_json, write_text


def names(folder):
    """Everything in a folder, hidden files too: nothing may be left over."""
    return sorted(path.name for path in folder.iterdir())


def test_the_checksum_is_that_of_the_bytes(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256_file(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_file(tmp_path / "x") == hashlib.sha256(b"abc").hexdigest()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(JSON.filter(lambda value: "\\ud" not in json.dumps(value)))  # lone surrogates are not text in UTF-8
def test_json_is_read_as_it_was_written(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "value.json"
    write_json(path, value)
    assert read_json(path) == value
    assert path.read_text(encoding="utf-8").endswith("\n")


@pytest.mark.parametrize("value", [math.nan, math.inf, {"a": [-math.inf]}])
def test_numbers_that_json_lacks_are_refused_and_the_old_file_stays(tmp_path, value):
    write_json(tmp_path / "x.json", 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", value)
    assert read_json(tmp_path / "x.json") == 1
    assert names(tmp_path) == ["x.json"]


def test_a_text_that_cannot_be_written_leaves_the_old_one(tmp_path):
    write_text(tmp_path / "x", "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "x", "new \ud800")
    assert (tmp_path / "x").read_text() == "old"
    assert names(tmp_path) == ["x"]


def test_a_new_folder_appears_whole(tmp_path):
    target = tmp_path / "deep" / "target"
    with new_folder(target) as folder:
        (folder / "a").write_text("a")
        assert not target.exists()
    assert names(target) == ["a"]
    assert names(target.parent) == ["target"]


def test_a_new_folder_replaces_the_old_one_as_a_whole(tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    (target / "old").write_text("old")
    with new_folder(target) as folder:
        (folder / "new").write_text("new")
        assert names(target) == ["old"]
    assert names(target) == ["new"]
    assert names(tmp_path) == ["target"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_folder_that_fails_leaves_what_was(tmp_path, error):
    target = tmp_path / "target"
    target.mkdir()
    (target / "old").write_text("old")
    with pytest.raises(error), new_folder(target) as folder:
        (folder / "half").write_text("half")
        raise error
    assert names(target) == ["old"]
    assert names(tmp_path) == ["target"]
