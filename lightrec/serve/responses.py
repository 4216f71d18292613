"""Response bodies of the routes other than recommendations; the OpenAPI page is made from these classes."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from lightrec.serve.open_inference.tensors import Datatype


class Live(BaseModel):
    """The process runs."""

    live: bool


class Ready(BaseModel):
    """Whether requests are answered."""

    ready: bool


class Served(BaseModel):
    """The bundle that answers."""

    model_type: str
    created: str
    items: int
    backend: str
    precision: str


class Health(Live, Ready):
    """All of it."""

    bundle: Served


class Reloaded(BaseModel):
    """The bundle that answers from now on."""

    items: int
    created: str


class Platform(BaseModel):
    """The server, in the words of the Open Inference Protocol."""

    name: str
    version: str
    extensions: list[str]


class TensorKind(BaseModel):
    """An input or output of the model."""

    name: str
    datatype: Datatype
    shape: list[int] = Field(description="-1 where any size will do.")


class Model(BaseModel):
    """The only model."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorKind]
    outputs: list[TensorKind]


class ModelReady(Ready):
    """Whether it answers."""

    name: str


class OutputTensor(BaseModel):
    """An output; in the binary form its bytes follow behind the JSON."""

    name: str
    datatype: Datatype
    shape: list[int]
    data: list[Any] | None = Field(None, description="Row by row, flat.")
    parameters: dict[str, Any] | None = None


class InferAnswer(BaseModel):
    """The outputs that were asked for."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


def live() -> dict[str, bool]:
    """:class:`Live`, for JSON."""
    return {"live": True}


def readiness(ready: bool) -> tuple[dict[str, object], int]:
    """:class:`Ready`, or the problem that there is, and its status."""
    return ({"ready": True}, 200) if ready else ({"ready": False, "error": "The service is stopping."}, 503)
