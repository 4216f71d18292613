"""A bundle: the folder that holds an exported student with all it needs to recommend.

docs/format.md describes the format for other languages. A bundle carries no real user's history.

    manifest.json     what the bundle is, and the SHA-256 of every other file
    model.onnx        and/or model.xml with model.bin: the inference graph
    items.json.gz     list of item ids (strings), by index
    popularity.npy    int32 [N], item indices, most popular first
    golden.json       synthetic histories with the answers that every runtime must give
    titles.json.gz    list of strings or null, by index; may be left out, also when deploying
    text_projection.safetensors    from texts to item vectors, for new items; likewise
    precision.json    what --precision auto chose from, and why; likewise
    step.onnx, score.onnx, candidates.onnx    for sessions and for few candidates; likewise

Large catalogues have ids and titles in files that are mapped instead: :mod:`lightrec.packed`.
"""

from __future__ import annotations

import dataclasses
import functools
import gzip
import hashlib
import json
import shutil
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightrec.errors import BundleError, BundleIntegrityError, BundleVersionError, DataError
from lightrec.files import new_folder, sha256_file, write_json
from lightrec.packed import (
    PackedIds,
    id_files,
    is_order,
    read_array,
    read_ids,
    read_strings,
    string_files,
    write_ids,
    write_strings,
)

FORMAT_VERSION = "2.3"
"""Major: a reader of an older major version cannot read it. Minor: keys or files were added."""

MANIFEST = "manifest.json"
ITEMS = "items.json.gz"
OLD_ITEMS = "items.json"
"""What :data:`ITEMS` was until version 1.2, not compressed; still read."""
POPULARITY = "popularity.npy"
GOLDEN = "golden.json"
TITLES = "titles.json.gz"
OLD_TITLES = "titles.json"
"""What :data:`TITLES` was until version 1.2, likewise."""
PACKED_ITEMS = id_files("items")
PACKED_TITLES = string_files("titles")
"""In place of :data:`ITEMS` and :data:`TITLES`, where the catalogue is large."""
LARGE_CATALOGUE = 200_000
"""From so many items on a catalogue is packed; a smaller one is quickly read, and lightrec.js reads it as well."""
TITLE_FILES = (TITLES, OLD_TITLES, *PACKED_TITLES)
TEXT_PROJECTION = "text_projection.safetensors"
PRECISION_REPORT = "precision.json"
PARTS = ("step", "score", "candidates")
"""Graphs beside the inference graph: one step of a history, scoring apart from it, the scores of some items."""
OPTIONAL_FILES = (*TITLE_FILES, TEXT_PROJECTION, PRECISION_REPORT, *(f"{part}.onnx" for part in PARTS))
"""No device needs them to recommend: they may be deleted from a deployed bundle."""
LATER_KEYS = ("history_lengths", "item_events", "text_projection", "additions", "removals")
"""Keys that a manifest may lack: they are optional, or came with a later minor version."""
MOST_CONTENT = 2**28
"""No file inflates to more bytes in a browser."""
SMALL_FILES = (ITEMS, OLD_ITEMS, POPULARITY, GOLDEN, TITLES, OLD_TITLES)
"""Everything but the model and what is mapped: checked each time a bundle is loaded."""


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


class Catalogue:
    """The items of a bundle."""

    def __init__(
        self,
        item_ids: Sequence[str],
        popularity: np.ndarray,
        titles: Sequence[str | None] | Callable[[], Sequence[str | None]] | None = None,
    ):
        self.item_ids = item_ids
        """The items' own ids, by index."""
        self.popularity = popularity
        """int32 ``[N]``: item indices, most popular first."""
        self._titles = titles

    @functools.cached_property
    def titles(self) -> Sequence[str | None] | None:
        """By index; None if the bundle holds no titles. They are read when they are first asked for."""
        return self._titles() if callable(self._titles) else self._titles

    @functools.cached_property
    def index(self) -> Mapping[str, int]:
        """The index of every id; a packed catalogue never makes it."""
        return {item: index for index, item in enumerate(self.item_ids)}

    def find(self, ids: Sequence[str]) -> list[int | None]:
        """The index of each id; None for those that are not in the catalogue."""
        return self.item_ids.find(ids) if isinstance(self.item_ids, PackedIds) else list(map(self.index.get, ids))


