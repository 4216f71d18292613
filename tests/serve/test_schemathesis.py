"""Schemathesis makes requests by the OpenAPI page and compares the answers with it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from mini_bundle import write_bundle
from service_process import TOKEN, Server

pytest.importorskip("fastapi", reason="needs the extra serve")
pytest.importorskip("schemathesis", reason="needs schemathesis: pip install schemathesis")
pytestmark = pytest.mark.slow

RUN = "import sys; from schemathesis.cli import schemathesis; sys.exit(schemathesis())"
NOT_CHECKED = "positive_data_acceptance"
"""The page cannot say that some fields must fit each other, such as a tensor's data its shape."""


def test_no_request_by_the_page_fails_the_service_and_all_answers_are_on_it(tmp_path):
    server = Server(write_bundle(tmp_path / "bundle"), "--timeout", "10")
    options = [
        "--max-examples=40",
        "--seed=1",
        f"--exclude-checks={NOT_CHECKED}",
        f"--header=Authorization:Bearer {TOKEN}",
    ]
    command = [sys.executable, "-c", RUN, "run", f"http://127.0.0.1:{server.port}/openapi.json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert server.stop() == 0
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "13 selected / 13 total" in done.stdout
