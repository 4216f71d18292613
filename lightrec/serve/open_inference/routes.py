"""The Open Inference Protocol (KServe V2), so that clients of Triton or OpenVINO Model Server can switch.

Unlike the graph that those servers run, this model takes and gives the items' own ids. Triton's binary extension is
understood, which its clients use unless told otherwise.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from fastapi import FastAPI, Path, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

import lightrec
from lightrec.errors import DataError
from lightrec.runtime.recommender import Recommendations
from lightrec.serve.limits.request_sizes import require_size, whole_number
from lightrec.serve.open_inference.tensors import (
    Datatype,
    InferRequest,
    Tensor,
    Values,
    binary_tensor,
    json_tensor,
    read_tensor,
    rows,
)
from lightrec.serve.openapi import ASKED, problems, reads
from lightrec.serve.requests import Json, read_body
from lightrec.serve.responses import InferAnswer, Live, Model, ModelReady, Platform, Ready, live, readiness
from lightrec.serve.service import Service

VERSION = "1"
"""The model's only version; another bundle takes its place."""
HEADER_LENGTH = "inference-header-content-length"
"""Header of the binary extension: how many bytes of the body are JSON."""
INPUTS: dict[str, tuple[tuple[Datatype, ...], list[int]]] = {
    "history": (("BYTES", "INT64", "INT32"), [-1, -1]),
    "length": (("INT64", "INT32"), [-1]),
    "exclude": (("BYTES", "INT64", "INT32"), [-1, -1]),
    "k": (("INT64", "INT32"), [1]),
}
"""Types, the usual one first, and shape of each input; only the first input must be given."""
OUTPUTS: dict[str, tuple[Datatype, list[int]]] = {
    "items": ("BYTES", [-1, -1]),
    "scores": ("FP32", [-1, -1]),
    "fallback": ("BOOL", [-1]),
}
BINARY_TOO: dict[str, Any] = {
    "description": "In JSON, or in the binary form.",
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}
NO_SCORE = float(np.finfo(np.float32).min)
"""Stands where there is no item, and for the items that popularity gave: JSON has no infinity."""


def add_open_inference(app: FastAPI, service: Service) -> None:
    """Add the routes below /v2."""
    name = service.settings.name

    only = Path(json_schema_extra={"enum": [name]})
    known = problems(404)
    asked = problems(404, *ASKED)

    @app.get("/v2", tags=["v2"], response_model=Platform, summary="The server")
    async def server() -> Response:
        return Json({"name": "lightrec", "version": lightrec.__version__, "extensions": ["binary_tensor_data"]})

    @app.get("/v2/health/live", tags=["v2"], response_model=Live, summary="The process runs")
    async def is_live() -> Response:
        return Json(live())

    @app.get("/v2/health/ready", tags=["v2"], response_model=Ready, summary="Requests are answered")
    async def is_ready() -> Response:
        return Json(*readiness(service.ready))

    @app.get("/v2/models/{model}", tags=["v2"], response_model=Model, summary="Inputs and outputs", responses=known)
    @app.get("/v2/models/{model}/versions/{version}", include_in_schema=False)
    async def metadata(model: str = only, version: str = VERSION) -> Response:
        _require(name, model, version)
        return Json(
            {
                "name": name,
                "versions": [VERSION],
                "platform": "lightrec",
                "inputs": [{"name": key, "datatype": types[0], "shape": s} for key, (types, s) in INPUTS.items()],
                "outputs": [{"name": key, "datatype": kind, "shape": s} for key, (kind, s) in OUTPUTS.items()],
            }
        )

    @app.get(
        "/v2/models/{model}/ready", tags=["v2"], response_model=ModelReady, summary="The model answers", responses=known
    )
    @app.get("/v2/models/{model}/versions/{version}/ready", include_in_schema=False)
    async def model_ready(model: str = only, version: str = VERSION) -> Response:
        _require(name, model, version)
        state, status = readiness(service.ready)
        return Json({"name": name, **state}, status)

    @app.post(
        "/v2/models/{model}/infer",
        tags=["v2"],
        response_model=InferAnswer,
        summary="The next items for a batch",
        responses={200: BINARY_TOO, **asked},
        **reads(InferRequest),
    )
    @app.post("/v2/models/{model}/versions/{version}/infer", include_in_schema=False)
    async def infer(request: Request, model: str = only, version: str = VERSION) -> Response:
        _require(name, model, version)
        question, tensors = _read(await request.body(), request.headers.getlist(HEADER_LENGTH))
        histories, excludes, k = _histories(question, tensors)
        outputs = _asked(question)
        return await service.ask(
            lambda recommender: recommender.recommend_batch(histories, k, excludes),
            lambda found: _answer(name, question.id, outputs, _outputs(found)),
        )


def _require(name: str, model: str, version: str) -> None:
    if (model, version) != (name, VERSION):
        raise HTTPException(404, f"There is no model {model!r} of version {version}: ask for {name!r}, {VERSION}.")


def _read(body: bytes, header_lengths: list[str]) -> tuple[InferRequest, dict[str, Values]]:
    """The request and the values of its tensors by name."""
    size = len(body) if not header_lengths else whole_number(header_lengths[0])
    if size is None or size > len(body) or len(header_lengths) > 1:
        said = reprlib.repr(header_lengths[0])
        raise DataError(f"The header {HEADER_LENGTH} is {said}: give once how many bytes of the {len(body)} are JSON.")
    question = read_body(InferRequest, body[:size])
    tensors: dict[str, Values] = {}
    place = size
    for tensor in question.inputs:
        _require_known(tensor, tensors)
        length = _appended_size(tensor, len(body) - place)
        tensors[tensor.name] = read_tensor(tensor, None if length is None else body[place : place + length])
        place += length or 0
    if place != len(body):
        raise DataError(f"The body has {len(body) - place:,} bytes behind its JSON that belong to no input.")
    return question, tensors