@dataclasses.dataclass(frozen=True)
class GoldenCase:
    """A synthetic history and the answer that every runtime must give."""

    history: list[int]
    """Item indices, oldest first, at most L."""
    exclude: list[int]
    """Further items that must not be returned."""
    k: int
    """How many items were asked for."""
    items: list[int]
    """The answer, best first."""
    scores: list[float]
    """Their scores."""


def read_manifest(path: str | Path) -> Manifest:
    """Read the manifest of the bundle at ``path``; keys that this version does not know are ignored.

    Raises:
        BundleVersionError: if a newer major version of the format wrote it.
        BundleError: if ``path`` is not a bundle, or the manifest is malformed.
    """
    file = Path(path) / MANIFEST
    if not file.is_file():
        raise BundleError(f"{path} is not a bundle (it holds no {MANIFEST}): make one with  lightrec export RUN")
    values = _read(file)
    try:
        version = str(values["format_version"])
        major = int(version.split(".")[0])
    except (KeyError, TypeError, ValueError):
        raise BundleError(f"{file} states no format_version such as {FORMAT_VERSION!r}: export again.") from None
    if major > int(FORMAT_VERSION.split(".")[0]):
        raise BundleVersionError(
            f"{path} has format version {version}, this lightrec reads up to {FORMAT_VERSION}: upgrade lightrec."
        )
    return _manifest(values, file)


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
            while (block := content.read(1 << 20)) and size <= MOST_CONTENT:
                digest.update(block)
                size += len(block)
    except (OSError, EOFError, zlib.error):
        return record  # whoever reads the file says so
    if size > MOST_CONTENT:
        return record
    return dataclasses.replace(record, content_sha256=digest.hexdigest(), content_bytes=size)


def write_catalogue(path: str | Path, catalogue: Catalogue, packed: bool | None = None) -> None:
    """Write ids, popularity and, where there are some, titles.

    Args:
        path: the bundle's folder.
        catalogue: N items.
        packed: whether in the form of large catalogues; if None, from :data:`LARGE_CATALOGUE` items on.

    Raises:
        DataError: if a packed catalogue holds an id twice.
    """
    path, ids, titles = Path(path), catalogue.item_ids, catalogue.titles
    np.save(path / POPULARITY, np.asarray(catalogue.popularity, dtype="<i4"), allow_pickle=False)
    if len(ids) >= LARGE_CATALOGUE if packed is None else packed:
        write_ids(path, "items", ids)
        if titles is not None:
            write_strings(path, "titles", titles)
        return
    _write_list(path / ITEMS, ids)
    if titles is not None:
        _write_list(path / TITLES, titles)


def read_catalogue(path: str | Path, manifest: Manifest, thorough: bool = False) -> Catalogue:
    """Read what :func:`write_catalogue` wrote; sizes that do not fit the manifest are a :class:`BundleError`.

    Args:
        path: the bundle.
        manifest: its manifest.
        thorough: also look at all that the mapped files of a large catalogue hold.
    """
    path, n_items = Path(path), manifest.n_items
    packed = PACKED_ITEMS[0] in manifest.files
    popularity = read_array(path / POPULARITY, mapped=packed)
    ordered = popularity.dtype == np.int32 and popularity.shape == (n_items,)
    if not ordered or not ((packed and not thorough) or is_order(popularity)):
        raise BundleError(f"{path / POPULARITY} does not order the {n_items} items of the manifest: export again.")
    return (_packed_catalogue if packed else _listed_catalogue)(path, manifest, popularity, thorough)


