"""The options of `destination: {cloudevents: {…}}`, checked without the extra that the destination itself needs."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from sidecar.delivery.secret import Secret
from sidecar.kit.addresses import refuse_password


def _check_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
        raise ValueError("write the whole address to which events are posted: http://host/path or https://host/path")
    refuse_password(url)
    return url


class KServeOptions(BaseModel):
    """Whose traffic a pair is said to be."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    inference_service: str = ""
    """Blank means the model's name."""
    namespace: str = Field(default="default", min_length=1)
    component: str = Field(default="predictor", min_length=1)
    endpoint: str = Field(default="default", min_length=1)


class CloudEventsOptions(BaseModel):
    """The options of `destination: {cloudevents: {…}}`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: Annotated[str, AfterValidator(_check_url)]
    mode: Literal["binary", "structured", "batched", "kserve"] = "binary"
    source: str = ""
    type: str = ""
    with_output: bool = Field(default=True, strict=True)
    """Send the model's output along; a pair of KServe always has it."""
    kserve: KServeOptions | None = None
    token: Secret | None = None
    """Sent as `Authorization: Bearer`."""
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    timeout_seconds: float = Field(default=30.0, gt=0, le=600, strict=True)
    max_batch_bytes: int = Field(default=1_000_000, ge=1, le=128_000_000, strict=True)
    """Of one request in batched mode; an event that is larger goes alone."""

    @model_validator(mode="after")
    def _fit_together(self) -> CloudEventsOptions:
        if self.mode == "kserve" and (self.type or not self.with_output):
            raise ValueError("mode kserve decides type and with_output itself: leave them out")
        if self.mode != "kserve" and self.kserve is not None:
            raise ValueError("kserve is for mode: kserve")
        if self.key_file and not self.certificate_file:
            raise ValueError("key_file belongs to a certificate_file")
        if (self.ca_file or self.certificate_file) and urlsplit(self.url).scheme != "https":
            raise ValueError("certificates are for https")
        return self
