"""A bundle: the folder that holds an exported student with all it needs to recommend.

docs/format.md describes the format for other languages. A bundle contains no real user's history.

    manifest.json     what the bundle is, and the SHA-256 of every other file
    model.onnx        and/or model.xml with model.bin: the inference graph
    items.json.gz     list of item ids (strings), by index
    popularity.npy    int32 [N], item indices, most popular first
    golden.json       synthetic histories with the answers that every runtime must give
    titles.json.gz    list of strings or null, by index; optional, may be deleted when deploying
    text_projection.safetensors    from texts to item vectors, for new items; also optional
    precision.json    the choices of --precision auto, and the reason; also optional
    step.onnx, score.onnx, candidates.onnx    for sessions and for few candidates; also optional

Large catalogues store ids and titles in memory-mapped files instead: :mod:`lightrec.bundle.packed`.
"""

from __future__ import annotations

from lightrec.bundle.catalogue import Catalogue, read_catalogue, write_catalogue
from lightrec.bundle.edit import copy_bundle, retitle_bundle
from lightrec.bundle.golden import GoldenCase, read_golden, write_golden
from lightrec.bundle.integrity import deployed_bytes, verify_hashes
from lightrec.bundle.item_events import events_by_rank, summarise_events
from lightrec.bundle.manifest import (
    FORMAT_VERSION,
    GOLDEN,
    ITEMS,
    LARGE_CATALOGUE,
    MANIFEST,
    OPTIONAL_FILES,
    PACKED_ITEMS,
    PACKED_TITLES,
    PARTS,
    POPULARITY,
    PRECISION_REPORT,
    SMALL_FILES,
    TEXT_PROJECTION,
    TITLE_FILES,
    TITLES,
    FileRecord,
    Manifest,
    ModelRecord,
    read_manifest,
    write_manifest,
)

__all__ = [
    "FORMAT_VERSION",
    "GOLDEN",
    "ITEMS",
    "LARGE_CATALOGUE",
    "MANIFEST",
    "OPTIONAL_FILES",
    "PACKED_ITEMS",
    "PACKED_TITLES",
    "PARTS",
    "POPULARITY",
    "PRECISION_REPORT",
    "SMALL_FILES",
    "TEXT_PROJECTION",
    "TITLES",
    "TITLE_FILES",
    "Catalogue",
    "FileRecord",
    "GoldenCase",
    "Manifest",
    "ModelRecord",
    "copy_bundle",
    "deployed_bytes",
    "events_by_rank",
    "read_catalogue",
    "read_golden",
    "read_manifest",
    "retitle_bundle",
    "summarise_events",
    "verify_hashes",
    "write_catalogue",
    "write_golden",
    "write_manifest",
]
