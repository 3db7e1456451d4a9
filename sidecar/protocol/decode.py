"""One exchange → one call. Never raises: what cannot be read is kept raw and said.

The answer is parsed first, as it may name the version that every input's metadata carries.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sidecar.data import Data, Raw
from sidecar.exchange import Exchange, Head
from sidecar.protocol.call import Call, PredictProtocol, UndecodedError
from sidecar.protocol.content import MAX_CONTENT_BYTES, parse_json, unpack
from sidecar.protocol.openinference import BINARY_HEADER
from sidecar.protocol.registry import PROTOCOLS
from sidecar.protocol.routes import Route

_NO_METADATA: Mapping[str, Any] = {}


def decode(
    route: Route,
    exchange: Exchange,
    request_head: Head,
    response_head: Head | None,
    metadata: Mapping[str, Any] = _NO_METADATA,
    limit_bytes: int = MAX_CONTENT_BYTES,
) -> Call:
    """The call in `exchange`; each input carries `metadata` with the version filled in.

    A request that cannot be decoded is one raw input, and `error` says why. Outputs are None, and `output_error` says
    why, when the model refused, the answer is missing, cut short or unreadable, or does not pair with the inputs.
    `limit_bytes` bounds what a compressed body may unpack to.
    """
    protocol = PROTOCOLS[route.protocol]
    answer, output_error = _read_answer(exchange, response_head, limit_bytes)
    version = route.version or ("" if output_error else protocol.read_version(answer))
    if metadata:
        metadata = {**metadata, "version": version}
    inputs, error = _read_inputs(protocol, exchange.request.body, request_head, metadata, limit_bytes)
    outputs: tuple[Data | None, ...] = ()
    if not output_error:
        outputs, output_error = _pair(protocol, answer, len(inputs))
    if output_error:
        outputs = (None,) * len(inputs)
    return Call(
        route.protocol, route.model, version, route.user, route.app, inputs, outputs, error, output_error
    )  # fmt: skip


def _read_inputs(
    protocol: PredictProtocol, body: bytes, head: Head, metadata: Mapping[str, Any], limit_bytes: int
) -> tuple[tuple[Data, ...], str]:
    """The inputs, or one raw input and why."""
    try:
        body = unpack(body, head, limit_bytes)
        return protocol.read_inputs(_parse(body, head), metadata), ""
    except UndecodedError as undecoded:
        raw = Raw(content=body, media_type=head.get("content-type"))
        return (Data(raw=raw, metadata=metadata),), str(undecoded)


def _read_answer(exchange: Exchange, head: Head | None, limit_bytes: int) -> tuple[Any, str]:
    """The parsed answer, or why there is none."""
    if head is None or exchange.response is None:
        return None, "no answer"
    if not 200 <= head.status < 300:
        return None, f"status {head.status}"
    if not exchange.response_is_whole:
        return None, "the answer was cut short"
    try:
        return _parse(unpack(exchange.response.body, head, limit_bytes), head), ""
    except UndecodedError as undecoded:
        return None, f"the answer cannot be read: {undecoded}"


def _parse(content: bytes, head: Head) -> Any:  # noqa: ANN401 - any JSON value
    if head.get(BINARY_HEADER):
        raise UndecodedError("the binary tensor extension is not read yet")
    return parse_json(content)


def _pair(protocol: PredictProtocol, answer: object, count: int) -> tuple[tuple[Data | None, ...], str]:
    """As many outputs as inputs, or why not."""
    try:
        outputs = protocol.read_outputs(answer, count)
    except UndecodedError as undecoded:
        return (), f"the answer cannot be read: {undecoded}"
    if len(outputs) != count:
        return (), f"{len(outputs)} outputs for {count} inputs"
    return outputs, ""
