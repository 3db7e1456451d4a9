"""One exchange → one call. Never raises: what cannot be read is kept raw and said.

The answer is parsed first, as it may name the version that every input's metadata carries. Whether a body can be read
is found out here; inputs and outputs are made when they are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sidecar.data import Data, Raw
from sidecar.protocol.call import Call, Metadata, PredictProtocol, Side, UndecodedError
from sidecar.protocol.content import MAX_CONTENT_BYTES, parse_json, refuse_binary, unpack
from sidecar.protocol.registry import PROTOCOLS
from sidecar.protocol.routes import Route

Describe = Callable[[str], Mapping[str, Any]]
"""Gives the metadata of every input, once the version is known."""


def _no_metadata(_version: str) -> Mapping[str, Any]:
    return {}


def decode(
    route: Route,
    request: Side,
    answer: Side | None,
    describe: Describe = _no_metadata,
    limit_bytes: int = MAX_CONTENT_BYTES,
) -> Call:
    """The call that went to `route`; `answer` is None when the model sent none.

    A request that cannot be decoded is one raw input, and `error` says why. Outputs are None, and `output_error` says
    why, when the model refused, the answer is missing, cut short or unreadable, or does not pair with the inputs.
    `limit_bytes` bounds what a compressed body may unpack to.
    """
    protocol = PROTOCOLS[route.protocol]
    answered, output_error = _read_answer(answer, limit_bytes)
    version = route.version or ("" if output_error else protocol.read_version(answered))
    inputs, error = _read_inputs(protocol, request, _once(describe, version), limit_bytes)
    outputs: Sequence[Data | None] = ()
    if not output_error:
        outputs, output_error = _pair(protocol, answered, len(inputs))
    if output_error:
        outputs = (None,) * len(inputs)
    return Call(
        route.protocol, route.model, version, route.user, route.app, inputs, outputs, error, output_error
    )  # fmt: skip


def _once(describe: Describe, version: str) -> Metadata:
    """All inputs of a call share what describes them."""
    made: list[Mapping[str, Any]] = []

    def metadata() -> Mapping[str, Any]:
        if not made:
            made.append(describe(version))
        return made[0]

    return metadata


def _read_inputs(
    protocol: PredictProtocol, request: Side, metadata: Metadata, limit_bytes: int
) -> tuple[Sequence[Data], str]:
    """The inputs, or one raw input and why."""
    head, body, _, is_plain = request
    try:
        if not is_plain:
            body = unpack(body, head, limit_bytes)
            refuse_binary(head)
        return protocol.read_inputs(parse_json(body), metadata), ""
    except UndecodedError as undecoded:
        raw = Raw(content=body, media_type=head.get("content-type"))
        return (Data(raw=raw, metadata=metadata()),), str(undecoded)


def _read_answer(answer: Side | None, limit_bytes: int) -> tuple[Any, str]:
    """The parsed answer, or why there is none."""
    if answer is None:
        return None, "no answer"
    head, body, is_whole, is_plain = answer
    if not 200 <= head.status < 300:
        return None, f"status {head.status}"
    if not is_whole:
        return None, "the answer was cut short"
    try:
        if not is_plain:
            body = unpack(body, head, limit_bytes)
            refuse_binary(head)
        return parse_json(body), ""
    except UndecodedError as undecoded:
        return None, f"the answer cannot be read: {undecoded}"


def _pair(protocol: PredictProtocol, answer: object, count: int) -> tuple[Sequence[Data | None], str]:
    """As many outputs as inputs, or why not."""
    try:
        outputs = protocol.read_outputs(answer, count)
    except UndecodedError as undecoded:
        return (), f"the answer cannot be read: {undecoded}"
    if len(outputs) != count:
        return (), f"{len(outputs)} outputs for {count} inputs"
    return outputs, ""
