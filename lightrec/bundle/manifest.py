"""The manifest of a bundle: what the bundle is, and the SHA-256 of every other file.

A manifest is untrusted, so every value is checked before it is used.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lightrec.bundle.packed import id_files, string_files
from lightrec.errors import BundleError, BundleVersionError
from lightrec.files.atomic import restore, sha256_file, write_json
from lightrec.files.untrusted import is_count, parse_json, read_bytes, require_shallow

FORMAT_VERSION = "2.3"
"""A reader accepts only its own major version, but any minor version of it: these only add keys or files."""

MANIFEST = "manifest.json"
ITEMS = "items.json.gz"
POPULARITY = "popularity.npy"
GOLDEN = "golden.json"
TITLES = "titles.json.gz"
PACKED_ITEMS = id_files("items")
PACKED_TITLES = string_files("titles")
"""The files that replace :data:`ITEMS` and :data:`TITLES` in a large catalogue."""
LARGE_CATALOGUE = 200_000
"""The least number of items for a packed catalogue; a smaller one is read quickly, and lightrec.js can read it too."""
TITLE_FILES = (TITLES, *PACKED_TITLES)
TEXT_PROJECTION = "text_projection.safetensors"
PRECISION_REPORT = "precision.json"
PARTS = ("step", "score", "candidates")
"""Graphs in addition to the inference graph: one step of a history, scoring from a state, scores of some items."""
OPTIONAL_FILES = (*TITLE_FILES, TEXT_PROJECTION, PRECISION_REPORT, *(f"{part}.onnx" for part in PARTS))
"""Files that no device needs to recommend; they may be deleted from a deployed bundle."""
OPTIONAL_KEYS = ("history_lengths", "item_events", "text_projection", "additions", "removals")
"""Keys that a manifest may lack."""
MAX_CONTENT_BYTES = 2**28
"""The most bytes to which a browser decompresses a file."""
SMALL_FILES = (ITEMS, POPULARITY, GOLDEN, TITLES)
"""The files that are checked at every load: all but the model and the memory-mapped files."""
MAX_COUNT = 2**31 - 1
"""The largest count: item indices are 32-bit integers in some files, and no other size of a model is larger."""
MAX_SIZE = 2**20
"""The maximum length of a history that a student reads, and its maximum width."""
MAX_WORD_CHARACTERS = 1000
"""The most characters of a name or version in a manifest."""


@dataclasses.dataclass(frozen=True)
class FileRecord:
    """The manifest's entry for one file."""

    sha256: str
    """SHA-256 of the bytes, lower-case hex."""
    bytes: int
    """Size in bytes."""
    content_sha256: str | None = None
    """SHA-256 of a .gz file's decompressed content: with many web servers the browser receives only that."""
    content_bytes: int | None = None
    """Size in bytes of the decompressed content."""


@dataclasses.dataclass(frozen=True)
class ModelRecord:
    """One model of the bundle: the same graph for one runtime, in one precision."""

    backend: str
    """The runtime that reads it: "onnxruntime" or "openvino"."""
    precision: str
    """"fp32", "fp16", "int8", "int8-static" or "int4"."""
    files: tuple[str, ...]
    """Its files; the first is the one the runtime opens."""
    opset: int | None = None
    """ONNX opset; None for other formats."""
    parts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """The file of each of :data:`PARTS` that belongs to the model; none, or all three."""


@dataclasses.dataclass(frozen=True)
class Manifest:
    """The content of manifest.json."""

    model_type: str
    """Kind of student, as in its configuration: "lightrec-sasrec"."""
    n_items: int
    """Size of the catalogue, N."""
    max_length: int
    """The maximum number of items of a history that the graph reads, L."""
    k_limit: int
    """The largest ``k`` for which the bundle is checked; evaluation requests no more."""
    hidden_size: int
    """Width of the student, d."""
    models: tuple[ModelRecord, ...]
    """The models, at least one. The first match is used; ONNX Runtime is preferred to other runtimes."""
    lightrec_version: str
    """The version of lightrec that wrote the bundle."""
    created: str
    """When the bundle was written, ISO 8601 in UTC."""
    gate: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """How the exported graph compared with the original before the bundle was written."""
    training: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """How the student was trained: data set and checksum, configuration, seed, teachers."""
    history_lengths: Mapping[str, Any] | None = None
    """Distribution of the lengths of real histories, for benchmarks; None if it was left out."""
    item_events: Mapping[str, int] | None = None
    """How popular items are, for benchmarks: see :func:`summarise_events`; None if it was left out."""
    text_projection: Mapping[str, Any] | None = None
    """The language model whose text vectors :data:`TEXT_PROJECTION` reads, and its fit; None if the bundle has none."""
    additions: tuple[Mapping[str, Any], ...] = ()
    """One entry for each addition of items without retraining: how many, when, from what source."""
    removals: tuple[Mapping[str, Any], ...] = ()
    """One entry for each removal of items: how many, when."""
    files: Mapping[str, FileRecord] = dataclasses.field(default_factory=dict)
    """The entry of every file but the manifest, by name; :func:`write_manifest` fills it in."""
    format_version: str = FORMAT_VERSION
    """Version of the format, "major.minor"."""


