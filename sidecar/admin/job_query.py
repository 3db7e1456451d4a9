"""Which jobs a request means: by `state`, `collector`, `destination`, `reason`, `since` and `until`, or by id, or all.

Owns that a change in bulk never means more than was said: ids, a filter or `all` stand alone, and nothing is no filter.
Raises Refusal naming the field.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sidecar.admin import bodies, queries
from sidecar.admin.asking import invalid
from sidecar.data import Json
from sidecar.queue.states import State
from sidecar.queue.values import Wanted

_TEXTS = ("collector", "destination", "reason")
_NARROWING = (*_TEXTS, "since", "until")


class Chosen(NamedTuple):
    """Which jobs to change, and how that was asked for: ids, a filter by its fields, or `all`."""

    wanted: Wanted
    asked_for: list[int] | dict[str, str] | str
    is_dry: bool


def wanted_by(asked: queries.Jobs | bodies.ChooseJobs) -> Wanted:
    """What a query, or a body's fields, ask of a job."""
    return Wanted(
        states=(State(asked.state),) if asked.state else (),
        collector=asked.collector or "",
        destination=asked.destination or "",
        reason=asked.reason or "",
        since=asked.since,
        until=asked.until,
    )


def chosen_by(body: Json) -> Chosen:
    """`{"ids": [1, 2]}`, or a filter such as `{"reason": "refused"}`, or `{"all": true}`."""
    ids, is_dry = body.get("ids"), body.get("dry_run") is True
    narrowed = {name: body[name] for name in _NARROWING if body.get(name) is not None}
    is_all = body.get("all") is True
    if [ids is not None, bool(narrowed), is_all].count(True) != 1 or (body.get("all") is not None and not is_all):
        names = ", ".join(_NARROWING)
        raise invalid("ids", f'must be a list of ids of dead jobs; or give at least one of {names}; or {{"all": true}}')
    if ids is not None:
        return Chosen(Wanted(ids=_whole(ids)), ids, is_dry)
    return Chosen(wanted_by(bodies.ChooseJobs.model_validate(body)), narrowed or "all", is_dry)


def _whole(ids: list[Any]) -> list[int]:
    if not all(isinstance(each, int) and not isinstance(each, bool) and 0 <= each < 2**63 for each in ids):
        raise invalid("ids", "must hold whole numbers")
    return ids
