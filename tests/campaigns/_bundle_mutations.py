"""Ways to damage or forge a bundle: of any file, of JSON, of gzip, of .npy files, of ONNX and of OpenVINO's XML."""

import gzip
import hashlib
import json
import os
import random
import re
import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

WORDS = ["", "0", "../x", "/etc/passwd", "a/b", "model.onnx", "manifest.json", "\ud800", "\0", "x" * 5000, "é", "-1"]
NUMBERS = [-1, 0, 1, 7, 2**31 - 1, 2**31, 2**53, 2**63, 2**64, 10**400, 0.5, -0.0, 1e38, 1e300, 1e-300]
SPECIAL = [None, True, False, [], {}, [[]], {"": {}}, float("nan"), float("inf"), [None] * 3, ["a", "a"]]


def hostile(choices: random.Random):
    """A value of JSON that nobody expects."""
    return choices.choice([choices.choice(WORDS), choices.choice(NUMBERS), choices.choice(SPECIAL)])


def change_json(value, choices: random.Random):
    """``value`` with one node replaced, deleted, doubled or moved."""
    places = []

    def walk(node):
        for key in list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            places.append((node, key))
            walk(node[key])

    walk(value)
    if not places:
        return hostile(choices)
    node, key = choices.choice(places)
    change = choices.randrange(5)
    if change == 0:
        del node[key]
    elif change == 1 and isinstance(node, list):
        node.insert(key, node[key])
    elif change == 2 and isinstance(node[key], int | float) and not isinstance(node[key], bool):
        node[key] += choices.choice([1, -1, 0.5, 1000])
    elif change == 3:
        other, place = choices.choice(places)
        with_other = json.loads(json.dumps(other[place])) if place in other or isinstance(place, int) else None
        node[key] = with_other
    else:
        node[key] = hostile(choices)
    return value


def json_file(file: Path, choices: random.Random) -> str:
    """A change within JSON, of one to three nodes, or JSON of a hostile form."""
    packed = file.suffix == ".gz"
    text = gzip.decompress(file.read_bytes()) if packed else file.read_bytes()
    form = choices.randrange(12)
    if form == 0:
        depth = choices.choice([50, 900, 100_000])
        text, kind = b"[" * depth + b"]" * depth, "json nested"
    elif form == 1:
        text, kind = b'{"a":' * 5000 + b"1" + b"}" * 5000, "json nested"
    elif form == 2:
        text, kind = text.replace(b"1", b"9" * choices.choice([20, 5000]), 1), "json huge number"
    elif form == 3:
        text, kind = text.replace(b'"', choices.choice([b"'", b"", b"\xff"]), 1), "json syntax"
    else:
        value = json.loads(text)
        for _ in range(choices.choice([1, 1, 2, 3])):
            value = change_json(value, choices)
        try:
            text, kind = json.dumps(value).encode(), "json value"
        except ValueError:
            text, kind = b"1" * 5000, "json huge number"
    if not packed:
        file.write_bytes(text)
        return kind
    packing = choices.randrange(8)
    if packing == 0:
        block = gzip.compress(b" " * 2**24, mtime=0)
        file.write_bytes(block * choices.choice([4, 80]))  # 64 MiB or 1.3 GiB when it is unpacked
        return "gzip bomb"
    if packing == 1:
        file.write_bytes(gzip.compress(text) + choices.choice([b"tail", gzip.compress(b"]"), b"\0" * 100]))
        return "gzip tail"
    if packing == 2:
        file.write_bytes(gzip.compress(text)[: -choices.randrange(1, 12)])
        return "gzip cut short"
    file.write_bytes(gzip.compress(text))
    return kind


def npy_file(file: Path, choices: random.Random) -> str:
    """Another header, other numbers, or objects."""
    content = file.read_bytes()
    change = choices.randrange(6)
    if change == 0:
        shapes = [b"(999999999999,)", b"()", b"(6, 1)", b"(-1,)", b"(2.5,)", b"(" * 500, b"(True,)", b"(0,)"]
        content = re.sub(rb"\(\d+,\)", lambda _: choices.choice(shapes), content, count=1)
    elif change == 1:
        types = [b"'|O'", b"'<f8'", b"'>i4'", b"'<U999999999'", b"[('a', '<i4')]", b"'<i9'", b"None", b"'|V0'"]
        content = re.sub(rb"'[<|][a-z]\d'", lambda _: choices.choice(types), content, count=1)
    elif change == 2:
        content = content[:6] + bytes([choices.choice([0, 2, 3, 9]), 0]) + content[8:]
    elif change == 3:
        content = content[:8] + choices.choice([b"\0\0", b"\xff\xff", b"\1\0"]) + content[10:]
    else:
        values = np.load(file)
        if values.size:
            extremes = np.iinfo(values.dtype)
            values[choices.randrange(values.size)] = choices.choice([extremes.min, extremes.max, 0, 1])
        np.save(file, choices.choice([values, values[::-1], values[:-1], values.astype(np.float64), values[None]]))
        return "npy values"
    file.write_bytes(content)
    return "npy header"