def _packed_catalogue(path: Path, manifest: Manifest, popularity: np.ndarray, thorough: bool) -> Catalogue:
    ids, titles = read_ids(path, "items", manifest.n_items), None
    if all((path / name).exists() for name in PACKED_TITLES):
        titles = read_strings(path, "titles", manifest.n_items)
    for name, strings in {"items": ids, "titles": titles}.items():
        if thorough and strings is not None and (problem := strings.problem()):
            raise BundleError(f"The {name} of {path} have {problem}: export again.")
    return Catalogue(ids, popularity, titles)


def _listed_catalogue(path: Path, manifest: Manifest, popularity: np.ndarray, thorough: bool) -> Catalogue:
    items = path / (OLD_ITEMS if OLD_ITEMS in manifest.files else ITEMS)
    file = path / (OLD_TITLES if OLD_TITLES in manifest.files else TITLES)
    # The bytes now, the titles when they are asked for: by then another bundle may lie there.
    content = file.read_bytes() if file.exists() else None
    titles = None if content is None else functools.partial(_list, content, file, manifest.n_items)
    catalogue = Catalogue(_list(_content(items), items, manifest.n_items), popularity, titles)
    all_strings = all(isinstance(item, str) for item in catalogue.item_ids)
    if not all_strings or len(catalogue.index) != manifest.n_items:
        raise BundleError(f"{items} holds an id twice or one that is not a string: export again.")
    if thorough:
        _ = catalogue.titles
    return catalogue


def summarise_events(counts: np.ndarray) -> dict[str, int] | None:
    """The popularity of N items in a few numbers, for the manifest: how many events the most popular items share.

    Args:
        counts: ``[N]``, the training events of each item, in any order.

    Returns:
        The events of the r most popular items together, by r: 1, 2, 4 and so on, and how many items have any, which
        together have all. None without an event.

    >>> summarise_events(np.array([0, 5, 1, 3]))
    {'1': 5, '2': 8, '3': 9}
    """
    ordered = np.sort(counts)[::-1]
    chosen = int((ordered > 0).sum())
    if not chosen:
        return None
    together = np.cumsum(ordered)
    ranks = [*(2**power for power in range((chosen - 1).bit_length())), chosen]
    return {str(rank): round(float(together[rank - 1])) for rank in ranks}


def events_by_rank(manifest: Manifest) -> np.ndarray | None:
    """float64 ``[N]``: about how many training events each item has, the most popular first; the last may have none.

    Between two ranks that the manifest tells, items share their events evenly. None if it tells nothing.

    Raises:
        BundleError: if ``item_events`` is not what :func:`summarise_events` makes of N items.
    """
    if manifest.item_events is None:
        return None
    try:
        told = sorted((int(rank), int(together)) for rank, together in manifest.item_events.items())
        points = np.array([(0, 0), *told], dtype=np.float64)
    except (AttributeError, TypeError, ValueError, OverflowError):
        points = np.zeros((1, 2))
    ranks, together = points.T
    rising = len(points) > 1 and (np.diff(ranks) > 0).all() and (np.diff(together) >= 0).all() and together[-1] > 0
    if not rising or ranks[-1] > manifest.n_items:
        raise BundleError(
            f"The manifest's item_events do not tell how many events the most popular of {manifest.n_items} items "
            "share: export again."
        )
    return np.diff(np.interp(np.arange(manifest.n_items + 1), ranks, together))


def write_golden(path: str | Path, cases: Sequence[GoldenCase], tolerance: float) -> None:
    """Write golden.json; scores may differ from the recorded ones by ``tolerance``."""
    rows = [{"length": len(case.history), **dataclasses.asdict(case)} for case in cases]
    write_json(Path(path) / GOLDEN, {"tolerance": tolerance, "cases": rows})


