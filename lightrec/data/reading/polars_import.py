"""Import of polars for the modules that read files, with an error that says how to install it."""

from __future__ import annotations

import os

from lightrec.extras import require_extra

require_extra("data", "Reading interaction files")

# polars panics on a Parquet column whose zone is not in its database ("+05:30"); the instants in it are UTC anyway.
os.environ.setdefault("POLARS_IGNORE_TIMEZONE_PARSE_ERROR", "1")

import polars as pl  # noqa: E402

__all__ = ["pl"]