def any_file(file: Path, choices: random.Random) -> str:
    """Damage that needs no knowledge of a format."""
    content = file.read_bytes()
    change = choices.randrange(11)
    if change == 0:
        for _ in range(choices.choice([1, 1, 5])):
            content = flipped(content, choices)
        kind = "bit flipped"
    elif change == 1:
        content, kind = content[: choices.randrange(len(content) + 1)], "cut short"
    elif change == 2:
        content, kind = content + choices.randbytes(choices.choice([1, 100])), "longer"
    elif change == 3:
        content, kind = choices.choice([b"", b"\0" * len(content), choices.randbytes(len(content))]), "other bytes"
    elif change == 4:
        others = [other for other in file.parent.iterdir() if other.is_file()]
        content, kind = choices.choice(others).read_bytes(), "another file's bytes"
    else:
        file.unlink()
        if change == 5:
            file.symlink_to(file.name)
            return "link to itself"
        if change == 6:
            file.symlink_to(choices.choice(["/etc/passwd", "/dev/zero", "/dev/null", "..", "nowhere"]))
            return "link out of the folder"
        if change == 7:
            file.mkdir()
            return "folder instead of a file"
        if change == 8 and hasattr(os, "mkfifo"):
            os.mkfifo(file)
            return "pipe instead of a file"
        return "missing"
    file.write_bytes(content)
    return kind


def flipped(content: bytes, choices: random.Random) -> bytes:
    """``content`` with one bit changed."""
    if not content:
        return content
    changed = bytearray(content)
    changed[choices.randrange(len(changed))] ^= 1 << choices.randrange(8)
    return bytes(changed)


LOOP = helper.make_node(
    "Loop",
    ["for.ever", "true"],
    ["looped"],
    body=helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Identity", ["c"], ["e"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
        ],
        [
            helper.make_tensor_value_info("d", TensorProto.BOOL, []),
            helper.make_tensor_value_info("e", TensorProto.BOOL, []),
        ],
    ),
)


def onnx_file(file: Path, choices: random.Random) -> str:
    """A forged graph."""
    model = onnx.load(file, load_external_data=False)
    graph = model.graph
    node = choices.choice(graph.node)
    weight = choices.choice(graph.initializer)
    change = choices.randrange(12)
    if change == 0:
        graph.initializer.append(helper.make_tensor("for.ever", TensorProto.INT64, [], [2**62]))
        graph.initializer.append(helper.make_tensor("true", TensorProto.BOOL, [], [True]))
        graph.node.insert(0, LOOP)
        kind = "endless loop"
    elif change == 1:
        weight.data_location = TensorProto.EXTERNAL
        del weight.external_data[:]
        place = choices.choice(["/etc/passwd", "../other", "manifest.json", "model.onnx", "nowhere"])
        weight.external_data.add(key="location", value=place)
        if choices.random() < 0.5:
            weight.external_data.add(key="offset", value=choices.choice(["-1", "0", str(2**62), "x"]))
            weight.external_data.add(key="length", value=choices.choice(["-1", "8", str(2**62)]))
        kind = "weights elsewhere"
    elif change == 2:
        operators = ["If", "Scan", "TopK", "Identity", "Nothing", "Gather", "Reshape", "MatMul", "Neg"]
        node.op_type = choices.choice(operators)
        kind = "another operator"
    elif change == 3:
        node.domain = choices.choice(["", "com.microsoft", "ai.onnx.ml", "evil"])
        kind = "another domain"
    elif change == 4 and len(weight.dims):
        weight.dims[choices.randrange(len(weight.dims))] = choices.choice([0, 1, -1, 2**40, 2**62])
        kind = "another shape"
    elif change == 5:
        value = choices.choice([*graph.input, *graph.output])
        value.name = choices.choice(["history", "k", "x", "", "items"])
        kind = "another name"
    elif change == 6:
        value = choices.choice([*graph.input, *graph.output])
        value.type.tensor_type.elem_type = choices.choice([1, 2, 6, 8, 9, 16, 99])
        kind = "another type"
    elif change == 7:
        value = choices.choice([*graph.input, *graph.output])
        value.type.tensor_type.shape.dim.add(dim_value=choices.choice([1, 5]))
        kind = "another rank"
    elif change == 8:
        place = choices.randrange(len(node.input)) if node.input else None
        if place is not None:
            node.input[place] = choices.choice([*(w.name for w in graph.initializer), "history", "k", "", "nothing"])
        kind = "another input"
    elif change == 9:
        graph.node.remove(node)
        kind = "operator missing"
    elif change == 10:
        tensor = onnx.numpy_helper.to_array(weight) if weight.raw_data and not weight.external_data else None
        if tensor is not None and tensor.size:
            changed = tensor.copy().reshape(-1)
            value = choices.choice([np.nan, np.inf, 0, -1, 1e30, 2**30, 100])
            with np.errstate(all="ignore"):
                changed[choices.randrange(changed.size)] = np.array(value).astype(tensor.dtype)
            weight.CopyFrom(onnx.numpy_helper.from_array(changed.reshape(tensor.shape), weight.name))
        kind = "another weight"
    else:
        for opset in model.opset_import:
            opset.version = choices.choice([1, 7, 20, 21, 99, 2**31])
        model.ir_version = choices.choice([1, 10, 99])
        kind = "another version"
    file.write_bytes(model.SerializeToString())
    return f"onnx {kind}"