def read_golden(path: str | Path) -> tuple[list[GoldenCase], float]:
    """The golden cases and the tolerance of their scores."""
    file, names = Path(path) / GOLDEN, [field.name for field in dataclasses.fields(GoldenCase)]
    golden = _read(file)
    try:
        cases = [GoldenCase(**{name: row[name] for name in names}) for row in golden["cases"]]
        return cases, float(golden["tolerance"])
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{file} is malformed ({error}): export again.") from None


def verify_hashes(path: str | Path, only: Iterable[str] | None = None) -> Manifest:
    """Compare the files of a bundle with the SHA-256 in its manifest; :data:`OPTIONAL_FILES` may be absent.

    Args:
        path: the bundle.
        only: names of the files to check; all of them if None.

    Raises:
        BundleIntegrityError: naming every file that is missing or differs.
    """
    manifest = read_manifest(path)
    chosen = set(manifest.files if only is None else only)
    wrong = []
    for name, record in manifest.files.items():
        file = Path(path) / name
        if name not in chosen or (name in OPTIONAL_FILES and not file.exists()):
            continue
        if not file.is_file():
            wrong.append(f"{name} is missing")
        elif file.stat().st_size != record.bytes or sha256_file(file) != record.sha256:
            wrong.append(f"{name} differs from its SHA-256")
    if wrong:
        raise BundleIntegrityError(f"The bundle {path} is damaged ({', '.join(wrong)}): copy or export it again.")
    return manifest


def copy_bundle(source: str | Path, target: str | Path) -> Manifest:
    """Copy a bundle, checking every hash on the way; ``target`` appears whole or not at all.

    Raises:
        BundleIntegrityError: if a file of ``source`` is missing or differs; nothing is left at ``target``.
        BundleError: if ``target`` exists and is not a bundle, or is ``source``.
    """
    source, target = Path(source), Path(target)
    if target.exists() and (not (target / MANIFEST).is_file() or target.samefile(source)):
        raise BundleError(f"{target} exists and is not another bundle: choose a new folder to copy {source} to.")
    manifest = read_manifest(source)
    with new_folder(target) as folder:
        for name in (MANIFEST, *manifest.files):
            if (source / name).is_file():
                shutil.copyfile(source / name, folder / name)
        try:
            verify_hashes(folder)
        except BundleIntegrityError:
            verify_hashes(source)
            raise
    return manifest


def retitle_bundle(source: str | Path, target: str | Path, titles: Mapping[str, str | None]) -> Manifest:
    """Write a copy of a bundle with other titles for some items; ``target`` appears whole or not at all.

    Args:
        source: a bundle.
        target: where to write; a bundle already there, ``source`` itself included, is replaced at the end.
        titles: the new title by item id, None for no title.

    Raises:
        BundleError: if ``source`` is damaged, or ``target`` is something else than a bundle.
        DataError: if an id is not in the bundle.
    """
    source, target = Path(source), Path(target)
    if target.exists() and not (target / MANIFEST).is_file():
        raise BundleError(f"{target} exists and is not a bundle: choose a new folder.")
    manifest = verify_hashes(source)
    catalogue = read_catalogue(source, manifest)
    places = dict(zip(titles, catalogue.find(list(titles)), strict=True))
    unknown = [item for item, place in places.items() if place is None]
    if unknown:
        raise DataError(f"{source} holds no item {unknown[0]!r} ({len(unknown)} such): leave out what is not there.")
    changed: list[str | None] = list(catalogue.titles or [None] * manifest.n_items)
    for item, place in places.items():
        changed[place] = titles[item]  # type: ignore[index]
    with new_folder(target) as folder:
        for name in manifest.files:
            if name not in (ITEMS, OLD_ITEMS, *PACKED_ITEMS, *TITLE_FILES) and (source / name).is_file():
                shutil.copyfile(source / name, folder / name)
        packed = PACKED_ITEMS[0] in manifest.files
        write_catalogue(folder, Catalogue(catalogue.item_ids, catalogue.popularity, changed), packed)
        manifest = write_manifest(folder, dataclasses.replace(manifest, format_version=FORMAT_VERSION))
    return manifest


