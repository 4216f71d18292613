"""Whether the model hub can be reached: asked shortly, before transformers ask for most of a minute."""

from __future__ import annotations

import os
from typing import Any

TIMEOUT = 5.0
"""Seconds without an answer after which the hub counts as out of reach."""


def why_unreachable(name: str) -> str | None:
    """Why the model hub cannot give the model ``name``; None if it answers, be it that there is no such model.

    Asked with the hub's own client, so that proxies, certificates and addresses are those of the download that
    follows. A proxy's refusal or page counts as out of reach.
    """
    if os.environ.get("HF_HUB_OFFLINE", "0").upper() not in ("", "0", "FALSE", "NO", "OFF"):
        return "HF_HUB_OFFLINE is set"
    from huggingface_hub import constants, get_session

    try:
        answer = get_session().get(f"{constants.ENDPOINT}/api/models/{name}", timeout=TIMEOUT)
        return _judged(answer)
    except Exception as error:  # of the client, of its TLS, of its proxies: they have no base in common
        return first_line(error)


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or the name of its kind where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _judged(answer: Any) -> str | None:
    """What is wrong with an answer; None if it is the hub's own."""
    if "json" not in answer.headers.get("content-type", ""):
        return f"something else answers in its place, with {answer.status_code}"
    told = answer.json()
    if answer.status_code == 200:
        return None if isinstance(told, dict) and "id" in told else "something else answers in its place"
    missing = answer.status_code in (401, 404) and isinstance(told, dict) and "error" in told
    return None if missing else f"it answers {answer.status_code}"
