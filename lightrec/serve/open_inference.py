"""The Open Inference Protocol (KServe V2), so that clients of Triton or OpenVINO Model Server can switch.

Unlike the graph that those servers run, this model takes and gives the items' own ids. Triton's binary extension is
understood, which its clients use unless told otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException

import lightrec
from lightrec.errors import DataError
from lightrec.runtime.recommender import Recommendations
from lightrec.serve.questions import MOST_ITEMS, MOST_USERS
from lightrec.serve.service import Service
from lightrec.serve.tensors import Datatype, InferRequest, binary_tensor, json_tensor, read_tensor

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
REFERENCE = "#/components/schemas/{model}"
NO_SCORE = float(np.finfo(np.float32).min)
"""Stands where there is no item, and for the items that popularity gave: JSON has no infinity."""


def add_open_inference(app: FastAPI, service: Service) -> None:
    """Add the routes below /v2."""
    name = service.settings.name

    @app.get("/v2", tags=["v2"], summary="The server")
    async def server() -> Response:
        return JSONResponse({"name": "lightrec", "version": lightrec.__version__, "extensions": ["binary_tensor_data"]})

    @app.get("/v2/health/live", tags=["v2"], summary="The process runs")
    async def live() -> Response:
        return JSONResponse({"live": True})

    @app.get("/v2/health/ready", tags=["v2"], summary="Requests are answered")
    async def ready() -> Response:
        return JSONResponse({"ready": service.ready}, 200 if service.ready else 503)

    @app.get("/v2/models/{model}", tags=["v2"], summary="Inputs and outputs")
    @app.get("/v2/models/{model}/versions/{version}", include_in_schema=False)
    async def metadata(model: str, version: str = VERSION) -> Response:
        _require(name, model, version)
        return JSONResponse(
            {
                "name": name,
                "versions": [VERSION],
                "platform": "lightrec",
                "inputs": [{"name": key, "datatype": types[0], "shape": s} for key, (types, s) in INPUTS.items()],
                "outputs": [{"name": key, "datatype": kind, "shape": s} for key, (kind, s) in OUTPUTS.items()],
            }
        )

    @app.get("/v2/models/{model}/ready", tags=["v2"], summary="The model answers")
    @app.get("/v2/models/{model}/versions/{version}/ready", include_in_schema=False)
    async def model_ready(model: str, version: str = VERSION) -> Response:
        _require(name, model, version)
        return JSONResponse({"name": name, "ready": service.ready}, 200 if service.ready else 503)

    schema = {
        "requestBody": {"content": {"application/json": {"schema": {"$ref": REFERENCE.format(model="InferRequest")}}}}
    }

    @app.post("/v2/models/{model}/infer", tags=["v2"], summary="The next items for a batch", openapi_extra=schema)
    @app.post("/v2/models/{model}/versions/{version}/infer", include_in_schema=False)
    async def infer(request: Request, model: str, version: str = VERSION) -> Response:
        _require(name, model, version)
        question, tensors = _read(await request.body(), request.headers.get(HEADER_LENGTH))
        histories, excludes, k = _histories(tensors)
        found = await service.ask(lambda recommender: recommender.recommend_batch(histories, k, excludes))
        return _answer(name, question, _outputs(found))

    describe = app.openapi

    def described() -> dict[str, Any]:
        """With the schema of a body that FastAPI does not read."""
        page = describe()
        request = InferRequest.model_json_schema(ref_template=REFERENCE)
        page["components"]["schemas"] |= {**request.pop("$defs"), "InferRequest": request}
        return page

    app.openapi = described  # type: ignore[method-assign]


def _require(name: str, model: str, version: str) -> None:
    if (model, version) != (name, VERSION):
        raise HTTPException(404, f"There is no model {model!r} of version {version}: ask for {name!r}, {VERSION}.")


def _read(body: bytes, header_length: str | None) -> tuple[InferRequest, dict[str, np.ndarray]]:
    """The request and its tensors by name."""
    size = len(body) if header_length is None else int(header_length) if header_length.isdigit() else -1
    if not 0 <= size <= len(body):
        raise DataError(f"The header {HEADER_LENGTH} says {header_length}, the body has {len(body)} bytes.")
    try:
        question = InferRequest.model_validate_json(body[:size])
    except ValidationError as error:
        raise RequestValidationError([{**e, "loc": ("body", *e["loc"])} for e in error.errors()]) from None
    tensors, place = {}, size
    for tensor in question.inputs:
        types, shape = INPUTS.get(tensor.name, ((), []))
        if tensor.datatype not in types:
            raise DataError(f"There is no input {tensor.name!r} of type {tensor.datatype}: see /v2/models.")
        if len(tensor.shape) != len(shape) and tensor.name not in ("history", "exclude"):
            raise DataError(f"The input {tensor.name!r} has {len(tensor.shape)} dimensions, not {len(shape)}.")
        length = tensor.parameters.get("binary_data_size")
        appended = body[place : place + length] if isinstance(length, int) and length >= 0 else None
        place += len(appended or b"")
        tensors[tensor.name] = read_tensor(tensor, appended)
    return question, tensors


def _histories(tensors: dict[str, np.ndarray]) -> tuple[list[list[Any]], list[list[Any]] | None, int]:
    """Histories, exclusions and k. What fills rows up is cut off by ``length``, or skipped as no known id."""
    if "history" not in tensors:
        raise DataError("The input 'history' is missing.")
    rows = np.atleast_2d(tensors["history"]).tolist()
    lengths = tensors.get("length", np.full(len(rows), len(rows[0]) if rows else 0)).tolist()
    excludes = np.atleast_2d(tensors["exclude"]).tolist() if "exclude" in tensors else None
    k = int(tensors["k"].ravel()[0]) if "k" in tensors and tensors["k"].size else 10
    if len(rows) > MOST_USERS or not 1 <= k <= MOST_ITEMS:
        raise DataError(f"Ask for at most {MOST_USERS} users at once, and for 1 to {MOST_ITEMS} items.")
    if len(lengths) != len(rows) or (lengths and min(lengths) < 0):
        raise DataError(f"The input 'length' holds {lengths[:9]} for {len(rows)} histories: give one number for each.")
    return [row[:length] for row, length in zip(rows, lengths, strict=True)], excludes, k


def _outputs(found: Sequence[Recommendations]) -> dict[str, np.ndarray]:
    """Rows with fewer items than the longest end in empty ids."""
    width = max(map(len, found), default=0)
    items = np.full((len(found), width), "", dtype=object)
    scores = np.full((len(found), width), NO_SCORE, dtype=np.float32)
    for row, answer in enumerate(found):
        items[row, : len(answer)] = [item.id for item in answer]
        scores[row, : len(answer)] = [NO_SCORE if item.score is None else item.score for item in answer]
    return {"items": items, "scores": scores, "fallback": np.array([answer.fallback for answer in found], dtype=bool)}


def _answer(name: str, question: InferRequest, values: dict[str, np.ndarray]) -> Response:
    """The outputs that are asked for, in the form that is."""
    wanted = question.outputs
    asked: dict[str, dict[str, Any]] = {output: {} for output in OUTPUTS}
    if wanted:
        asked = {output.name: output.parameters for output in wanted}
    unknown = [output for output in asked if output not in OUTPUTS]
    if unknown:
        raise DataError(f"There is no output {unknown[0]!r}: choose from {', '.join(OUTPUTS)}.")
    binary = bool(question.parameters.get("binary_data_output"))
    outputs, contents = [], []
    for output, parameters in asked.items():
        if parameters.get("binary_data", binary):
            said, content = binary_tensor(output, OUTPUTS[output][0], values[output])
            outputs.append(said)
            contents.append(content)
        else:
            outputs.append(json_tensor(output, OUTPUTS[output][0], values[output]))
    answer: dict[str, Any] = {"model_name": name, "model_version": VERSION, "outputs": outputs}
    if question.id is not None:
        answer["id"] = question.id
    if not contents:
        return JSONResponse(answer)
    header = json.dumps(answer).encode()
    headers = {HEADER_LENGTH: str(len(header))}
    return Response(b"".join([header, *contents]), headers=headers, media_type="application/octet-stream")
