"""Reader of JSON: one object per line, an array of objects, lists by user, or one Python dictionary per line.

polars reads JSON lines. Other forms are first rewritten as JSON lines, one element after the other. Values
become text exactly as written; lists stay lists, and the fields of an object are columns such as ``user.id`` too.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lightrec.data.columns.usual_names import listed
from lightrec.data.reading.content import Content
from lightrec.data.reading.json_records import Record, find_records
from lightrec.data.reading.options import Part, ReadOptions
from lightrec.data.reading.polars_import import pl
from lightrec.data.reading.polars_panics import PANIC
from lightrec.data.shapes.nested import with_fields
from lightrec.errors import DataError

LONGEST_LITERAL = 1 << 20
"""Most characters of a line that is parsed as a Python literal; a longer one is refused."""
MOST_COLUMNS = 2_000


def read_json(content: Content, options: ReadOptions, new_file: Callable[[], Path]) -> Part:
    """Open a file of JSON and find its columns; its rows are read later.

    Raises:
        DataError: naming the line or element that is not valid, or what the file holds instead of objects.
    """
    path, note = _as_lines(content, new_file)
    if any(character in str(path) for character in "*?["):  # polars takes them as wildcards
        path = Path(shutil.copyfile(path, new_file()))
    names, frame = _scan(content.file, path, lists=options.is_log)
    frame, names, nested = with_fields(frame, names, options)
    notes = [*content.notes, *([note] if note else []), *nested]
    return Part(content.file, frame, names, tuple(notes))


def looks_like_json(head: str) -> bool:
    """Return whether a text starts like JSON or a Python dictionary: a bracket and a valid next character."""
    return re.match(r"""\s*(\{\s*(u?["'}]|$)|\[\s*([\[{"\]0-9-]|true|false|null|$))""", head) is not None


def _as_lines(content: Content, new_file: Callable[[], Path]) -> tuple[Path, str | None]:
    """Return the file, or a copy, with one object per line, and a note on the conversion."""
    first, alone = _first_line(content.path)
    if first.startswith("["):
        return _copy(content, new_file, _array(content)), "is an array, each element of which was read as a row"
    whole = _object(first)
    if whole is not None:
        return _single(content, new_file, whole) if alone else (content.path, None)
    if _literal(first) is not None:
        return _copy(content, new_file, _literals(content)), "holds Python dictionaries, one a line"
    if first == "{" or _starts_with_object(content.head):
        return _spread(content, new_file)
    return content.path, None  # JSON lines whose first one is broken: reading them names it


def _first_line(path: Path) -> tuple[str, bool]:
    """Return the first line that is not blank, and whether it is the only one."""
    with path.open(encoding="utf-8", newline="\n") as lines:
        first = next(line for line in lines if line.strip()).strip()
        return first, not any(line.strip() for line in lines)


def _single(content: Content, new_file: Callable[[], Path], whole: Record) -> tuple[Path, str | None]:
    """Convert a file of one line with one object: a row, or lists by user."""
    records, note = find_records(whole, content.file)
    return (content.path, None) if records is None else (_copy(content, new_file, map(_dump, records)), note)


def _spread(content: Content, new_file: Callable[[], Path]) -> tuple[Path, str | None]:
    """Convert objects that span several lines; a single object may hold lists by user."""
    objects = list(_objects(content, content.path.read_text(encoding="utf-8"), 0, array=False))
    if len(objects) == 1:
        records, note = find_records(json.loads(objects[0]), content.file)
        if records is not None:
            return _copy(content, new_file, map(_dump, records)), note
    return _copy(content, new_file, iter(objects)), "holds objects that are not written one a line"


def _array(content: Content) -> Iterator[str]:
    text = content.path.read_text(encoding="utf-8")
    return _objects(content, text, text.index("[") + 1, array=True)


def _objects(content: Content, text: str, place: int, array: bool) -> Iterator[str]:
    """Yield the objects of an array, or consecutive objects, each on one line exactly as written."""
    decoder = json.JSONDecoder(parse_constant=_refuse)
    number, place = 0, _skip(text, place)
    while place < len(text) and not (array and text[place] == "]"):
        number += 1
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            raise _broken(content, text, place, number) from None
        if not isinstance(value, dict):
            raise DataError(
                f"{content.file} cannot be read as JSON: element {number:,} is not an object in braces, as in "
                '{"user": ..., "item": ..., "time": ...}.'
            )
        yield " ".join(text[place:end].splitlines())
        place = _skip(text, end)
        if text[place : place + 1] == ",":
            place = _skip(text, place + 1)
        elif array and place < len(text) and text[place] != "]":
            raise _broken(content, text, place, number)
    if array and (place >= len(text) or _skip(text, place + 1) < len(text)):
        what = "the array is not closed" if place >= len(text) else "something follows the array"
        raise DataError(f"{content.file} cannot be read as JSON: {what} (after element {number:,}).")


def _broken(content: Content, text: str, place: int, number: int) -> DataError:
    line = text.count("\n", 0, place) + 1
    return DataError(f"{content.file} cannot be read as JSON: element {number:,} (line {line:,}) is not valid JSON.")


def _skip(text: str, place: int) -> int:
    """Return the next position that is not white space."""
    while place < len(text) and text[place] in " \t\r\n":
        place += 1
    return place


def _literals(content: Content) -> Iterator[str]:
    with content.path.open(encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                value = _object(line) if line.startswith('{"') else None
                value = _literal(line.strip()) if value is None else value
                if value is None:
                    raise DataError(
                        f"{content.file} cannot be read as lines of Python dictionaries: line {number:,} is none of "
                        f"text, numbers, lists and dictionaries within {LONGEST_LITERAL:,} characters."
                    )
                yield _dump(value)


def _literal(line: str) -> Record | None:
    """Parse a dictionary in Python notation; the parser runs no code, and its input is bounded."""
    if len(line) > LONGEST_LITERAL or not line.startswith("{"):
        return None
    try:
        value = ast.literal_eval(line)
        return value if isinstance(value, dict) and _dump(value) else None
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _object(line: str) -> Record | None:
    try:
        value = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _starts_with_object(text: str) -> bool:
    try:
        json.JSONDecoder(parse_constant=_refuse).raw_decode(text.lstrip())
    except (ValueError, RecursionError):
        return False
    return True


def _dump(value: Record) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _copy(content: Content, new_file: Callable[[], Path], lines: Iterator[str]) -> Path:
    copy, written = new_file(), 0
    with copy.open("w", encoding="utf-8", errors="surrogatepass", newline="\n") as target:
        for line in lines:
            written += target.write(line + "\n")
    if not written:
        raise DataError(f"{content.file} is empty: it has no rows.")
    return copy


def _scan(file: str, path: Path, lists: bool) -> tuple[list[str], pl.LazyFrame]:
    """Return all keys and the rows; values become text, also within objects, and within lists if those remain."""
    try:
        schema = pl.scan_ndjson(path, infer_schema_length=None).collect_schema()
        kinds = {name: _as_text(kind, lists) for name, kind in schema.items()}
        nested = [name for name, kind in kinds.items() if kind != pl.String]
        if nested:  # values of one key may be of several kinds, which shows when they are read
            pl.scan_ndjson(path, schema=kinds).select(pl.col(nested).null_count()).collect()
    except (pl.exceptions.PolarsError, PANIC) as error:
        kinds = dict.fromkeys(_keys(file, path, error), pl.String())
    if len(kinds) > MOST_COLUMNS:
        raise DataError(
            f"{file} has {len(kinds):,} different keys (such as {listed(list(kinds)[:3])}): its keys look like ids, "
            'so write one object an event, as in {"user": ..., "item": ..., "time": ...}.'
        )
    return list(kinds), pl.scan_ndjson(path, schema=kinds)


def _as_text(kind: Any, lists: bool) -> Any:
    """Return the type with every number and truth value as text, and lists too unless those remain."""
    if isinstance(kind, pl.List) and lists:
        return pl.List(_as_text(kind.inner, lists))
    if isinstance(kind, pl.Struct) and kind.fields:
        return pl.Struct({field.name: _as_text(field.dtype, lists) for field in kind.fields})
    return pl.String()


def _keys(file: str, path: Path, error: BaseException) -> list[str]:
    """Return all keys by first appearance; refuse lines that are not objects."""
    keys: dict[str, None] = {}
    with path.open(encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                value = _parsed(line)
                if not isinstance(value, dict):
                    what = "not an object in braces" if value is not None else _why_invalid(line)
                    raise DataError(f"{file} cannot be read as JSON lines: line {number:,} is {what}.")
                keys |= dict.fromkeys(value)
    if not keys:
        raise DataError(f"{file} is empty: its objects have no keys.")
    return list(keys)


def _why_invalid(line: str) -> str:
    if line.startswith("\ufeff"):
        return "not valid JSON: it starts with a byte order mark, as files that were joined do, so remove it there"
    constant = next((one for one in ("NaN", "Infinity") if one in line), None)
    return "not valid JSON" + (f" (write null in place of {constant})" if constant else "")


def _parsed(line: str) -> Any:
    try:
        return json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def _refuse(constant: str) -> None:
    """Refuse NaN and Infinity, which Python's reader accepts but which are not JSON."""
    raise ValueError(constant)
