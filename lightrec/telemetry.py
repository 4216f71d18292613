"""Nothing reports home: OpenVINO and nncf work without the package that tells their makers about each use."""

from __future__ import annotations

import sys


def keep_openvino_silent() -> None:
    """To be called before OpenVINO or nncf is imported; both take a package that is missing for a refusal.

    ``openvino_telemetry``, which comes with them, sends an event for every import and conversion unless the user has
    declined, and starts a process for each from a thread: beside a thread that is importing, that can stop for good
    (measured in docs/experiments.md).
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
