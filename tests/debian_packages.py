"""Files out of Debian's packages, in a folder: nothing is installed. apt fetches them and checks their signatures."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
ARCHIVE = "http://deb.debian.org/debian"


def unpack(packages: Sequence[str], into: Path, suite: str, architecture: str = "amd64") -> None:
    """Fetch ``packages`` of a Debian ``suite`` and unpack them into ``into``; skips the test where that cannot be."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None or not KEYRING.is_file():
        pytest.skip(f"needs apt and {KEYRING.name} to fetch {packages[0]}: run it on Debian")
    state = into / f".apt-{suite}-{architecture}"
    for name in ("lists/partial", "cache/archives/partial", "files"):
        (state / name).mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    (state / "sources.list").write_text(f"deb [signed-by={KEYRING}] {ARCHIVE} {suite} main\n")
    settings = {
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Sandbox::User": "root",
        "Dir::State::lists": state / "lists",
        "Dir::State::status": state / "status",
        "Dir::Cache": state / "cache",
        "Dir::Etc::SourceList": state / "sources.list",
        "Dir::Etc::SourceParts": "-",
        "Acquire::Languages": "none",
    }
    apt = ["apt-get", *(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))]
    for command in (["update", "--error-on=any"], ["download", *packages]):
        done = subprocess.run([*apt, *command], cwd=state / "files", capture_output=True, text=True, check=False)
        if done.returncode != 0:
            shutil.rmtree(state)
            pytest.skip(f"cannot fetch {packages[0]} from Debian {suite}: {done.stderr.strip().splitlines()[-1]}")
    for file in (state / "files").glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(file), str(into)], check=True)
    shutil.rmtree(state)
