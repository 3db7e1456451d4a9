"""The shapes in which people write policies, as pydantic models: the Clarifai Collectors contract, plus what is ours.

Owns names and types only: snake_case and camelCase both read, unknown fields are refused, a number never passes for a
string nor a string for a number. What depends on more than one field is judged in `policy.wire`. Every field may be
missing here, so that a PATCH is read by the same model and tells what it supplied.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AliasChoices,
    AliasGenerator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from sidecar.collector import Status
from sidecar.kit.ids import ID
from sidecar.policy.destination_shape import DestinationsShape
from sidecar.redaction.addresses import compile_address
from sidecar.redaction.detectors import known_regions
from sidecar.redaction.rules import check_mask

MAX_ID_LENGTH = 48
ONE_SOURCE = "a collector has exactly one; write one collector for each"
STATUS_WORDS = {"active": Status.COLLECTOR_ACTIVE, "inactive": Status.COLLECTOR_INACTIVE}


def read_id(value: object) -> object:
    """`value` if it is an id by the contract's pattern. Raises ValueError."""
    if isinstance(value, str) and (len(value) > MAX_ID_LENGTH or not ID.fullmatch(value)):
        raise ValueError(
            f"is not an id: letters and digits, single - or _ between them, at most {MAX_ID_LENGTH} characters"
        )
    return value


def read_optional_id(value: object) -> object:
    """An id, or blank: none."""
    return value if value == "" else read_id(value)


def read_status(value: object) -> object:
    """The state as the contract's `{code}`, or as one word or number; None where none is said. Raises ValueError."""
    if isinstance(value, dict):
        unknown = sorted(set(map(str, value)) - {"code", "description", "details", "req_id", "reqId"})
        if unknown:
            raise ValueError(f"has no field {unknown[0]!r}: write {{code: COLLECTOR_ACTIVE}}, or one word")
        value = value.get("code")
    if value is None:
        return None
    if isinstance(value, str) and (value in Status.__members__ or value.lower() in STATUS_WORDS):
        return Status[value] if value in Status.__members__ else STATUS_WORDS[value.lower()]
    if isinstance(value, int | float) and not isinstance(value, bool) and value in list(Status):
        return Status(int(value))
    raise ValueError("must be active or inactive (COLLECTOR_ACTIVE, 52001; COLLECTOR_INACTIVE, 52002)")


def read_one_source(value: object) -> object:
    """`value` unless it holds several sources. Raises ValueError that names them."""
    names = [str(name) for name in value] if isinstance(value, dict) else []
    if len(names) > 1 and all(name.endswith(("_source", "Source")) for name in names):
        raise ValueError(f"two sources, {' and '.join(names)}: {ONE_SOURCE}")
    if isinstance(value, list) and value:
        raise ValueError(f"must be an object, not a list of {len(value)}: {ONE_SOURCE}")
    return value


_ID_SCHEMA = {"type": "string", "pattern": f"^{ID.pattern}$", "maxLength": MAX_ID_LENGTH}
_STATES = [*Status.__members__, *STATUS_WORDS, *map(int, Status), None]
_STATUS_SCHEMA = {
    "anyOf": [
        {"enum": _STATES},
        {"type": "object", "additionalProperties": False, "properties": {"code": {"enum": _STATES}, "description": {}}},
    ]
}

