"""A bundle in a browser or in Node: lightrec.js, a demo page, and the static folder that holds all of it.

lightrec.js and its types can be copied into other projects; they are in this package so that every wheel has them.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
"""The folder of lightrec.js, lightrec.d.ts and page/."""
