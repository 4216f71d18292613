"""Write the static folder that serves a bundle in a browser.

    index.html, app.js, style.css, ...   the demo page (page/ in this package)
    service-worker.js, precache.js       cache everything for offline use; precache.js lists the files
    lightrec.js, lightrec.d.ts           the library
    onnxruntime-web/                     ONNX Runtime compiled to WebAssembly
    bundle/                              the bundle, with the one model that a browser runs

Any web server can serve it, because it holds only static files.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from lightrec.bundle import (
    PACKED_ITEMS,
    SMALL_FILES,
    FileRecord,
    Manifest,
    ModelRecord,
    read_catalogue,
    verify_hashes,
    write_catalogue,
    write_manifest,
)
from lightrec.errors import BundleError, ConfigError
from lightrec.files.atomic import new_folder, restore, write_text
from lightrec.files.download import fetch_npm_members
from lightrec.web import FOLDER
from lightrec.web.user_files import HEAD, PRECACHE, TAIL, carry_own_files, packaged_files

LIBRARY = ("lightrec.js", "lightrec.d.ts")
NOT_CACHED = ("lightrec.d.ts", "golden.json", "service-worker.js")
"""Files that the service worker does not cache: two that no page requests, and its own, which the browser stores."""

ONNXRUNTIME_WEB = "1.30.0"
"""The version of onnxruntime-web that is fetched."""
TARBALL_SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"
RUNTIME_FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
"""The files of onnxruntime-web that a browser needs: CPU only, 14 MB, some 4 MB compressed."""


@dataclasses.dataclass(frozen=True)
class WebPackage:
    """The result of :func:`package_for_web`."""

    path: Path
    """The folder."""
    files: dict[str, int]
    """Bytes of every file, by its path inside the folder."""
    precision: str
    """The model's precision, as in the manifest."""

    @property
    def runtime_bytes(self) -> int:
        """Size of ONNX Runtime in bytes."""
        return sum(size for name, size in self.files.items() if name.startswith("onnxruntime-web/"))

    @property
    def own_bytes(self) -> int:
        """Size of everything else in bytes: bundle, library and page."""
        return sum(self.files.values()) - self.runtime_bytes


def package_for_web(
    bundle: str | Path, out: str | Path, precision: str | None = None, onnxruntime_web: str | Path | None = None
) -> WebPackage:
    """Write the static folder; ``out`` appears whole or not at all, and replaces an earlier one.

    Files in the earlier one that packaging did not write, such as a page of the user, are carried over.

    Args:
        bundle: the bundle.
        out: the folder to write.
        precision: precision of the bundle's model for ONNX Runtime; the first model if None.
        onnxruntime_web: folder with :data:`RUNTIME_FILES` (``dist/`` of the npm package onnxruntime-web); if None,
            version :data:`ONNXRUNTIME_WEB` is fetched through npm and checked.

    Raises:
        BundleError: if the bundle is damaged or holds no such model.
        ConfigError: if ``out`` exists and is not a web package, if a user's file in it has the name of a file of the
            package, or if ``onnxruntime_web`` lacks a file.
        DownloadError: if ONNX Runtime cannot be fetched.
    """
    bundle, out = Path(bundle), Path(out)
    manifest = verify_hashes(bundle)
    model = _model(bundle, manifest, precision)
    restore(out)  # otherwise the user's files would stay in a package that was moved aside
    replaces = out.exists() and (not out.is_dir() or any(out.iterdir()))
    if replaces:
        packaged_files(out)  # before anything is fetched
    runtime = _runtime_files(onnxruntime_web)
    with new_folder(out) as folder:
        shutil.copytree(FOLDER / "page", folder, dirs_exist_ok=True)
        for name in LIBRARY:
            shutil.copyfile(FOLDER / name, folder / name)
        (folder / "onnxruntime-web").mkdir()
        for file in runtime:
            shutil.copyfile(file, folder / "onnxruntime-web" / file.name)
        written = _copy_bundle(bundle, manifest, model, folder / "bundle")
        _write_precache(folder, {f"bundle/{name}": record for name, record in written.files.items()})
        sizes = {name: (folder / name).stat().st_size for name in _names(folder)}
        if replaces:
            carry_own_files(out, folder)
    return WebPackage(out, sizes, model.precision)


def _model(bundle: Path, manifest: Manifest, precision: str | None) -> ModelRecord:
    # lightrec.js reads one model file. Large catalogues map their item table from a second one, so browsers cannot.
    models = [model for model in manifest.models if model.backend == "onnxruntime" and len(model.files) == 1]
    fitting = [model for model in models if precision in (None, model.precision)]
    if not fitting:
        held = ", ".join(f"{model.backend} {model.precision} ({', '.join(model.files)})" for model in manifest.models)
        raise BundleError(
            f"The bundle {bundle} holds no {precision or 'model'} for ONNX Runtime in one file, as a browser needs it "
            f"(it holds {held}): export one with --format onnx."
        )
    return fitting[0]


def _runtime_files(given: str | Path | None) -> list[Path]:
    if given is None:
        members = {f"dist/{name}": None for name in RUNTIME_FILES}
        return list(fetch_npm_members("onnxruntime-web", ONNXRUNTIME_WEB, TARBALL_SHA256, members).values())
    files = [Path(given) / name for name in RUNTIME_FILES]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise ConfigError(
            f"--onnxruntime-web {given} holds no {' and no '.join(missing)}: give the folder dist/ of the npm package "
            "onnxruntime-web."
        )
    return files


def _copy_bundle(bundle: Path, manifest: Manifest, model: ModelRecord, target: Path) -> Manifest:
    """Write a complete bundle with one model and only the files that are needed to recommend."""
    target.mkdir()
    if not all((bundle / name).is_file() for name in model.parts.values()):
        model = dataclasses.replace(model, parts={})
    for name in (*SMALL_FILES, *model.files, *model.parts.values()):
        if (bundle / name).is_file():
            shutil.copyfile(bundle / name, target / name)
    if PACKED_ITEMS[0] in manifest.files:  # lightrec.js reads lists of ids and titles
        write_catalogue(target, read_catalogue(bundle, manifest), packed=False)
    return write_manifest(target, dataclasses.replace(manifest, models=(model,), text_projection=None))


def _write_precache(folder: Path, records: Mapping[str, FileRecord]) -> None:
    """List the files to cache, with their SHA-256; the version changes with any byte, so browsers fetch new files.

    A .gz file is accepted compressed or decompressed, because with some servers the browser decompresses it.
    """
    names = [name for name in _names(folder) if name.rsplit("/", 1)[-1] not in NOT_CACHED]
    sums = {name: [hashlib.sha256((folder / name).read_bytes()).digest()] for name in names}
    for name, record in records.items():
        if name in sums and record.content_sha256 is not None:
            sums[name].append(bytes.fromhex(record.content_sha256))
    integrity = {
        name: " ".join(f"sha256-{base64.b64encode(one).decode()}" for one in found) for name, found in sums.items()
    }
    # Some servers redirect index.html to the folder, and a browser does not open a page from a redirected response.
    files = {"./" if name == "index.html" else name: promised for name, promised in integrity.items()}
    version = hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16]
    listing = json.dumps({"version": version, "files": files}, indent=2)
    write_text(folder / PRECACHE, f"{HEAD}{listing}{TAIL}")


def _names(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
