"""Limits on the lengths of files, folders and commit subjects, with the reason for each exception."""

import subprocess
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

MAX_LINES, MAX_FILES, MAX_SUBJECT = 400, 15, 72
LONG_FILES = {
    "lightrec/web/lightrec.js": "a page loads one file, without a bundler",
    "tests/data/public/test_public_logs.py": "not yet split",
}
FULL_FOLDERS = {
    "tests": "tests of single modules and of the repository, with the helpers that the rooms share",
    "tests/campaigns": "one file for each kind of attack, and the helpers that they share",
    "tests/web": "one file for each runtime and each tool that reads the JavaScript",
}
LONG_SUBJECTS = {"5e5c674", "fb617f8", "3f16245", "a1f4f5c", "702a1ad"}
"""Commits that were made before this was tested."""

FIRST_SHORT_SUBJECT = "ed1c952"


def git(*arguments: str) -> str:
    """The output of a git command in this repository; the test is skipped outside a checkout or in a shallow one."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, encoding="utf-8")
    if done.returncode != 0:
        pytest.skip(f"needs a git checkout with its history: git {arguments[0]} fails here")
    return done.stdout


def written_files() -> list[Path]:
    """The tracked source files of every language."""
    paths = (ROOT / name for name in git("ls-files", "-z", "*.py", "*.js", "*.mjs").split("\0") if name)
    return [path for path in paths if path.is_file()]


def test_no_file_is_long():
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in written_files()
    }
    assert {name for name, length in lengths.items() if length > MAX_LINES} - set(LONG_FILES) == set()


def test_no_folder_holds_many_files():
    folders = Counter(
        path.relative_to(ROOT).parent.as_posix() for path in written_files() if path.name != "__init__.py"
    )
    assert {folder for folder, count in folders.items() if count > MAX_FILES} - set(FULL_FOLDERS) == set()


def test_subjects_of_commits_are_short():
    lines = git("log", "--no-merges", "--format=%h %s", "--abbrev=7", f"{FIRST_SHORT_SUBJECT}..HEAD").splitlines()
    commits = [line.partition(" ") for line in lines]
    assert [line for line in commits if len(line[2]) > MAX_SUBJECT and line[0] not in LONG_SUBJECTS] == []
