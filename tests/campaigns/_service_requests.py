"""Requests to the service, right ones and damaged ones, and the bytes that go over the line."""

from __future__ import annotations

import contextlib
import copy
import http.client
import json
import socket
import struct
from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple

KNOWN = ["a", "b", "c", "d", "e,f", "7", "10", "é", "日本", "x\u202ey", " sp ", '"q"', "b\\s", "<i>", "\x7f", "A" * 300]
"""The ids of the campaign's bundle."""
UNKNOWN = ["", "zz", "\x00", "0", -1, 7, 10, 10**30, "a ", "\ufffe"]
STRANGE = [
    None,
    True,
    False,
    0,
    -1,
    1.5,
    1e308,
    2**63,
    10**400,
    "",
    "\x00",
    "\ud800",
    "5",
    [],
    {},
    [[]],
    {"a": 1},
    ["a"],
]
STRANGE += [float("nan"), float("inf"), "x" * 20_000, [None], [[["a"]]], {"history": ["a"]}]
SECONDS = 20.0
"""After which no answer is a hang."""


class Reply(NamedTuple):
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


def ids(random: Random, most: int = 8) -> list[Any]:
    """Known and unknown ids."""
    return [random.choice(UNKNOWN if random.random() < 0.2 else KNOWN) for _ in range(random.randint(0, most))]


def single(random: Random) -> dict[str, Any]:
    """A right body for /recommend."""
    value: dict[str, Any] = {"history": ids(random)}
    _add_rules(value, random)
    if random.random() < 0.4:
        value["exclude"] = ids(random)
    return value


def batch(random: Random) -> dict[str, Any]:
    """A right body for /recommend/batch."""
    users = random.randint(0, 5)
    value: dict[str, Any] = {"histories": [ids(random) for _ in range(users)]}
    _add_rules(value, random)
    if random.random() < 0.4:
        value["exclude"] = [ids(random) for _ in range(users)]
    return value


def infer(random: Random) -> dict[str, Any]:
    """A right inference request with all its data in the JSON."""
    users, width = random.randint(1, 4), random.randint(0, 4)
    inputs = [_tensor(random, "history", [users, width])]
    if random.random() < 0.5:
        lengths = [random.randint(0, width) for _ in range(users)]
        inputs.append({"name": "length", "datatype": "INT64", "shape": [users], "data": lengths})
    if random.random() < 0.5:
        inputs.append(_tensor(random, "exclude", [users, random.randint(0, 3)]))
    if random.random() < 0.7:
        inputs.append({"name": "k", "datatype": "INT32", "shape": [1], "data": [random.randint(1, 20)]})
    random.shuffle(inputs)
    value: dict[str, Any] = {"inputs": inputs}
    if random.random() < 0.5:
        value["outputs"] = [{"name": name} for name in random.sample(["items", "scores", "fallback"], 2)]
    if random.random() < 0.5:
        value["id"] = random.choice(["", "1", "日本", "x" * 500])
    return value


def binary(value: dict[str, Any]) -> tuple[bytes, bytes]:
    """An inference request in the binary form: its JSON, and the bytes that follow."""
    value, contents = copy.deepcopy(value), []
    for tensor in value["inputs"]:
        flat = [item for row in tensor.pop("data") for item in (row if isinstance(row, list) else [row])]
        if tensor["datatype"] == "BYTES":
            strings = [item.encode() for item in flat]
            content = b"".join(struct.pack("<I", len(string)) + string for string in strings)
        else:
            content = struct.pack(f"<{len(flat)}{'q' if tensor['datatype'] == 'INT64' else 'i'}", *flat)
        tensor["parameters"] = {"binary_data_size": len(content)}
        contents.append(content)
    return json.dumps(value).encode(), b"".join(contents)


