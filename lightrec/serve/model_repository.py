"""The folders that Triton and OpenVINO Model Server read, each with one model.

    OUT/NAME/1/model.onnx, items.bin ...    the version folder: the model's files
    OUT/NAME/config.pbtxt                   for Triton: tensors, and one thread for each request
    OUT/config.json                         for OpenVINO Model Server
    OUT/NAME/items.json.gz, ...             ids, titles and popularity, for clients; the servers ignore them

These servers run only the graph, whose items are indices; docs/format.md describes its tensors.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightrec.bundle import (
    GOLDEN,
    ITEMS,
    PACKED_ITEMS,
    POPULARITY,
    TITLE_FILES,
    Manifest,
    ModelRecord,
    verify_hashes,
)
from lightrec.errors import BundleError, ConfigError
from lightrec.files.atomic import new_folder, write_json, write_text

VERSION = "1"
"""The model's version; the servers take the highest."""
MARK = "README.txt"
"""The file that identifies a folder written by this module, and explains it to people."""
BESIDE = (ITEMS, *PACKED_ITEMS, *TITLE_FILES, POPULARITY, GOLDEN)

TENSORS: dict[str, dict[str, tuple[str, tuple[int, ...]]]] = {
    "input": {
        "history": ("TYPE_INT64", (-1, -1)),
        "length": ("TYPE_INT64", (-1,)),
        "exclude": ("TYPE_INT64", (-1, -1)),
        "k": ("TYPE_INT64", (1,)),
    },
    "output": {"items": ("TYPE_INT64", (-1, -1)), "scores": ("TYPE_FP32", (-1, -1))},
}
"""Type and shape of the tensors of every bundle's graph, in Triton's notation."""

README = """{name}: a lightrec bundle ({model_type}, {precision}) as a model repository.

The graph takes and gives item indices: an item's index is its place in {name}/items.json.gz.
docs/format.md of lightrec describes inputs and outputs; {name}/golden.json holds questions with their answers.
"""


@dataclasses.dataclass(frozen=True)
class ModelRepository:
    """The result of :func:`package_for_triton` or :func:`package_for_ovms`."""

    path: Path
    """The folder to give to the server."""
    name: str
    """The model's name."""
    precision: str
    """The model's precision, as in the manifest."""
    files: dict[str, int]
    """Bytes of every file, by its path inside the folder."""


def package_for_triton(
    bundle: str | Path, out: str | Path, precision: str | None = None, name: str | None = None
) -> ModelRepository:
    """Write a model repository for Triton's ONNX Runtime backend.

    Args:
        bundle: the bundle.
        out: the folder to write, for ``tritonserver --model-repository``; it appears whole or not at all.
        precision: precision of the bundle's model for ONNX Runtime; the first model if None.
        name: the model's name; that of the bundle's folder if None.

    Raises:
        BundleError: if the bundle is damaged or holds no such model.
        ConfigError: if ``out`` exists and is not such a folder.
    """
    bundle = Path(bundle)
    manifest = verify_hashes(bundle)
    model = _choose(bundle, manifest, "onnxruntime", ".onnx", precision)
    name = name or bundle.absolute().name
    return _write(bundle, Path(out), manifest, model, name, {f"{name}/config.pbtxt": config_pbtxt(name, model)})


def package_for_ovms(
    bundle: str | Path, out: str | Path, precision: str | None = None, name: str | None = None
) -> ModelRepository:
    """Write a folder for OpenVINO Model Server (``ovms --config_path OUT/config.json``).

    See :func:`package_for_triton` for the arguments. The folder makes the server compute in 32-bit floats, because
    OpenVINO's default on some processors changes rankings.
    """
    bundle = Path(bundle)
    manifest = verify_hashes(bundle)
    model = _choose(bundle, manifest, "openvino", ".xml", precision)
    name = name or bundle.absolute().name
    plugin = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    config = {"name": name, "base_path": name, "plugin_config": plugin}  # a path relative to config.json
    return _write(
        bundle, Path(out), manifest, model, name, {"config.json": {"model_config_list": [{"config": config}]}}
    )


def config_pbtxt(name: str, model: ModelRecord) -> str:
    """Return Triton's description of the model; the first dimension of the tensors is the batch."""
    lines = [
        f'name: "{name}"',
        'backend: "onnxruntime"',
        f'default_model_filename: "{model.files[0]}"',
        "max_batch_size: 0",
    ]
    for kind, tensors in TENSORS.items():
        entries = [
            f'  {{ name: "{tensor}" data_type: {datatype} dims: [ {", ".join(map(str, dims))} ] }}'
            for tensor, (datatype, dims) in tensors.items()
        ]
        lines += [f"{kind} [", ",\n".join(entries), "]"]
    lines.append("instance_group [ { count: 1 kind: KIND_CPU } ]")
    for key in ("intra_op_thread_count", "inter_op_thread_count"):
        lines.append(f'parameters {{ key: "{key}" value: {{ string_value: "1" }} }}')
    return "\n".join(lines) + "\n"


def _choose(bundle: Path, manifest: Manifest, backend: str, suffix: str, precision: str | None) -> ModelRecord:
    models = [model for model in manifest.models if model.backend == backend and model.files[0].endswith(suffix)]
    fitting = [model for model in models if precision in (None, model.precision)]
    if not fitting:
        held = ", ".join(f"{model.backend} {model.precision} ({', '.join(model.files)})" for model in manifest.models)
        wanted = f"{precision} model" if precision else "model"
        form = "onnx" if suffix == ".onnx" else "openvino"
        raise BundleError(f"{bundle} holds no {wanted} in a {suffix} file (it holds {held}): export --format {form}.")
    return fitting[0]


def _write(
    bundle: Path,
    out: Path,
    manifest: Manifest,
    model: ModelRecord,
    name: str,
    configs: Mapping[str, str | Mapping[str, Any]],
) -> ModelRepository:
    if not re.fullmatch(r"[A-Za-z_][\w.-]*", name, re.ASCII):
        raise ConfigError(
            f"The model's name {name!r} is not a letter with letters, digits, '-' and '_' behind it: give --name."
        )
    if out.exists() and not (out / MARK).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"--out {out} exists and is no model repository of lightrec: choose a new folder.")
    with new_folder(out) as folder:
        _copy(bundle, model.files, folder / name / VERSION)
        _copy(bundle, BESIDE, folder / name)
        for file, content in configs.items():
            if isinstance(content, str):
                write_text(folder / file, content)
            else:
                write_json(folder / file, content)
        facts = {"name": name, "model_type": manifest.model_type, "precision": model.precision}
        write_text(folder / MARK, README.format(**facts))
        files = {
            file.relative_to(folder).as_posix(): file.stat().st_size for file in folder.rglob("*") if file.is_file()
        }
    return ModelRepository(out, name, model.precision, files)


def _copy(bundle: Path, names: Sequence[str], target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        if (bundle / name).is_file():
            shutil.copyfile(bundle / name, target / name)
