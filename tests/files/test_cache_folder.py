"""Machines without a home folder, without a user name, and with a home that can only be read."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from lightrec.errors import ConfigError
from lightrec.files import cache_folder as home
from lightrec.files.download import download

STRANGER = 54321
"""A user id that no system has a name for."""


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A folder for temporary files of this test alone, and no cache folder in the environment."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.delenv("LIGHTREC_CACHE", raising=False)
    home.temporary_folder.cache_clear()
    yield folder
    home.temporary_folder.cache_clear()


@pytest.fixture
def nobody(monkeypatch):
    """No HOME, and a user id that the system has no entry for."""
    for name in ("HOME", "USERPROFILE", "LOGNAME", "USER", "LNAME", "USERNAME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def unknown(*_):
        raise KeyError("uid not found")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.setattr("pwd.getpwnam", unknown)


def test_a_named_cache_and_the_homes_come_first(temporary, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home.cache_folder() == tmp_path / ".cache" / "lightrec"
    monkeypatch.setenv("LIGHTREC_CACHE", str(tmp_path / "named"))
    assert home.cache_folder() == tmp_path / "named" and home.cache_folders() == [tmp_path / "named"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs user ids")
def test_without_a_home_the_cache_is_a_private_temporary_folder(temporary, nobody):
    folder = home.cache_folder()
    assert folder == temporary / f"lightrec-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
    home.temporary_folder.cache_clear()
    assert home.cache_folder() == folder  # the next process finds what this one kept


@pytest.mark.skipif(sys.platform == "win32", reason="needs user ids")
@pytest.mark.parametrize("trap", ["writable by all", "a link", "a file"])
def test_a_folder_that_another_user_could_have_made_is_not_used(temporary, nobody, trap):
    place = temporary / f"lightrec-{os.getuid()}"
    if trap == "a file":
        place.touch()
        with pytest.raises(ConfigError, match="LIGHTREC_CACHE"):
            home.cache_folder()
        return
    target = temporary / "elsewhere"
    target.mkdir()
    target.chmod(0o777)
    if trap == "a link":
        place.symlink_to(target)
    else:
        target.rename(place)
        place.chmod(0o777)
    found = home.cache_folder()
    assert found != place and found.parent == temporary and found.stat().st_mode & 0o777 == 0o700


def test_where_nothing_can_be_written_the_variable_is_named(temporary, nobody, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / "not there"))
    with pytest.raises(ConfigError, match="LIGHTREC_CACHE"):
        home.cache_folder()


@pytest.mark.parametrize("value", ["relative", ""])
def test_a_home_that_is_no_place_counts_for_nothing(temporary, monkeypatch, value):
    monkeypatch.setenv("HOME", value)
    folder = home.cache_folder()
    assert folder.is_absolute() and "relative" not in folder.parts


def test_what_is_kept_in_a_read_only_home_is_used(temporary, tmp_path, monkeypatch):
    content = b"kept"
    digest = hashlib.sha256(content).hexdigest()
    kept = tmp_path / ".cache" / "lightrec" / "downloads" / f"{digest[:12]}-file.gz"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(content)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(home, "_is_writable", lambda folder: False)
    assert home.cache_folder() == temporary / f"lightrec-{os.getuid()}"
    assert download("http://files.invalid/file.gz", digest) == kept


def test_libraries_get_a_home_and_a_name(temporary, nobody, monkeypatch):
    home.settle()
    assert os.environ["HOME"] == str(temporary / f"lightrec-{os.getuid()}")
    assert os.environ["USER"] == f"user-{os.getuid()}"
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("USER")


def test_a_usual_home_stays_as_it_is(temporary, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USER", "somebody")
    before = dict(os.environ)
    home.settle()
    assert dict(os.environ) == before


CALLS = {
    "doctor": "import sys; sys.argv[1:] = ['doctor', '--json']; from lightrec.cli.app import main; main()",
    "libraries": "from lightrec.files.cache_folder import settle; settle(); import getpass, pathlib, transformers;"
    "import torch._inductor.runtime.cache_dir_utils as t;"
    "print(pathlib.Path.home(), getpass.getuser(), t.default_cache_dir())",
}


@pytest.fixture(scope="module")
def stranger():
    """The words that run a command as a user without a name."""
    words = ["unshare", "--user", f"--map-user={STRANGER}", f"--map-group={STRANGER}"]
    if shutil.which("unshare") is None or subprocess.run([*words, "true"], capture_output=True).returncode:
        pytest.skip("needs user namespaces (unshare)")
    return words


@pytest.mark.parametrize("environment", [{}, {"HOME": "/nonexistent"}, {"HOME": "/proc"}, {"HOME": "x"}], ids=str)
@pytest.mark.parametrize("call", CALLS)
def test_a_stranger_is_served(call, environment, stranger, tmp_path):
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), **environment}
    command = [*stranger, sys.executable, "-c", CALLS[call]]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert {"~", "x"}.isdisjoint(path.name for path in tmp_path.iterdir())
    if call == "libraries":
        home, name, cache = done.stdout.split()
        assert name == f"user-{STRANGER}" and Path(cache).parent == tmp_path
        own = str(tmp_path / f"lightrec-{STRANGER}")
        assert home == {None: own, "x": own}.get(environment.get("HOME"), environment.get("HOME"))