def xml_file(file: Path, choices: random.Random) -> str:
    """A forged graph of OpenVINO."""
    text = file.read_text()
    change = choices.randrange(4)
    if change == 0:
        bomb = '<!DOCTYPE net [<!ENTITY a "aaaaaaaaaa">' + "".join(
            f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9)
        )
        text, kind = f"<?xml version='1.0'?>{bomb}]><net>&j;</net>", "entities"
    elif change == 1:
        kinds = ["Loop", "If", "TensorIterator", "Nothing", "Parameter", "Result", "ReadValue"]
        text = replaced(text, r'type="(\w+)"', choices.choice(kinds), choices)
        kind = "another layer"
    elif change == 2:
        values = ["-1", "0", "99999999999", "", "x", "0.5", "1e99", "18446744073709551615", "1,1", "i64", "f32"]
        text, kind = replaced(text, r'"([^"]*)"', choices.choice(values), choices), "another attribute"
    else:
        text, kind = (
            replaced(text, r"<dim>([^<]*)</dim>", choices.choice(["-1", "0", "7", "9" * 12, "x"]), choices),
            "another dimension",
        )
    file.write_text(text)
    return f"xml {kind}"


def replaced(text: str, pattern: str, value: str, choices: random.Random) -> str:
    """``text`` with the group of one match of ``pattern`` replaced by ``value``."""
    found = list(re.finditer(pattern, text))
    if not found:
        return text
    match = choices.choice(found)
    return text[: match.start(1)] + value + text[match.end(1) :]


def unlisted_titles(folder: Path, choices: random.Random) -> str:
    """Titles that the manifest does not list, which nobody may use."""
    listed = json.loads((folder / "manifest.json").read_text())
    count = listed["n_items"]
    for name in [name for name in listed["files"] if name.startswith("titles")]:
        del listed["files"][name]
        (folder / name).unlink()
    (folder / "manifest.json").write_text(json.dumps(listed))
    (folder / "titles.json.gz").write_bytes(gzip.compress(json.dumps(["forged"] * count).encode()))
    return "titles that are not listed"


OF_SUFFIX = {".json": json_file, ".gz": json_file, ".npy": npy_file, ".onnx": onnx_file, ".xml": xml_file}


def mutate(folder: Path, choices: random.Random) -> str:
    """Change one file of the bundle in ``folder``; returns the kind of change."""
    if choices.random() < 0.02:
        return unlisted_titles(folder, choices)
    files = sorted(file for file in folder.iterdir() if file.is_file())
    file = choices.choice([*files, folder / "manifest.json"])
    own = OF_SUFFIX.get(file.suffix)
    change = own if own is not None and choices.random() < 0.7 else any_file
    return change(file, choices)


def rehash(folder: Path) -> None:
    """Write the right SHA-256 and sizes into the manifest, as far as it can be read."""
    manifest = folder / "manifest.json"
    if not manifest.is_file():  # a pipe would be waited for
        return
    try:
        values = json.loads(manifest.read_text())
        for name, record in values["files"].items():
            file = folder / name
            if file.is_file() and file.resolve().parent == folder.resolve():
                content = file.read_bytes()
                record |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
                record.pop("content_sha256", None)
                record.pop("content_bytes", None)
        manifest.write_text(json.dumps(values))
    except (ValueError, KeyError, AttributeError, TypeError, OSError, RecursionError):
        return


def copy(bundle: Path, target: Path) -> Path:
    """A fresh copy of ``bundle`` to change."""
    shutil.rmtree(target, ignore_errors=True)
    return Path(shutil.copytree(bundle, target))
