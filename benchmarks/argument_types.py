"""Types of argparse options."""

from __future__ import annotations

import argparse


def count(text: str) -> int:
    """Parse a whole number of at least 1, as ``type`` of an argparse option.

    Raises:
        argparse.ArgumentTypeError: for anything else; argparse names the flag.
    """
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)
