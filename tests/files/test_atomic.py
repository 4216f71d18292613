import hashlib
import json
import math
import os
import resource
import shutil
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightrec.errors import WriteError
from lightrec.files import atomic as files
from lightrec.files.atomic import new_file, new_folder, read_json, restore, sha256_file, write_json, write_text
from lightrec.files.locks import locked


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


def test_a_value_that_cannot_be_written_leaves_the_old_one(tmp_path):
    write_text(tmp_path / "x", "old")
    with pytest.raises(ValueError):
        write_json(tmp_path / "x", math.nan)
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


def run_python(code, *words):
    """The exit status of a program that has ``names`` of this file's imports."""
    head = "import os, signal, sys\nfrom pathlib import Path\nfrom lightrec.files import atomic as files\n"
    return subprocess.run([sys.executable, "-c", head + code, *map(str, words)], check=False).returncode


KILLED_AMID = """
def put_half(beside, path):
    old = beside.with_name(f"{beside.name}.old")
    path.replace(old)
    os.kill(os.getpid(), signal.SIGKILL)
files._put = put_half
with files.new_folder(Path(sys.argv[1])) as folder:
    (folder / "new").write_text("new")
"""


@pytest.fixture
def half_replaced(tmp_path):
    """A folder whose writer was killed after it had moved the old one aside."""
    target = tmp_path / "target"
    target.mkdir()
    (target / "old").write_text("old")
    assert run_python(KILLED_AMID, target) == -signal.SIGKILL
    assert not target.exists()
    return target


def test_a_reader_puts_back_what_a_killed_writer_moved_aside(half_replaced):
    restore(half_replaced)
    assert names(half_replaced) == ["old"]


def test_the_next_writer_puts_it_back_and_clears_up(half_replaced):
    with pytest.raises(ValueError), new_folder(half_replaced):
        assert names(half_replaced) == ["old"]
        raise ValueError
    assert names(half_replaced) == ["old"]
    assert names(half_replaced.parent) == ["target"]


def test_what_older_versions_moved_aside_is_put_back(tmp_path):
    (tmp_path / ".target.0123abcd.old").mkdir()
    restore(tmp_path / "target")
    assert names(tmp_path) == ["target"]


def test_files_of_the_users_own_are_not_leftovers(tmp_path):
    own = [".target.20240101", ".target.lightrec", ".other.lightrec-0123abcd", ".target.backup.old"]
    for name in own:
        (tmp_path / name).mkdir()
    with new_folder(tmp_path / "target"):
        pass
    restore(tmp_path / "missing")
    assert names(tmp_path) == sorted([*own, "target"])


