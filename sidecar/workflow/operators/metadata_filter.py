"""`metadata-filter` (*ours*): passes its input on where a JMESPath expression over the input's metadata is truthy.

The metadata is the original input's wherever the node stands in the graph: request headers on the allow-list, query,
path, caller, model, version, status and latency (see `capture.arrival`), and what the client sent as metadata. What the
node that it reads gave as metadata of its own, such as an object-counter's number, is under `node`.
"""

from __future__ import annotations

import jmespath
from jmespath.exceptions import (
    ArityError,
    EmptyExpressionError,
    JMESPathError,
    LexerError,
    ParseError,
    UnknownFunctionError,
)
from pydantic import field_validator

from sidecar.collector import Node
from sidecar.data import Data
from sidecar.errors import PermanentError
from sidecar.workflow.item import Item
from sidecar.workflow.operators.operator import EMPTY, Operator, Params


class MetadataFilterParams(Params):
    expression: str

    @field_validator("expression")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            jmespath.compile(value).search({})
        except (UnknownFunctionError, ArityError, ParseError, LexerError, EmptyExpressionError) as error:
            raise ValueError(f"is no JMESPath expression: {' '.join(str(error).split())}") from error
        except JMESPathError:
            pass  # fields that real metadata has are missing here
        return value


class MetadataFilter(Operator):
    params_model = MetadataFilterParams

    def __init__(self, node: Node, params: MetadataFilterParams) -> None:
        self._expression = params.expression
        self._search = jmespath.compile(params.expression).search

    def __call__(self, inputs: tuple[Data, ...], item: Item) -> Data:
        own, metadata = inputs[0].metadata, item.input.metadata
        if own and own is not metadata:
            metadata = {**metadata, "node": own}
        try:
            found = self._search(metadata)
        except JMESPathError as error:
            # its text would repeat the metadata
            raise PermanentError(f"{type(error).__name__} in {self._expression!r} on this metadata") from error
        return inputs[0] if _is_truthy(found) else EMPTY


def _is_truthy(value: object) -> bool:
    """JMESPath's own rule: null, false and what is empty are false; a number, also 0, is true."""
    return bool(value) or (value is not False and isinstance(value, int | float))