Id = Annotated[str, BeforeValidator(read_id), WithJsonSchema(_ID_SCHEMA)]
OptionalId = Annotated[
    str, BeforeValidator(read_optional_id), WithJsonSchema({"anyOf": [{"const": ""}, _ID_SCHEMA]})
]  # fmt: skip
StatusShape = Annotated[Status | None, BeforeValidator(read_status), WithJsonSchema(_STATUS_SCHEMA)]
Fraction = Annotated[float, Field(strict=True, gt=0, le=1, allow_inf_nan=False)]
NotBlank = Annotated[str, Field(min_length=1)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class Shape(BaseModel):
    """What all shapes share: both spellings of a name are read, and no other name is."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        protected_namespaces=(),
        hide_input_in_errors=True,
        alias_generator=AliasGenerator(validation_alias=lambda name: AliasChoices(name, to_camel(name))),
    )


class ModelSourceShape(Shape):
    """`api_post_model_outputs_collector_source`."""

    model_id: str | None = None
    model_version_id: str | None = None
    model_user_id: str | None = None
    model_app_id: str | None = None
    caller_user_id: str | None = None
    post_inputs_key_id: str | None = None


class CollectorSourceShape(Shape):
    api_post_model_outputs_collector_source: ModelSourceShape | None = None


class ShortSourceShape(Shape):
    """*Ours*: the same for models without the contract's four ids."""

    model: str | None = None
    version: str | None = None
    user: str | None = None
    app: str | None = None
    caller: str | None = None
    key: str | None = None


class OwnedShape(Shape):
    """What a collector and a workflow share; the server sets the last three and passes over what is sent."""

    id: Id | None = None
    description: str | None = None
    user_id: Id | None = None
    app_id: Id | None = None
    created_at: Any = None
    managed_by: Any = None
    origin: Any = None


class RedactShape(Shape):
    """*Ours*: one rule of `redact`."""

    remove: NotBlank | None = None
    mask: NotBlank | None = None
    detect: Annotated[list[NotBlank], Field(min_length=1)] | None = None
    regions: list[str] | None = None
    to: str | None = None
    keep_unread: Annotated[list[Literal["image", "video", "audio", "text", "binary"]], Field(min_length=1)] | None = (
        None
    )

    @field_validator("remove")
    @classmethod
    def _leads_somewhere(cls, value: str | None) -> str | None:
        if value is not None:
            compile_address(value)
        return value

    @field_validator("mask")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        if value is not None:
            check_mask(value)
        return value

    @field_validator("regions")
    @classmethod
    def _are_known(cls, value: list[str] | None) -> list[str] | None:
        if set(value or ()) - known_regions():
            raise ValueError("must be regions by ISO 3166, such as US, DE")
        return value

    @model_validator(mode="after")
    def _is_one_rule(self) -> Self:
        if sum(each is not None for each in (self.remove, self.mask, self.detect, self.keep_unread)) != 1:
            raise ValueError("must be one rule: remove, mask, detect or keep_unread")
        if self.to is not None and not (self.mask or self.detect):
            raise ValueError("`to` belongs to mask or detect")
        if self.regions is not None and "phone" not in (self.detect or ()):
            raise ValueError("`regions` belongs to `detect: [phone]`")
        return self


class CollectorShape(OwnedShape):
    pre_queue_workflow_id: OptionalId | None = None
    pre_queue_random_sample: Fraction | None = None
    post_queue_workflow_id: OptionalId | None = None
    collector_source: Annotated[CollectorSourceShape | None, BeforeValidator(read_one_source)] = None
    source: Annotated[ShortSourceShape | None, BeforeValidator(read_one_source)] = None
    status: StatusShape = None
    collect_outputs: StrictBool | None = None
    keep_input: StrictBool | None = None
    sample_exchanges: Fraction | None = None
    redact: list[RedactShape] | None = None
    collect_failures: StrictBool | None = None
    destination: DestinationsShape | None = None


class ConceptShape(Shape):
    id: str
    value: Number | None = None
    name: str | None = None


class OutputDataShape(Shape):
    concepts: list[ConceptShape] | None = None


class OutputInfoShape(Shape):
    params: dict[str, Any] | None = None
    data: OutputDataShape | None = None


class ModelVersionShape(Shape):
    id: str | None = None


class NodeModelShape(Shape):
    """A node's model; the contract's files say `model_id` and `model_version_id`, its API `id` and `model_version`."""

    model_id: str | None = None
    id: str | None = None
    model_type_id: str | None = None
    model_version_id: str | None = None
    model_version: ModelVersionShape | None = None
    user_id: str | None = None
    app_id: str | None = None
    description: str | None = None
    output_info: OutputInfoShape | None = None


class NodeInputShape(Shape):
    node_id: str


class NodeShape(Shape):
    id: str
    model: NodeModelShape
    node_inputs: Annotated[list[NodeInputShape], Field(min_length=1)] | None = None
    suppress_output: StrictBool | None = None


class WorkflowShape(OwnedShape):
    nodes: list[NodeShape] | None = None
