"""polars, or the sentence that says how to get it: the modules that read files take it from here."""

from __future__ import annotations

from lightrec.extras import require_extra

require_extra("data", "Reading interaction files")

import polars as pl  # noqa: E402

__all__ = ["pl"]
