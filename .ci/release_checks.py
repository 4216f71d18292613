"""Check before a release that the tag, the version, the changelog and the project's addresses agree."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def problems(tag: str, repository: str, pyproject: str, changelog: str) -> list[str]:
    """Name everything that must be mended before ``tag`` of ``repository`` is published.

    Args:
        tag: The tag to release, such as ``v0.1.0``.
        repository: The address of the repository that publishes, such as ``https://github.com/owner/lightrec``.
        pyproject: The text of pyproject.toml.
        changelog: The text of CHANGELOG.md.
    """
    project = tomllib.loads(pyproject)["project"]
    version = project["version"]
    found = []
    if tag != f"v{version}":
        found.append(f"The tag is {tag}, but pyproject.toml has version {version}: change one of them.")
    if not re.search(rf"^## \[?{re.escape(version)}\b", changelog, re.MULTILINE):
        found.append(f"CHANGELOG.md has no section for {version}: rename its section of unreleased changes.")
    for name, address in project["urls"].items():
        if not f"{address}/".startswith(f"{repository}/"):
            found.append(f"project.urls.{name} in pyproject.toml is {address}: it must be in {repository}.")
    return found


def main() -> None:
    """Print each problem and exit with code 2, or print nothing."""
    if len(sys.argv) != 3:
        sys.exit("Usage: release_checks.py TAG REPOSITORY, such as v0.1.0 https://github.com/owner/lightrec")
    texts = ((ROOT / name).read_text(encoding="utf-8") for name in ("pyproject.toml", "CHANGELOG.md"))
    found = problems(sys.argv[1], sys.argv[2], *texts)
    for problem in found:
        print(problem, file=sys.stderr)
    sys.exit(2 if found else 0)


if __name__ == "__main__":
    main()
