"""A model server that workflows may call: where it is, how it is spoken to, what a call may cost. Frozen values.

Read from the setting `models` or from a policy file's `model:`. Holds where a secret stands, never the secret itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit


@dataclass(frozen=True, slots=True)
class SecretFrom:
    """Where a secret is read at each call: an environment variable or a file; exactly one of them is set."""

    env: str = ""
    file: str = ""

    def __str__(self) -> str:
        return f"environment variable {self.env}" if self.env else f"file {self.file}"


@dataclass(frozen=True, slots=True)
class ModelServer:
    """One model that a node may call by `id`."""

    id: str
    url: str
    """The whole address of its predict call."""
    protocol: str = ""
    """The shape of its calls, a name in `protocol.model_shapes`; blank: the path of `url` tells."""
    name: str = ""
    """What the server itself calls the model, for shapes that say it in the body; blank: `id`."""
    key: SecretFrom | None = None
    """Sent as `Authorization`."""
    headers: tuple[tuple[str, str | SecretFrom], ...] = ()
    timeout_seconds: float = 10.0
    connect_seconds: float = 3.0
    concurrency: int = 8
    """Calls under way at one time."""
    tries: int = 3
    """Quick tries inside one lease of a job; a pre-queue workflow has one."""
    breaker_failures: int = 5
    """Failures in a row after which the model is left alone for `breaker_seconds`, doubled up to a minute."""
    breaker_seconds: float = 5.0
    input_name: str = ""
    """The name of an input that has none of its own."""
    labels: tuple[str, ...] = ()
    """What the model's indexes stand for."""
    output: Mapping[str, str] = field(default_factory=dict)
    """Field of the data model → JMESPath over the answer; empty: the shape's own reading."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """What a node's own `output_info.params` are laid over."""
    origin: str = ""
    """The policy file's path, when it stands in one."""

    @property
    def address(self) -> str:
        """`url` as it may be shown: a query may hold a secret."""
        return urlunsplit(urlsplit(self.url)._replace(query="", fragment=""))
