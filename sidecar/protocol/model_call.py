"""The other direction: a workflow's node asks a model server. Writes the request, judges the answer."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from sidecar.data import Data
from sidecar.errors import PermanentError, TransientError
from sidecar.protocol.call import UndecodedError
from sidecar.protocol.content import parse_json
from sidecar.protocol.registry import PROTOCOLS

MEDIA_TYPE = "application/json"
_WORTH_ANOTHER_TRY = frozenset((408, 425, 429))
_SHOWN_CHARACTERS = 200


def encode_request(protocol: str, inputs: Sequence[Data]) -> bytes:
    """The body of a predict call with `inputs`. Raises PermanentError for what the protocol cannot carry."""
    try:
        return orjson.dumps(PROTOCOLS[protocol].write_request(inputs))
    except orjson.JSONEncodeError as error:
        raise PermanentError(f"the input cannot be written as {protocol} JSON: {error}") from error


def decode_answer(protocol: str, status: int, body: bytes, count: int) -> tuple[Data, ...]:
    """The `count` outputs in a model's answer; `body` is without content coding.

    Raises TransientError for 408, 425, 429 and 5xx, PermanentError for any other refusal or an unreadable answer.
    """
    if not 200 <= status < 300:
        message = f"the model answered {status}: {_shown(body)}"
        if status >= 500 or status in _WORTH_ANOTHER_TRY:
            raise TransientError(message)
        raise PermanentError(message)
    try:
        outputs = PROTOCOLS[protocol].read_outputs(parse_json(body), count)
    except UndecodedError as error:
        raise PermanentError(f"the model's answer cannot be read as {protocol}: {error}") from error
    present = tuple(output for output in outputs if output is not None)
    if len(present) != count:
        raise PermanentError(f"the model answered {len(present)} outputs for {count} inputs")
    return present


def _shown(body: bytes) -> str:
    text = body[:_SHOWN_CHARACTERS].decode("utf-8", errors="replace")
    return text if text.isprintable() else repr(text)