def read_manifest(path: str | Path) -> Manifest:
    """Read the manifest of the bundle at ``path``; keys that this version does not know are ignored.

    Raises:
        BundleVersionError: if it has another major version of the format.
        BundleError: if ``path`` is not a bundle, or the manifest is malformed.
    """
    restore(Path(path))
    file = Path(path) / MANIFEST
    if not file.is_file():
        raise BundleError(f"{path} is not a bundle (it holds no {MANIFEST}): make one with  lightrec export RUN")
    values = parse_json(read_bytes(file), file)
    version = values.get("format_version") if isinstance(values, dict) else None
    if not isinstance(version, str) or not VERSION.fullmatch(version):
        raise BundleError(f"{file} states no format_version such as {FORMAT_VERSION!r}: export again.")
    major, own_major = version.split(".")[0], FORMAT_VERSION.split(".")[0]
    if int(major) != int(own_major):
        remedy = "upgrade lightrec" if int(major) > int(own_major) else "export again"
        raise BundleVersionError(
            f"{path} has format version {version}, and this lightrec reads version {own_major}: {remedy}."
        )
    require_shallow(values, file)
    fields = [field.name for field in dataclasses.fields(Manifest)]
    missing = [name for name in fields if name not in values and name not in OPTIONAL_KEYS]
    if missing:
        raise BundleError(f"{file} lacks {', '.join(missing)}: export again.")
    problem = next(_problems(values), None)
    if problem:
        raise BundleError(f"{file} {problem}: export again.")
    return _manifest({name: values[name] for name in fields if name in values})


def write_manifest(path: str | Path, manifest: Manifest) -> Manifest:
    """Write manifest.json with the SHA-256 of every file now in the folder; return it as written."""
    names = sorted(file.name for file in Path(path).iterdir() if file.is_file() and file.name != MANIFEST)
    manifest = dataclasses.replace(manifest, files={name: _record(Path(path) / name) for name in names})
    values = dataclasses.asdict(manifest)
    for record in values["files"].values():
        for key in ("content_sha256", "content_bytes"):
            if record[key] is None:
                del record[key]
    write_json(Path(path) / MANIFEST, {"format_version": manifest.format_version, **values})
    return manifest


def _record(file: Path) -> FileRecord:
    record = FileRecord(sha256_file(file), file.stat().st_size)
    if file.suffix != ".gz":
        return record
    digest, size = hashlib.sha256(), 0
    try:
        with gzip.open(file) as content:
            while (block := content.read(1 << 20)) and size <= MAX_CONTENT_BYTES:
                digest.update(block)
                size += len(block)
    except (OSError, EOFError, zlib.error):
        return record  # the file's reader will raise the error
    if size > MAX_CONTENT_BYTES:
        return record
    return dataclasses.replace(record, content_sha256=digest.hexdigest(), content_bytes=size)


def _manifest(values: dict[str, Any]) -> Manifest:
    """Return the manifest with these values, which have been checked."""
    values["models"] = tuple(_model(model) for model in values["models"])
    values |= {name: tuple(values.get(name, ())) for name in ("additions", "removals")}
    values["files"] = {
        name: FileRecord(f["sha256"], f["bytes"], f.get("content_sha256"), f.get("content_bytes"))
        for name, f in values["files"].items()
    }
    return Manifest(**values)


def _model(values: Mapping[str, Any]) -> ModelRecord:
    parts = {name: file for name, file in values.get("parts", {}).items() if name in PARTS}
    return ModelRecord(values["backend"], values["precision"], tuple(values["files"]), values.get("opset"), parts)


