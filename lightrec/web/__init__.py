"""A bundle in a browser or in Node: lightrec.js, a demo page, and the static folder that holds all of it.

lightrec.js and its types are to be copied into other projects; they lie here so that every wheel holds them.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
"""Where lightrec.js, lightrec.d.ts and page/ lie."""
