"""The options of `destination: {files: {…}}`. No secret can stand in them: credentials come from the environment."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from sidecar.kit.addresses import refuse_password
from sidecar.kit.sizes import parse_bytes, parse_seconds
from sidecar.records.formats import check_format

OBJECT_STORES = ("s3", "gs", "az")
MISSING = "needs the extra `object-stores`: pip install 'collector-sidecar[object-stores]'"


def _check_url(url: str) -> str:
    parts = urlsplit(url)
    refuse_password(url)
    if parts.query or parts.fragment:
        raise ValueError("must hold no ? or #: credentials come from the environment, never from a policy")
    if parts.scheme in OBJECT_STORES:
        if not parts.netloc:
            raise ValueError(f"names no bucket: write {parts.scheme}://bucket/path")
        if importlib.util.find_spec("obstore") is None:
            raise ValueError(MISSING)
    elif parts.scheme not in ("", "file") or parts.netloc or not Path(parts.path).is_absolute():
        raise ValueError(
            "write an absolute path, file:///path, s3://bucket/path, gs://bucket/path or az://container/path"
        )
    return url


def _check_endpoint(url: str) -> str:
    parts = urlsplit(url)
    refuse_password(url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment):
        raise ValueError("write http://host or https://host")
    return url.rstrip("/")


def _check_format(name: str) -> str:
    check_format(name)
    return name


def _size(value: object) -> object:
    """Bytes, from text with a unit or a number."""
    return parse_bytes(value) if isinstance(value, str) else value


def _seconds(value: object) -> object:
    """Seconds, from text with a unit or a number."""
    return parse_seconds(value) if isinstance(value, str) else value


Size = Annotated[int, BeforeValidator(_size)]
Seconds = Annotated[float, BeforeValidator(_seconds)]


class RecordFilesOptions(BaseModel):
    """Sizes and times are texts with a unit, such as `16MiB` and `5m`, or numbers of bytes and seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: Annotated[str, AfterValidator(_check_url)]
    format: Annotated[str, AfterValidator(_check_format)] = "exchange"
    roll_after: Seconds = Field(default=300.0, ge=1, le=86_400)
    """How long what was delivered may wait to become a file."""
    roll_size: Size = Field(default=16 * 2**20, ge=1, le=256 * 2**20)
    """How large it may grow until then."""
    keep_for: Seconds | None = Field(default=None, gt=0)
    """Files older than that are deleted; None keeps them."""
    keep_size: Size | None = Field(default=None, gt=0)
    """Beyond that many bytes in all, the oldest files are deleted; None keeps them."""
    endpoint: Annotated[str, AfterValidator(_check_endpoint)] = ""
    """The address of an object store that is not its vendor's own."""
    region: str = ""
    account: str = ""
    """The storage account of an `az` address."""
    timeout_seconds: float = Field(default=30.0, gt=0, le=600, strict=True)
    """For each file that is written, read, listed or deleted."""

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        scheme = urlsplit(self.url).scheme
        for name, schemes in (("endpoint", OBJECT_STORES), ("region", ("s3",)), ("account", ("az",))):
            if getattr(self, name) and scheme not in schemes:
                raise ValueError(f"{name} is for {', '.join(schemes)} addresses only")
        return self
