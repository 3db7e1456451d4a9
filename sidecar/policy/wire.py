"""Collectors: what people write, in a file or through the API, to the frozen values and back.

Promises to find every fault at once, to name each by its field path, and never to repeat a value in a message. What is
written is always the contract's long form in snake_case; the short `source:` is only read. Reading what was written
gives the same value again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from sidecar.collector import DEFAULT_APP, DEFAULT_USER, Collector, Destination, ManagedBy, RedactRule, Source
from sidecar.errors import ConfigurationError, Problem
from sidecar.kit.validation import faults_of
from sidecar.policy.shapes import ONE_SOURCE, CollectorShape, RedactShape

Json = dict[str, Any]
ShapeT = TypeVar("ShapeT", bound=BaseModel)

MODEL_SOURCE = "api_post_model_outputs_collector_source"
_LONG_NAMES = {
    "model": "model_id",
    "version": "model_version_id",
    "user": "model_user_id",
    "app": "model_app_id",
    "caller": "caller_user_id",
    "key": "post_inputs_key_id",
}
_STARTS = ("pre_queue_workflow_id", "post_queue_workflow_id", "pre_queue_random_sample")
_RULE_LISTS = ("detect", "regions", "keep_unread")
_PLAIN = (
    "id",
    "description",
    *_STARTS,
    "collect_outputs",
    "keep_input",
    "sample_exchanges",
    "collect_failures",
    "status",
)


def read_collector(
    obj: object,
    user_id: str = DEFAULT_USER,
    app_id: str = DEFAULT_APP,
    file: str = "",
    *,
    where: str = "collector",
    created_at: str = "",
) -> Collector:
    """The collector that `obj` describes, in the contract's shape or with the short `source:`.

    A collector read from a `file` may name its own `user_id` and `app_id`; any other belongs to those given. Raises
    ConfigurationError with every fault, each with its field path below `where`.
    """
    supplied = _supplied(read_shape(CollectorShape, obj, where, file), where, file)
    return _collector(supplied, user_id, app_id, file, where, created_at)


def write_collector(collector: Collector) -> Json:
    """`collector` in the contract's shape, plus `managed_by` and `origin`; blank fields are left out."""
    plain = {name: getattr(collector, name) for name in _PLAIN}
    plain["status"] = {"code": int(collector.status), "description": collector.status.name}
    plain["collector_source"] = {MODEL_SOURCE: _write_source(collector.source)}
    if collector.destinations != (Destination(),):
        written = [_write_destination(each) for each in collector.destinations]
        plain["destination"] = written if len(written) > 1 else written[0]
    if collector.redact:
        plain["redact"] = [_write_rule(rule) for rule in collector.redact]
    plain |= {"created_at": collector.created_at, "managed_by": str(collector.managed_by), "origin": collector.origin}
    return {name: value for name, value in plain.items() if value not in ("", None)}


def patch_collector(old: Collector, supplied: object, *, where: str = "collector") -> Collector:
    """`old` with only the supplied fields replaced, those of its source each by itself.

    So a patch that names a model and no caller can never widen a collector to every caller. An explicit empty string
    or null clears a field, as long as one of the three remains; a status that says nothing leaves a paused collector
    paused. Raises ConfigurationError.
    """
    change = _supplied(read_shape(CollectorShape, supplied, where, old.origin), where, old.origin)
    kept = _supplied(CollectorShape.model_validate(write_collector(old)), where)
    if change.fields.get("status") is None:
        change.fields.pop("status", None)
    merged = _Supplied(kept.fields | change.fields, kept.source | change.source, change.model_field)
    return _collector(merged, old.user_id, old.app_id, old.origin, where, old.created_at)


def read_shape(shape: type[ShapeT], obj: object, where: str, file: str) -> ShapeT:
    """`obj` read as `shape`. Raises ConfigurationError."""
    try:
        return shape.model_validate(obj)
    except ValidationError as error:
        faults = faults_of(error, shape, where)
    raise ConfigurationError([Problem(fault.message, fault.field, file) for fault in faults])


def owner_of(fields: Mapping[str, Any], user_id: str, app_id: str, file: str, where: str) -> list[Problem]:
    """The faults in what `fields` says about its own user and app: only a file may choose them."""
    return [
        Problem("is not the one that the request names", field=f"{where}.{name}")
        for name, own in (("user_id", user_id), ("app_id", app_id))
        if fields.get(name) and fields[name] != own and not file
    ]


class _Supplied(NamedTuple):
    """What was written: the fields that were supplied, less the source; the source in the long names."""

    fields: Json
    source: Json
    model_field: str
    """Where the model stands, or would have to."""


def _supplied(shape: CollectorShape, where: str, file: str = "") -> _Supplied:
    fields = {name: getattr(shape, name) for name in shape.model_fields_set}
    long, short = fields.pop("collector_source", None), fields.pop("source", None)
    if long is not None and short is not None:
        message = f"two sources, source and collector_source: {ONE_SOURCE}"
        raise ConfigurationError(Problem(message, field=f"{where}.source", file=file))
    if short is not None:
        source = {_LONG_NAMES[name]: value for name, value in short.model_dump(exclude_unset=True).items()}
        return _Supplied(fields, source, f"{where}.source.model")
    inner = long and long.api_post_model_outputs_collector_source
    source = inner.model_dump(exclude_unset=True) if inner else {}
    return _Supplied(fields, source, f"{where}.collector_source.{MODEL_SOURCE}.model_id")


def _collector(
    supplied: _Supplied, user_id: str, app_id: str, file: str, where: str, created_at: str
) -> Collector:  # fmt: skip
    fields = {name: value for name, value in supplied.fields.items() if value is not None}
    problems = owner_of(fields, user_id, app_id, file, where)
    if "id" not in fields:
        problems.append(Problem("is missing", field=f"{where}.id"))
    if not supplied.source.get("model_id"):
        message = "is missing: a collector watches exactly one model, `source: {model: …}`"
        problems.append(Problem(message, field=supplied.model_field))
    if not any(fields.get(name) for name in _STARTS):
        problems.append(Problem(f"three workflows missing: write at least one of {', '.join(_STARTS)}", field=where))
    if problems:
        raise ConfigurationError([dataclasses.replace(problem, file=file) for problem in problems])
    return Collector(
        **{name: fields[name] for name in _PLAIN if name in fields},
        source=Source(**{name: value for name, value in supplied.source.items() if value}),
        user_id=fields.get("user_id", user_id),
        app_id=fields.get("app_id", app_id),
        destinations=fields.get("destination", (Destination(),)),
        redact=tuple([_rule(shape) for shape in fields.get("redact", ())]),
        created_at=created_at,
        managed_by=ManagedBy.FILE if file else ManagedBy.API,
        origin=file,
    )


def _write_destination(destination: Destination) -> Json:
    named = {} if destination.name == destination.kind else {"name": destination.name}
    return {destination.kind: dict(destination.options), **named}


def _write_source(source: Source) -> Json:
    return {name: value for name in _LONG_NAMES.values() if (value := getattr(source, name))}


def _rule(shape: RedactShape) -> RedactRule:
    lists = {name: tuple(getattr(shape, name) or ()) for name in _RULE_LISTS}
    return RedactRule(remove=shape.remove or "", mask=shape.mask or "", to=shape.to, **lists)


def _write_rule(rule: RedactRule) -> Json:
    lists = {name: list(getattr(rule, name)) for name in _RULE_LISTS}
    wire = {"remove": rule.remove, "mask": rule.mask, **lists}
    return {name: value for name, value in wire.items() if value} | ({} if rule.to is None else {"to": rule.to})