def _require_known(tensor: Tensor, before: Mapping[str, Values]) -> None:
    """Refuse a tensor that no input is, or that comes twice."""
    types, shape = INPUTS.get(tensor.name, ((), []))
    name = reprlib.repr(tensor.name)
    if tensor.datatype not in types:
        raise DataError(f"There is no input {name} of type {tensor.datatype}: see /v2/models.")
    if tensor.name in before:
        raise DataError(f"The input {name} is given twice.")
    if len(tensor.shape) != len(shape) and tensor.name not in ("history", "exclude"):
        raise DataError(f"The input {name} has {len(tensor.shape)} dimensions, not {len(shape)}.")


def _appended_size(tensor: Tensor, left: int) -> int | None:
    """Bytes behind the JSON that are the tensor's; None if its data are in the JSON. ``left`` bytes have no owner."""
    size = tensor.parameters.get("binary_data_size")
    if size is None:
        return None
    if type(size) is not int or not 0 <= size <= left:
        said = f"The input {tensor.name!r} has the binary_data_size {reprlib.repr(size)}"
        raise DataError(f"{said}, and {left:,} bytes of the body are left for it.")
    return size


def _histories(question: InferRequest, tensors: Mapping[str, Values]) -> tuple[list[Values], list[Values] | None, int]:
    """Histories, exclusions and k. What fills rows up is cut off by ``length``, or skipped as no known id."""
    shapes = {tensor.name: tensor.shape for tensor in question.inputs}
    if "history" not in tensors:
        raise DataError("The input 'history' is missing.")
    if shapes.get("k", [1]) != [1]:
        raise DataError(f"The input 'k' has the shape {shapes['k']}: give one number, for all users.")
    k = int(tensors["k"][0]) if "k" in tensors else 10
    users, width = shapes["history"] if len(shapes["history"]) == 2 else (1, shapes["history"][0])
    require_size(users, k)
    if "exclude" in tensors and (shapes["exclude"][0] if len(shapes["exclude"]) == 2 else 1) != users:
        raise DataError(
            f"The input 'exclude' has the shape {shapes['exclude']} for {users} histories: give a row each."
        )
    lengths = tensors.get("length", [width] * users)
    if len(lengths) != users or not all(0 <= int(length) <= width for length in lengths):
        said = f"The input 'length' holds {reprlib.repr(lengths)} for {users} histories of {width} items"
        raise DataError(f"{said}: give one number for each, from 0 to {width}.")
    histories = rows(tensors["history"], shapes["history"])
    excludes = rows(tensors["exclude"], shapes["exclude"]) if "exclude" in tensors else None
    return [row[: int(length)] for row, length in zip(histories, lengths, strict=True)], excludes, k


def _asked(question: InferRequest) -> dict[str, bool]:
    """The outputs that are asked for, in order; for each whether in the binary form."""
    binary = _flag(question.parameters, "binary_data_output", False)
    if not question.outputs:
        return dict.fromkeys(OUTPUTS, binary)
    asked = {output.name: _flag(output.parameters, "binary_data", binary) for output in question.outputs}
    unknown = [output for output in asked if output not in OUTPUTS]
    if unknown:
        raise DataError(f"There is no output {reprlib.repr(unknown[0])}: choose from {', '.join(OUTPUTS)}.")
    if len(asked) < len(question.outputs):
        raise DataError("An output is asked for twice: name each once.")
    return asked


def _flag(parameters: Mapping[str, Any], name: str, otherwise: bool) -> bool:
    value = parameters.get(name, otherwise)
    if type(value) is not bool:
        raise DataError(f"The parameter {name!r} is {reprlib.repr(value)}: give true or false.")
    return value


def _outputs(found: Sequence[Recommendations]) -> dict[str, np.ndarray]:
    """Rows with fewer items than the longest end in empty ids."""
    width = max(map(len, found), default=0)
    items = np.full((len(found), width), "", dtype=object)
    scores = np.full((len(found), width), NO_SCORE, dtype=np.float32)
    for row, answer in enumerate(found):
        items[row, : len(answer)] = [item.id for item in answer]
        scores[row, : len(answer)] = [_score(item.score) for item in answer]
    return {"items": items, "scores": scores, "fallback": np.array([answer.fallback for answer in found], dtype=bool)}


def _score(score: float | None) -> float:
    return NO_SCORE if score is None or not math.isfinite(score) else score


def _answer(name: str, number: str | None, asked: Mapping[str, bool], values: Mapping[str, np.ndarray]) -> Response:
    """The outputs that are asked for, in the form that is; ``number`` is the client's own for its request."""
    outputs, contents = [], []
    for output, binary in asked.items():
        if binary:
            said, content = binary_tensor(output, OUTPUTS[output][0], values[output])
            outputs.append(said)
            contents.append(content)
        else:
            outputs.append(json_tensor(output, OUTPUTS[output][0], values[output]))
    answer: dict[str, Any] = {"model_name": name, "model_version": VERSION, "outputs": outputs}
    if number is not None:
        answer["id"] = number
    response = Json(answer)
    if not contents:
        return response
    headers = {HEADER_LENGTH: str(len(response.body))}
    content = b"".join([bytes(response.body), *contents])
    return Response(content, headers=headers, media_type="application/octet-stream")