def _problems(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a manifest that has all keys; each check may rely on the ones before."""
    for name, (is_right, meaning) in TYPES.items():
        if name in values and not is_right(values[name]):
            yield f"is wrong in {name} (it must be {meaning})"
    for number, model in enumerate(values["models"]):
        yield from (f"has malformed models: number {number} {problem}" for problem in _model_problems(model))
    for name, record in values["files"].items():
        # An untrusted manifest must not reach outside its folder.
        if not _is_plain(name):
            yield f"names files outside the bundle ({name!r})"
        if not _is_record(record):
            yield f"records no SHA-256 and size of {name}"
    unrecorded = sorted(_needed(values) - set(values["files"]))
    if unrecorded:
        yield f"records no SHA-256 of {', '.join(unrecorded)}"


def _model_problems(model: Any) -> Iterator[str]:
    if not isinstance(model, dict):
        yield "is not an object"
    for name in ("backend", "precision"):
        if not _is_word(model.get(name)):
            yield f"has no {name}"
    files, parts, opset = model.get("files"), model.get("parts", {}), model.get("opset")
    if not isinstance(files, list) or not files or len(files) > MAX_FILES or not all(map(_is_word, files)):
        yield "names no files"
    if opset is not None and not is_count(opset, 1, 1000):
        yield "has an opset that is not a version"
    if not isinstance(parts, dict) or not all(map(_is_word, parts.values())):
        yield "has parts that are not names of files"
    elif len(set(PARTS) & set(parts)) not in (0, len(PARTS)):
        yield f"has some of the parts {', '.join(PARTS)}, which come together or not at all"


def _needed(values: Mapping[str, Any]) -> set[str]:
    """Return the files without which the bundle cannot be used, and the parts of its models."""
    files, models = values["files"], values["models"]
    items = PACKED_ITEMS if PACKED_ITEMS[0] in files else (ITEMS,)
    of_models = {name for model in models for name in (*model["files"], *model.get("parts", {}).values())}
    return {*items, POPULARITY, GOLDEN} | of_models


def _is_plain(name: str) -> bool:
    """Return whether a name is, on every system, that of a file directly in the folder, other than the manifest."""
    # On Windows, a colon names a drive or an alternate stream of a file.
    plain = name.isprintable() and not set(name) & set("/\\:") and not name.endswith((" ", "."))
    return plain and name not in ("", MANIFEST) and len(name.encode()) <= 255


def _is_record(record: Any) -> bool:
    if not isinstance(record, dict) or not is_count(record.get("bytes"), 0, MAX_FILE_BYTES):
        return False
    digests = (record.get("sha256"), record.get("content_sha256") or "0" * 64)
    sized = record.get("content_bytes") is None or is_count(record["content_bytes"], 0, MAX_FILE_BYTES)
    return sized and all(isinstance(digest, str) and SHA256.fullmatch(digest) for digest in digests)


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_WORD_CHARACTERS and value.isprintable()


def _is_number_of_items(value: Any) -> bool:
    return is_count(value, 1, MAX_COUNT)


def _is_size(value: Any) -> bool:
    return is_count(value, 1, MAX_SIZE)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_object_or_null(value: Any) -> bool:
    return value is None or isinstance(value, dict)


def _is_training(value: Any) -> bool:
    """Return whether the values of ``training`` that are read have the right types; all others are only shown."""
    if not isinstance(value, dict) or not all(isinstance(value.get(name, {}), dict) for name in ("dataset", "config")):
        return False
    split, checksum = value.get("split"), value.get("dataset", {}).get("checksum")
    named = split is None or (isinstance(split, dict) and isinstance(split.get("name"), str))
    return named and (checksum is None or isinstance(checksum, str))


def _is_entries(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)


VERSION = re.compile(r"[0-9]{1,4}\.[0-9]{1,4}")
SHA256 = re.compile(r"[0-9a-f]{64}")
MAX_FILE_BYTES = 2**53
"""The maximum size of a file: the largest whole number that all JSON readers represent exactly."""
MAX_FILES = 1000
"""The most files of a model, and the most models of a bundle."""
NUMBER = (_is_number_of_items, f"a whole number from 1 to {MAX_COUNT}")
SIZE = (_is_size, f"a whole number from 1 to {MAX_SIZE}")
WORD = (_is_word, f"a line of text of 1 to {MAX_WORD_CHARACTERS} characters")
TYPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "model_type": WORD,
    "lightrec_version": WORD,
    "created": WORD,
    **dict.fromkeys(("n_items", "k_limit"), NUMBER),
    **dict.fromkeys(("max_length", "hidden_size"), SIZE),
    "models": (lambda value: isinstance(value, list) and 0 < len(value) <= MAX_FILES, "a list of models"),
    **dict.fromkeys(("gate", "files"), (_is_object, "an object")),
    "training": (_is_training, "an object, with a dataset, a config and a split that are objects, where they are told"),
    **dict.fromkeys(("history_lengths", "text_projection"), (_is_object_or_null, "an object or null")),
    **dict.fromkeys(("additions", "removals"), (_is_entries, "a list of objects")),
}
"""The check of each key and its description; only the benchmarks read and check ``item_events``."""
