"""The manifest of a bundle: what the bundle is, and the SHA-256 of every other file.

Anybody may have written one, so every value is checked before it is used.
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
"""A reader accepts its own major version alone, and any minor version of it: these add keys or files."""

MANIFEST = "manifest.json"
ITEMS = "items.json.gz"
POPULARITY = "popularity.npy"
GOLDEN = "golden.json"
TITLES = "titles.json.gz"
PACKED_ITEMS = id_files("items")
PACKED_TITLES = string_files("titles")
"""In place of :data:`ITEMS` and :data:`TITLES`, where the catalogue is large."""
LARGE_CATALOGUE = 200_000
"""From so many items on a catalogue is packed; a smaller one is quickly read, and lightrec.js reads it as well."""
TITLE_FILES = (TITLES, *PACKED_TITLES)
TEXT_PROJECTION = "text_projection.safetensors"
PRECISION_REPORT = "precision.json"
PARTS = ("step", "score", "candidates")
"""Graphs beside the inference graph: one step of a history, scoring apart from it, the scores of some items."""
OPTIONAL_FILES = (*TITLE_FILES, TEXT_PROJECTION, PRECISION_REPORT, *(f"{part}.onnx" for part in PARTS))
"""No device needs them to recommend: they may be deleted from a deployed bundle."""
OPTIONAL_KEYS = ("history_lengths", "item_events", "text_projection", "additions", "removals")
"""Keys that a manifest may lack."""
MAX_CONTENT_BYTES = 2**28
"""No file inflates to more bytes in a browser."""
SMALL_FILES = (ITEMS, POPULARITY, GOLDEN, TITLES)
"""Everything but the model and what is mapped: checked each time a bundle is loaded."""
MAX_COUNT = 2**31 - 1
"""Item indices are 32-bit integers in some files, and no other size of a model is larger."""
MAX_SIZE = 2**20
"""No student reads more items of a history, or is wider."""
MAX_WORD_CHARACTERS = 1000
"""Characters of a name or version in a manifest."""


@dataclasses.dataclass(frozen=True)
class FileRecord:
    """What the manifest says of one file."""

    sha256: str
    """SHA-256 of the bytes, lower-case hex."""
    bytes: int
    """Size."""
    content_sha256: str | None = None
    """Of a .gz file, SHA-256 of what it holds: many web servers have the browser inflate such files on their way."""
    content_bytes: int | None = None
    """Size of that."""


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
    """The file of each of :data:`PARTS` that stands beside the model; none, or all three."""


@dataclasses.dataclass(frozen=True)
class Manifest:
    """The content of manifest.json."""

    model_type: str
    """Kind of student, as in its configuration: "lightrec-sasrec"."""
    n_items: int
    """Size of the catalogue, N."""
    max_length: int
    """Most items of a history that the graph reads, L."""
    k_limit: int
    """The bundle is checked for rankings of up to so many items; evaluation asks for no more."""
    hidden_size: int
    """Width of the student, d."""
    models: tuple[ModelRecord, ...]
    """At least one. The first that fits a request is used, ONNX Runtime going before other runtimes."""
    lightrec_version: str
    """The version that wrote the bundle."""
    created: str
    """When, ISO 8601 in UTC."""
    gate: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """How the exported graph compared with the original before the bundle was written."""
    training: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Where the student comes from: data set and checksum, configuration, seed, teachers."""
    history_lengths: Mapping[str, Any] | None = None
    """Distribution of the lengths of real histories, for benchmarks; None if it was left out."""
    item_events: Mapping[str, int] | None = None
    """How popular items are, for benchmarks: see :func:`summarise_events`; None if it was left out."""
    text_projection: Mapping[str, Any] | None = None
    """Whose texts :data:`TEXT_PROJECTION` reads and how it was fitted; None if the bundle has none."""
    additions: tuple[Mapping[str, Any], ...] = ()
    """One entry for each time that items were added without retraining: how many, when, from what."""
    removals: tuple[Mapping[str, Any], ...] = ()
    """One entry for each time that items were removed: how many, when."""
    files: Mapping[str, FileRecord] = dataclasses.field(default_factory=dict)
    """Every file but the manifest, by name; :func:`write_manifest` fills it in."""
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
        return record  # whoever reads the file says so
    if size > MAX_CONTENT_BYTES:
        return record
    return dataclasses.replace(record, content_sha256=digest.hexdigest(), content_bytes=size)


def _manifest(values: dict[str, Any]) -> Manifest:
    """The manifest of values that have been checked."""
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
    """What is wrong with a manifest whose keys are all there; each check may rely on those before it."""
    for name, (is_right, meaning) in TYPES.items():
        if name in values and not is_right(values[name]):
            yield f"is wrong in {name} (it must be {meaning})"
    for number, model in enumerate(values["models"]):
        yield from (f"has malformed models: number {number} {problem}" for problem in _model_problems(model))
    for name, record in values["files"].items():
        # A manifest from elsewhere must not reach outside its own folder.
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
    """The files without which the bundle cannot be used, and the parts of its models."""
    files, models = values["files"], values["models"]
    items = PACKED_ITEMS if PACKED_ITEMS[0] in files else (ITEMS,)
    of_models = {name for model in models for name in (*model["files"], *model.get("parts", {}).values())}
    return {*items, POPULARITY, GOLDEN} | of_models


def _is_plain(name: str) -> bool:
    """Whether a name is that of a file in the folder itself, on every system, and not the manifest's."""
    # A colon names a drive or a second stream of a file on Windows.
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
    """Whether what is read of the origin is there in its form; everything else is only shown."""
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
"""Bytes; the largest whole number that JSON's readers agree on."""
MAX_FILES = 1000
"""Files of a model, and models of a bundle."""
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
"""What each key must be; ``item_events`` is checked by the benchmarks, which alone read it."""