def test_without_an_exchange_the_folder_is_replaced_too(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    test_a_new_folder_replaces_the_old_one_as_a_whole(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: only there the exchange is known to be there")
def test_the_exchange_is_taken_where_there_is_one(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"from {name}").touch()
    assert files._exchange(tmp_path / "one", tmp_path / "other")
    assert (names(tmp_path / "one"), names(tmp_path / "other")) == (["from other"], ["from one"])
    assert not files._exchange(tmp_path / "one", tmp_path / "missing")


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with new_folder(tmp_path / "link") as folder:
        (folder / "new").touch()
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path / "real") == ["new"]
    assert names(tmp_path) == ["link", "real"]


WRITE_AND_WAIT = """
with files.new_folder(Path(sys.argv[1])) as folder:
    (folder / "theirs").write_text("theirs")
    print("begun", flush=True)
    sys.stdin.read()
"""


def test_two_processes_with_one_folder(tmp_path):
    """The second is refused with a sentence, and the first one is not disturbed; a killed one holds nothing."""
    target = tmp_path / "target"
    head = "import sys\nfrom pathlib import Path\nfrom lightrec.files import atomic as files\n"
    line = [sys.executable, "-c", head + WRITE_AND_WAIT, str(target)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout.readline() == "begun\n"
        with pytest.raises(WriteError, match="target is being written by another"), new_folder(target):
            pytest.fail("both write")
        first.stdin.close()
        assert first.wait() == 0
    assert names(target) == ["theirs"]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as killed:
        killed.stdout.readline()
        killed.kill()
    assert len(names(tmp_path)) == 3  # the target, its lock, and what was being written
    with new_folder(target) as folder:
        (folder / "ours").touch()
    assert names(target) == ["ours"]
    assert names(tmp_path) == ["target"]


def test_a_lock_is_waited_for_where_asked(tmp_path):
    code = """
from lightrec.files.locks import locked
for _ in range(200):
    with locked(Path(sys.argv[1]), wait=True):
        value = int(Path(sys.argv[1]).read_text())
        Path(sys.argv[1]).write_text(str(value + 1))
"""
    (tmp_path / "count").write_text("0")
    head = "import sys\nfrom pathlib import Path\n"
    line = [sys.executable, "-c", head + code, str(tmp_path / "count")]
    writers = [subprocess.Popen(line) for _ in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert (tmp_path / "count").read_text() == "600"
    assert names(tmp_path) == ["count"]


def test_a_file_system_without_locks_is_written_all_the_same(tmp_path, monkeypatch):
    def none(lock, wait):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("lightrec.files.locks._lock", none)
    (tmp_path / ".x.lightrec-0123abcd").touch()  # may be a living writer's
    write_text(tmp_path / "x", "x")
    assert (tmp_path / "x").read_text() == "x"
    assert ".x.lightrec-0123abcd" in names(tmp_path)
    with locked(tmp_path / "x") as sole:
        assert not sole


@pytest.fixture
def small_files():
    """No file may grow beyond 100,000 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _numpy(path):
    import numpy

    with path.open("wb") as file:
        numpy.save(file, numpy.zeros(100_000))


def _polars(path):
    import polars

    polars.DataFrame({"x": range(100_000)}).write_parquet(path, compression="uncompressed")


def _torch(path):
    import torch

    torch.save(torch.zeros(100_000), path)


def _safetensors(path):
    import numpy
    from safetensors.numpy import save_file

    save_file({"x": numpy.zeros(100_000)}, path)


@pytest.mark.parametrize("write", [_numpy, _polars, _torch, _safetensors, lambda path: path.write_bytes(bytes(10**6))])
def test_a_file_that_grows_too_large_is_one_sentence_about_the_destination(tmp_path, small_files, write):
    (tmp_path / "old").write_text("old")
    for place in (new_file, new_folder):
        with (
            pytest.raises(WriteError, match=r"/old cannot .*(too large|size limit)") as refused,
            place(tmp_path / "old") as beside,
        ):
            write(beside if place is new_file else beside / "part")
        assert "lightrec-" not in str(refused.value)
        assert (tmp_path / "old").read_text() == "old"
        assert names(tmp_path) == ["old"]


@pytest.mark.parametrize(("number", "words"), [(28, "no space"), (122, "quota"), (30, "read-only"), (5, "disk")])
def test_every_failure_of_the_disk_is_a_sentence(tmp_path, number, words):
    with pytest.raises(WriteError, match=rf"/out cannot be written: .*{words}"), new_folder(tmp_path / "out"):
        raise OSError(number, os.strerror(number))
    with pytest.raises(WriteError, match=rf"/out cannot be written: .*{words}"), new_folder(tmp_path / "out"):
        try:
            raise OSError(number, os.strerror(number))
        except OSError as error:
            raise RuntimeError("the library failed") from error
    assert names(tmp_path) == []


def test_a_copy_that_finds_no_room_names_the_destination(tmp_path, small_files):
    """The error of a copy carries the source first."""
    source = tmp_path / "source" / "model.onnx"
    source.parent.mkdir()
    with source.open("wb") as file:
        file.truncate(90_000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    with pytest.raises(WriteError, match=r"^[^ ]*/out cannot") as refused, new_folder(tmp_path / "out") as beside:
        shutil.copy(source, beside / "model.onnx")
    assert "source" not in str(refused.value)


def test_other_errors_pass_as_they_are(tmp_path):
    with pytest.raises(FileNotFoundError), new_folder(tmp_path / "out"):
        (tmp_path / "missing").read_text()
    with pytest.raises(PermissionError, match="source"), new_folder(tmp_path / "out"):
        raise PermissionError(13, "Permission denied", "/elsewhere/source")
    with pytest.raises(RuntimeError, match="of its own"), new_folder(tmp_path / "out"):
        raise RuntimeError("of its own")


@pytest.mark.parametrize("place", [new_file, new_folder])
def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path, place):
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match=r"file/out cannot be written: .*is a file"), place(tmp_path / "file" / "out"):
        pytest.fail("it began")


def test_a_folder_in_place_of_a_file_is_a_sentence(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(WriteError, match=r"out cannot be written: it is a folder"):
        write_text(tmp_path / "out", "x")
    assert names(tmp_path) == ["out"]


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, which names what is brought to the disk")
def test_files_are_on_the_disk_before_they_take_their_place(tmp_path, monkeypatch):
    """Each file and folder is brought to the disk, and only then renamed; last comes the folder around them."""
    done = []
    fsync, replace = os.fsync, type(tmp_path).replace
    monkeypatch.setattr(os, "fsync", lambda file: done.append(os.path.realpath(f"/proc/self/fd/{file}")) or fsync(file))
    monkeypatch.setattr(type(tmp_path), "replace", lambda one, other: done.append("rename") or replace(one, other))
    with new_folder(tmp_path / "out") as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "file").touch()
    where = [name if name == "rename" else name.removeprefix(str(folder)) for name in done]
    assert where == ["/deep/file", "/deep", "", "rename", str(tmp_path)]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_or_device_is_not_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(WriteError, match="device or a pipe"):
        write_text(tmp_path / "pipe", "x")
    assert (tmp_path / "pipe").is_fifo() and [path.name for path in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs symbolic links")
def test_links_in_a_circle_are_refused(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises((WriteError, OSError), match=r"loop"):
        write_text(tmp_path / "loop", "x")
    with pytest.raises(OSError, match=r"loop"):
        restore(tmp_path / "loop")


@pytest.mark.parametrize("text", ["n\udcff", "é 🎬", "a\nb"])
def test_names_that_are_no_text_are_written_and_read_back(text, tmp_path):
    write_json(tmp_path / "x.json", {text: [text]})
    assert read_json(tmp_path / "x.json") == {text: [text]}
    write_text(tmp_path / "x.txt", text)
    assert (tmp_path / "x.txt").read_text(encoding="utf-8") == text.replace("\udcff", r"\udcff")