def damage_value(value: Any, random: Random) -> Any:
    """``value`` with one part of it exchanged, dropped, doubled or added."""
    value = copy.deepcopy(value)
    holders = [holder for holder in _holders(value) if len(holder)]
    if not holders or random.random() < 0.03:
        return random.choice(STRANGE)
    holder = random.choice(holders)
    key = random.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    match random.choice(["exchange", "exchange", "exchange", "drop", "add", "wrap"]):
        case "exchange":
            holder[key] = random.choice(STRANGE)
        case "drop":
            del holder[key]
        case "add" if isinstance(holder, dict):
            holder[random.choice(["x", "K", "history ", "", "id", "parameters"])] = random.choice(STRANGE)
        case "add":
            holder.insert(key, random.choice(STRANGE))
        case "wrap":
            holder[key] = [holder[key]]
    return value


def damage_bytes(content: bytes, random: Random) -> bytes:
    """``content`` with some bytes changed, cut out, doubled or put in."""
    place = random.randrange(len(content) + 1)
    end = min(len(content), place + random.choice([1, 1, 2, 5, 20]))
    put = random.choice(
        [
            bytes([random.randrange(256)]),
            random.randbytes(random.randint(1, 9)),
            random.choice(
                [b"NaN", b"Infinity", b"1e999", b"9" * 5000, b"[" * 5000, b"\\ud800", b"\\u0000", b"\xef\xbb\xbf"]
            ),
            random.choice([b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\", b"\n", b"null", b"-", b"0", b"."]),
        ]
    )
    match random.choice(["put", "exchange", "cut", "double", "truncate"]):
        case "put":
            return content[:place] + put + content[place:]
        case "exchange":
            return content[:place] + put + content[end:]
        case "cut":
            return content[:place] + content[end:]
        case "double":
            return content[:end] + content[place:end] * random.choice([1, 3, 1000]) + content[end:]
    return content[:place]


def post(path: str, body: bytes, *headers: bytes, kind: bytes = b"application/json") -> bytes:
    """The bytes of a request."""
    lines = [b"POST %s HTTP/1.1" % path.encode(), b"Host: localhost", b"Content-Type: " + kind]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(body), *headers, b"", body])


def connect(port: int) -> socket.socket:
    """A connection to the service."""
    return socket.create_connection(("127.0.0.1", port), timeout=SECONDS)


def exchange(port: int, content: bytes, method: str = "POST", seconds: float = SECONDS) -> Reply | None:
    """The answer to ``content``; None if the connection was closed without one, TimeoutError after ``seconds``."""
    with contextlib.closing(connect(port)) as line:
        line.settimeout(seconds)
        with contextlib.suppress(ConnectionError):  # it may refuse before it has read all
            line.sendall(content)
        return next(replies(line, method))


def replies(line: socket.socket, method: str = "POST") -> Iterator[Reply | None]:
    """The answers that come over ``line``, one behind the other; None once the connection is closed."""
    file = line.makefile("rb")
    while True:
        try:
            first = file.readline()
            headers = http.client.parse_headers(file)
            size = 0 if method == "HEAD" else int(headers["content-length"] or 0)
            body = file.read(size)
        except ConnectionError:
            first = b""
        if not first:
            yield None
            return
        yield Reply(int(first.split()[1]), headers, body)


def _add_rules(value: dict[str, Any], random: Random) -> None:
    if random.random() < 0.8:
        value["k"] = random.choice([1, 2, 5, len(KNOWN), 1000])
    if random.random() < 0.3:
        value["candidates"] = random.choice([None, ids(random)])
    if random.random() < 0.3:
        names = random.sample(KNOWN, 3)
        value["boost"] = random.choice([None, {}, {name: random.choice([0, 1, -2.5, 1e308]) for name in names}])


def _tensor(random: Random, name: str, shape: list[int]) -> dict[str, Any]:
    datatype = random.choice(["BYTES", "BYTES", "INT64", "INT32"])
    values: list[Any] = [*KNOWN, "", "zz"] if datatype == "BYTES" else [7, 10, 0, -1]
    nested = [[random.choice(values) for _ in range(shape[1])] for _ in range(shape[0])]
    flat = [item for row in nested for item in row]
    return {"name": name, "datatype": datatype, "shape": shape, "data": random.choice([nested, flat])}


def _holders(value: Any) -> list[Any]:
    """Every list and mapping in ``value``, itself included."""
    if not isinstance(value, dict | list):
        return []
    inner = value.values() if isinstance(value, dict) else value
    return [value, *(holder for part in inner for holder in _holders(part))]
