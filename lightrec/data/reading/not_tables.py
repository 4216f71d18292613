"""Recognition of texts without a readable table, such as database dumps, server logs and YAML, for error messages."""

from __future__ import annotations

import re

from lightrec.errors import DataError

LINES = 60
"""Number of lines examined."""

BY_ANY_LINE: tuple[tuple[str, str], ...] = (
    (
        r"(?i)\s*(insert\s+into\s+\S+.*(\bvalues\b|\()|create\s+table\s|copy\s.+\sfrom\s+stdin).*",
        r"is an SQL dump: export the table as CSV (psql: \copy TABLE TO 'log.csv' CSV HEADER; mysql: SELECT with "
        "--batch; sqlite3: -header -csv)",
    ),
    (
        r"\s*\+?-{3,}(\+-{3,})+\+?\s*",
        "is a table as a database prints it: let it write CSV (psql --csv, mysql --batch, sqlite3 -header -csv)",
    ),
    (r"\s*\|?\s*:?-{3,}:?\s*(\|\s*:?-{3,}:?\s*)+\|?\s*", "is a Markdown table: save it as CSV"),
)
"""Patterns that identify a text by any of its first lines, and its description."""

BY_FIRST_LINES: tuple[tuple[str, str], ...] = (
    (
        r'\S+ \S+ .*?\[\d{1,2}/[A-Za-z]{3}/\d{4}:[^\]]*\] "',
        "is the log of a web server: write the user, the item and the time of each request as CSV",
    ),
    (
        r"(<\d+>)?[A-Z][a-z]{2} +\d{1,2} \d{2}:\d{2}:\d{2} \S+ [^,\t]*:",
        "is a system log: write the user, the item and the time of each event as CSV",
    ),
    (
        r"[\w.]+=(\"[^\"]*\"|[^\s,;\t]*)\s+[\w.]+=",
        "holds pairs such as user=7: write each line as a JSON object or as CSV",
    ),
    (r"(---\s*$|-\s+[\w\"' ]+:\s)", "is YAML: convert it to JSON or CSV"),
    (r"@relation\s", "is an ARFF file: save it as CSV"),
    (r"\{\\rtf", "is a document of a word processor: save the table as CSV"),
    (r"\[\[?[A-Za-z][\w.\-]*\]\]?\s*$", "is TOML or an INI file: convert it to JSON or CSV"),
    (r"\s*<[A-Za-z][^<>]*>", "is XML or HTML: convert it to JSON or CSV"),
    (
        r"[+-]?\d+(\.\d+)?( \d+:[+-]?[\d.]+)+\s*$",
        "is in the format of LIBSVM, which names no users and items: write one event a line, as CSV",
    ),
    (
        r"\d+:\s*$",
        "has the item on a line of its own above its ratings, as the Netflix Prize does: put it into each line with  "
        'awk \'/:/{sub(/:.*/,"");m=$0;next}{print m","$0}\'  and name the columns with --columns '
        "item,user,rating,time",
    ),
)
"""Patterns that identify a text by its first line that is not a comment, and its description."""


def refuse_other_text(head: str, file: str) -> None:
    """Raise :class:`DataError` if the first lines of a text show that it is none of the readable formats."""
    lines = [line for line in head.split("\n", LINES)[:LINES] if line.strip()]
    first = next((line for line in lines if not line.startswith("#")), "")
    reason = next((what for form, what in BY_FIRST_LINES if re.match(form, first)), None)
    telling = ((what, re.compile(form)) for form, what in BY_ANY_LINE)
    reason = next((what for what, form in telling if any(map(form.fullmatch, lines))), reason)
    if reason is not None:
        raise DataError(f"{file} {reason}.")
