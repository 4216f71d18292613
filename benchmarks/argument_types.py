"""Values of flags for the command lines of this room."""

from __future__ import annotations

import argparse


def count(text: str) -> int:
    """A whole number of at least 1, as ``type`` of an argparse flag.

    Raises:
        argparse.ArgumentTypeError: for anything else; argparse names the flag.
    """
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)
