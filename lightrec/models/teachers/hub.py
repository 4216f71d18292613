"""Check quickly whether the model hub can be reached; transformers would keep trying for most of a minute."""

from __future__ import annotations

import os
from typing import Any

TIMEOUT = 5.0
"""Seconds without an answer after which the hub counts as unreachable."""


def why_unreachable(name: str) -> str | None:
    """Return why the model hub cannot be reached for the model ``name``; None if it answers, even with "no such model".

    The request uses the hub's own client, so that proxies, certificates and addresses are those of the download that
    follows. A proxy's refusal or web page counts as unreachable.
    """
    if os.environ.get("HF_HUB_OFFLINE", "0").upper() not in ("", "0", "FALSE", "NO", "OFF"):
        return "HF_HUB_OFFLINE is set"
    from huggingface_hub import constants, get_session

    try:
        answer = get_session().get(f"{constants.ENDPOINT}/api/models/{name}", timeout=TIMEOUT)
        return _judged(answer)
    except Exception as error:  # errors of the client, its TLS and its proxies have no common base class
        return first_line(error)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its type if it has no message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _judged(answer: Any) -> str | None:
    """Return what is wrong with an answer; None if it comes from the hub itself."""
    if "json" not in answer.headers.get("content-type", ""):
        return f"something else answers in its place, with {answer.status_code}"
    told = answer.json()
    if answer.status_code == 200:
        return None if isinstance(told, dict) and "id" in told else "something else answers in its place"
    missing = answer.status_code in (401, 404) and isinstance(told, dict) and "error" in told
    return None if missing else f"it answers {answer.status_code}"
