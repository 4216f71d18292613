"""LIGHTREC_REQUIRE: tests that are skipped for want of a tool fail where the tool is required."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SKIPPED = "tests/web/test_node.py::test_without_onnxruntime_for_node_it_is_listed_as_absent"
"""A fast test that wants Node.js."""


def outcome(required, path):
    """What pytest says of that test where the tools of the PATH are those in ``path``."""
    environment = {**os.environ, "LIGHTREC_REQUIRE": required, "PATH": str(path)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", SKIPPED]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_what_is_skipped_for_want_of_a_required_tool_fails(tmp_path):
    code, said = outcome("chromium,node", tmp_path)
    assert code == 1 and "LIGHTREC_REQUIRE asks for node. Skipped: needs Node.js 20 or newer" in said


@pytest.mark.slow
def test_other_skips_stay_skips(tmp_path):
    code, said = outcome("chromium,cc", tmp_path)
    assert code == 0 and "1 skipped" in said


@pytest.mark.slow
def test_a_tool_that_nobody_knows_is_refused(tmp_path):
    code, said = outcome("chrome", tmp_path)
    assert code == 4 and "LIGHTREC_REQUIRE names chrome: choose from chromium, node, cc, arm64." in said


# Of each helper that skips, the reason as it stands there.
REASONS = {
    "chromium": [
        "needs Chromium or Chrome on the PATH",
        "needs playwright: pip install playwright",
        "needs onnxruntime-web: ",
    ],
    "node": ["needs Node.js 20 or newer"],
    "cc": ["needs a C compiler", "this onnxruntime brings no shared library to link with"],
    "arm64": ["an emulated ARM64 machine needs root on Linux on x86-64", "no packages for ARM64 to be had: "],
}


def test_reasons_are_known_for_what_they_are(request):
    (tools,) = (one.TOOLS for one in request.config.pluginmanager.get_plugins() if hasattr(one, "TOOLS"))
    for tool, reasons in REASONS.items():
        for reason in reasons:
            assert [name for name, words in tools.items() if re.search(words, reason)] == [tool]
    sources = [file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("*.py") if file != Path(__file__)]
    given = [reason for reasons in REASONS.values() for reason in reasons]
    assert [reason for reason in given if not any(reason in source for source in sources)] == []