def deployed_bytes(path: str | Path) -> int:
    """Size of all that a device needs: the manifest and every file but :data:`OPTIONAL_FILES`."""
    names = [name for name in read_manifest(path).files if name not in OPTIONAL_FILES]
    return sum((Path(path) / name).stat().st_size for name in (MANIFEST, *names))


def _read(file: Path) -> Any:
    return _parse(_content(file), file)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        raise _unreadable(file) from None


def _parse(content: bytes, file: Path) -> Any:
    try:
        return json.loads(gzip.decompress(content) if file.suffix == ".gz" else content)
    except (OSError, ValueError, EOFError, zlib.error):
        raise _unreadable(file) from None


def _unreadable(file: Path) -> BundleError:
    return BundleError(f"{file} is missing or not valid JSON: copy or export the bundle again.")


def _list(content: bytes, file: Path, n_items: int) -> list[Any]:
    values = _parse(content, file)
    if not isinstance(values, list) or len(values) != n_items:
        raise BundleError(f"{file} does not list the {n_items} items of the manifest: export again.")
    return values


def _write_list(file: Path, values: Sequence[str | None]) -> None:
    content = json.dumps(list(values), ensure_ascii=False, separators=(",", ":")).encode()
    file.write_bytes(gzip.compress(content, mtime=0))  # no date: equal values, equal bytes


def _manifest(values: Mapping[str, Any], file: Path) -> Manifest:
    fields = [field.name for field in dataclasses.fields(Manifest)]
    missing = [name for name in fields if name not in values and name not in LATER_KEYS]
    if missing:
        raise BundleError(f"{file} lacks {', '.join(missing)}: export again.")
    known = {name: values[name] for name in fields if name in values}
    try:
        known["models"] = tuple(_model(model) for model in values["models"])
        known |= {name: tuple(values.get(name, ())) for name in ("additions", "removals")}
        known["files"] = {
            name: FileRecord(f["sha256"], f["bytes"], f.get("content_sha256"), f.get("content_bytes"))
            for name, f in values["files"].items()
        }
        problem = _problem(Manifest(**known))
    except (KeyError, TypeError, AttributeError) as error:
        problem = f"is malformed ({error!r})"
    if problem:
        raise BundleError(f"{file} {problem}: export again.")
    return Manifest(**known)


def _model(values: Mapping[str, Any]) -> ModelRecord:
    if not isinstance(values["files"], list) or not values["files"]:
        raise TypeError("a model names no files")
    parts = {name: file for name, file in values.get("parts", {}).items() if name in PARTS}
    return ModelRecord(values["backend"], values["precision"], tuple(values["files"]), values.get("opset"), parts)


def _problem(manifest: Manifest) -> str | None:
    """What is wrong with a manifest whose keys are all there; None if nothing is."""
    sizes = (manifest.n_items, manifest.max_length, manifest.k_limit, manifest.hidden_size)
    if not manifest.models or not all(isinstance(size, int) and size >= 1 for size in sizes):
        return "lists no model, or its n_items, max_length, k_limit or hidden_size is below 1"
    of_models = {name for model in manifest.models for name in (*model.files, *model.parts.values())}
    packed = PACKED_ITEMS[0] in manifest.files
    items = PACKED_ITEMS if packed else (OLD_ITEMS if OLD_ITEMS in manifest.files else ITEMS,)
    needed = {*items, POPULARITY, GOLDEN} | of_models
    unrecorded = sorted(needed - set(manifest.files))
    if unrecorded:
        return f"records no SHA-256 of {', '.join(unrecorded)}"
    # A manifest from elsewhere must not reach outside its own folder.
    outside = [name for name in manifest.files if Path(name).name != name or "\\" in name]
    return f"names files outside the bundle ({', '.join(outside)})" if outside else None
