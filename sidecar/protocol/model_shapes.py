"""Every shape in which a node can ask a model server, written out by hand, and how a server's shape is found.

The path of its URL tells, unless `protocol` names one: a gateway's path may be anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from sidecar.errors import ConfigurationError, Problem
from sidecar.model_server import ModelServer
from sidecar.protocol import asked_chat, asked_clarifai, asked_predict
from sidecar.protocol.asked import ModelShape, Params, whole
from sidecar.protocol.routes import recognise

SHAPES: Mapping[str, ModelShape] = {
    "tensorflow": ModelShape(
        asked_predict.TensorFlowParams, asked_predict.write_tensorflow, asked_predict.read_tensorflow, whole
    ),
    "openinference": ModelShape(
        asked_predict.OpenInferenceParams, asked_predict.write_openinference, asked_predict.read_openinference, whole
    ),
    "clarifai": ModelShape(
        asked_clarifai.ClarifaiParams, asked_clarifai.write_model, asked_clarifai.read_model, whole,
        asked_clarifai.judge, "Key",
    ),
    "clarifai-workflow": ModelShape(
        Params, asked_clarifai.write_workflow, asked_clarifai.read_workflow, whole,
        asked_clarifai.judge, "Key",
    ),
    "chat": ModelShape(asked_chat.ChatParams, asked_chat.write, asked_chat.read, asked_chat.document),
}  # fmt: skip
_PATHS: Mapping[str, re.Pattern[str]] = {
    "chat": re.compile(r".*/chat/completions"),
    "clarifai-workflow": re.compile(r".*/v2(/users/[^/]+/apps/[^/]+)?/workflows/[^/]+(/versions/[^/]+)?/results"),
}


def shape_name_of(server: ModelServer) -> str:
    """The name of `server`'s shape. Raises ConfigurationError when neither `protocol` nor the path tells one."""
    if server.protocol:
        return server.protocol
    path = urlsplit(server.url).path
    for name, pattern in _PATHS.items():
        if pattern.fullmatch(path):
            return name
    route = recognise(b"POST", path.encode())
    if route is None or route.protocol not in SHAPES:
        message = (
            f"{server.address} is no predict call that can be told by its path: write for example "
            f"http://host:8501/v1/models/{server.id}:predict, or name its protocol: {', '.join(SHAPES)}"
        )
        raise ConfigurationError(Problem(message, field="url"))
    return route.protocol


def shape_of(server: ModelServer) -> ModelShape:
    """How `server` is asked. Raises ConfigurationError."""
    return SHAPES[shape_name_of(server)]
