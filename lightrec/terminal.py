"""Safe text for terminals: a user's data cannot control the terminal, and no character makes the output fail.

Titles, ids and paths come from files. They may hold escape sequences, which move the cursor or rename the window,
characters that reverse the writing direction, or characters that the terminal's encoding lacks.
"""

from __future__ import annotations

import codecs
import io
import json
import os
import re
import string
import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, RenderableType
from rich.segment import Segment
from rich.status import Status
from rich.text import Span, Text

from lightrec.errors import OutputError

_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f"
_DIRECTIONS = "\u061c\u202a-\u202e\u2066-\u2069"
_OTHERS = "\u2028\u2029\ufff9-\ufffb\ud800-\udfff"
_DANGEROUS = re.compile(f"[{_CONTROLS}{_DIRECTIONS}{_OTHERS}]")
_DANGEROUS_IN_LINES = re.compile(f"[\t\n{_CONTROLS}{_DIRECTIONS}{_OTHERS}]")
_DANGEROUS_IN_JSON = re.compile(f"[\x7f-\x9f{_DIRECTIONS}{_OTHERS}]")

PLAIN = "lightrec.plain"
"""Name of the encoding error handler that :func:`prepare_streams` sets on the streams."""

_SPELLINGS = {
    "✓": "OK", "×": "x", "→": "->", "←": "<-", "…": "...", "–": "-", "—": "-", "−": "-", "±": "+/-", "·": ".",
    "≤": "<=", "≥": ">=", "’": "'", "‘": "'", "“": '"', "”": '"', "█": "#", "▏": "|", "━": "-", "╸": "-", "╺": "-",
}  # fmt: skip


def visible(text: str) -> str:
    r"""Return ``text`` with every control character, including newline and tab, replaced by its escape sequence.

    This covers the C0 and C1 controls, overrides of the writing direction, line separators and lone surrogates.

    >>> visible("a\x1b[2Jb\n")
    'a\\x1b[2Jb\\n'
    """
    return _DANGEROUS_IN_LINES.sub(_spelled, text)


def json_text(value: Any, encoding: str = "utf-8") -> str:
    """Return ``value`` as indented JSON that is safe in any terminal and fits ``encoding``.

    Control characters, and characters that the encoding lacks, are written as JSON escapes, so parsing the text gives
    back exactly ``value``.

    Raises:
        ValueError: if a number in it is not finite.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        text = json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False)
    return _DANGEROUS_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def styled(words: str, **values: Any) -> Text:
    """Format Rich markup with values shown literally: ``styled("[bold]{name}[/]: {count:,} items", ...)``.

    Args:
        words: trusted markup, with the fields of :meth:`str.format`.
        values: the values of the fields; brackets in them are not markup.
    """
    markup, fields = "", []
    for literal, name, spec, conversion in string.Formatter().parse(words):
        markup += literal
        if name is not None:
            value = values[name]
            fields.append(visible(format(repr(value) if conversion == "r" else value, spec or "")))
            markup += _PLACE
    text, *rest = Text.from_markup(markup, emoji=False).split(_PLACE, include_separator=True, allow_blank=True)
    for field, part in zip(fields, rest, strict=True):
        text = Text.assemble(_replaced_end(text, field), part)
    return text


_PLACE = "\ufdd0"
"""Placeholder of a field; a noncharacter that Unicode reserves for internal use."""


def _replaced_end(text: Text, field: str) -> Text:
    """Return ``text`` with its last character replaced by ``field``, in the same style."""
    before, place = text.divide([len(text) - 1])
    spans = [Span(0, len(field), span.style) for span in place.spans]
    return Text.assemble(before, Text(field, spans=spans))


class SafeConsole(Console):
    """Rich's console, showing text literally: no markup, no emoji codes, and no control characters.

    Use :func:`styled` for styles. Characters that the encoding lacks are escaped; see :func:`prepare_streams`.
    """

    def __init__(self, **options: Any):
        _drop_odd_width()  # the constructor below reads the width
        super().__init__(**{"markup": False, "emoji": False, **options})

    def render_str(self, text: str, **options: Any) -> Text:
        """See :meth:`rich.console.Console.render_str`."""
        return super().render_str(self._spelled(_DANGEROUS.sub(_spelled, text)), **options)

    def render(self, renderable: RenderableType, options: Any = None) -> Iterable[Segment]:
        """See :meth:`rich.console.Console.render`."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=_DANGEROUS.sub(_spelled, segment.text))

    def _spelled(self, text: str) -> str:
        """Return ``text`` as the encoding will show it, before a table measures it."""
        try:
            return text.encode(self.encoding, PLAIN).decode(self.encoding)
        except LookupError:  # not one of Python's codecs
            return text

    def status(self, status: RenderableType, **options: Any) -> Status:
        """See :meth:`rich.console.Console.status`; the spinner uses only characters that the encoding has."""
        plain = not self.encoding.startswith("utf")
        return super().status(status, **{"spinner": "line" if plain else "dots", **options})

    def on_broken_pipe(self) -> None:
        """Report the broken pipe, instead of ending the process silently."""
        raise OutputError(CLOSED) from None


CLOSED = "Standard output was closed before everything was written: give the command's whole output a reader."


LEAST_COLUMNS = 20
"""The minimum width: a narrower terminal shows nothing of a table. A reported width of 0 means unknown."""


def prepare_streams() -> None:
    """Let standard output and standard error escape what their encoding lacks, and ignore a width too small to read."""
    _drop_odd_width()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=PLAIN)


def _drop_odd_width() -> None:
    columns = os.environ.get("COLUMNS")
    usable = columns is not None and re.fullmatch(r"[0-9]{1,5}", columns) and int(columns) >= LEAST_COLUMNS
    if columns is not None and not usable:
        del os.environ["COLUMNS"]


def _spell(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    missing = error.object[error.start : error.end]
    return "".join(_SPELLINGS.get(character) or _escape(character) for character in missing), error.end


codecs.register_error(PLAIN, _spell)


def _spelled(found: re.Match[str]) -> str:
    return _escape(found[0])


def _escape(character: str) -> str:
    return character.encode("ascii", "backslashreplace").decode() if ord(character) > 0x7F else repr(character)[1:-1]
