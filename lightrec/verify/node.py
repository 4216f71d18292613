"""Replay golden cases in Node.js, through lightrec.js and whichever ONNX Runtime Node finds."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from lightrec.errors import BundleError, MissingExtraError

PACKAGES = ("onnxruntime-node", "onnxruntime-web")
"""The npm packages with ONNX Runtime for Node, the faster one first."""
TIMEOUT = 120
"""Maximum seconds to wait for Node."""


def replay_in_node(path: Path, precision: str) -> tuple[str, list[tuple[list[int], list[float]]]]:
    """Replay the golden cases of the bundle at ``path`` in Node.js.

    Returns:
        Which of :data:`PACKAGES` answered, and for each case item indices and scores, best first.

    Raises:
        MissingExtraError: if Node.js 20 or ONNX Runtime for it is missing, naming what to install.
        BundleError: if Node cannot run the bundle.
    """
    node = shutil.which("node")
    if node is None:
        raise MissingExtraError("Node.js 20 or newer")
    command = [node, str(Path(__file__).with_name("replay.mjs")), str(path.resolve()), precision]
    try:
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", timeout=TIMEOUT, check=False
        )
    except OSError as error:
        raise BundleError(f"Node.js at {node} cannot be started ({error.strerror}): check it.") from None
    except subprocess.TimeoutExpired:
        raise BundleError(f"Node.js did not answer the golden cases of {path} within {TIMEOUT} s.") from None
    if done.returncode != 0:
        raise BundleError(f"Node.js cannot run {path}: {_reason(done.stderr)}")
    try:
        output: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        if "absent" not in output:
            return output["runtime"], [(answer["items"], answer["scores"]) for answer in output["answers"]]
    except (ValueError, LookupError, TypeError):
        raise BundleError(f"Node.js answered something else than golden cases of {path}: update Node.js.") from None
    raise MissingExtraError(output["absent"])


def _reason(stderr: str) -> str:
    """Return the line of Node's report that names the error."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return next((line for line in lines if "Error: " in line), lines[-1] if lines else "it says nothing")
