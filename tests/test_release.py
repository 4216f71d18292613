"""The checks that a release must pass, and what the wheel's metadata says."""

import importlib.util
import tomllib
from pathlib import Path

import pytest

import lightrec

ROOT = Path(__file__).parents[1]
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
REPOSITORY = "https://github.com/owner/lightrec"
READY = f'[project]\nversion = "1.2.3"\nurls = {{ Issues = "{REPOSITORY}/issues" }}'
CHANGELOG = "# Changelog\n\n## [1.2.3] - 2030-01-02\n"


@pytest.fixture(scope="module")
def checks():
    spec = importlib.util.spec_from_file_location("release_checks", ROOT / ".ci" / "release_checks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_version_is_written_once():
    assert lightrec.__version__ == tomllib.loads(PYPROJECT)["project"]["version"]


def test_a_release_that_agrees_has_no_problem(checks):
    assert checks.problems("v1.2.3", REPOSITORY, READY, CHANGELOG) == []


@pytest.mark.parametrize(
    ("tag", "repository", "changelog", "named"),
    [
        ("v1.2.4", REPOSITORY, CHANGELOG, ["v1.2.4", "1.2.3", "pyproject.toml"]),
        ("v1.2.3", REPOSITORY, "## [1.2.30]\n## [Unreleased]\n", ["CHANGELOG.md", "1.2.3"]),
        ("v1.2.3", "https://github.com/fork/lightrec", CHANGELOG, ["project.urls.Issues", "fork/lightrec"]),
        ("v1.2.3", "https://github.com/owner/light", CHANGELOG, ["project.urls.Issues", "owner/light"]),
    ],
)
def test_what_does_not_agree_is_named(checks, tag, repository, changelog, named):
    (problem,) = checks.problems(tag, repository, READY, changelog)
    assert all(name in problem for name in named)


def test_the_addresses_of_the_project_are_in_one_repository():
    urls = tomllib.loads(PYPROJECT)["project"]["urls"]
    assert {address.removeprefix(urls["Repository"])[:1] for address in urls.values()} <= {"", "/"}
