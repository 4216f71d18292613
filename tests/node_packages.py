"""npm packages that tests need, installed in lightrec's cache."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from lightrec.files.download import cache_folder

ROOT = Path(__file__).parents[1]
ONNXRUNTIME_NODE = "1.30.0"
"""The version of onnxruntime-node that is fetched where none is installed."""


def node_modules():
    """The folder that holds onnxruntime-node: of this checkout, of NODE_PATH, or else made in lightrec's cache."""
    probe = ["node", "-p", "require.resolve('onnxruntime-node/package.json')"]
    found = subprocess.run(probe, cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode == 0:
        return Path(found.stdout.strip()).parents[1]
    return installed_by_npm(f"onnxruntime-node@{ONNXRUNTIME_NODE}")


def installed_by_npm(*packages):
    """A folder node_modules that holds ``packages``, made in lightrec's cache; skips the test where npm cannot."""
    kept = cache_folder() / "+".join(packages).replace("@", "-")
    if not kept.is_dir():
        part = kept.with_name(f"{kept.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        command = ["npm", "install", "--prefix", part, "--ignore-scripts", "--no-audit", "--no-fund", *packages]
        npm = shutil.which("npm")
        if npm is None or subprocess.run(command, capture_output=True, check=False).returncode != 0:
            pytest.skip(f"needs Node.js packages: npm install --no-save --ignore-scripts {' '.join(packages)}")
        part.rename(kept)
    return kept / "node_modules"
