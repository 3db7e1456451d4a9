"""From a listing's query to what is looked for among the inputs, and where its next page begins."""

from __future__ import annotations

from sidecar.admin import queries
from sidecar.admin.asking import invalid
from sidecar.store.input_search import Wanted
from sidecar.store.inputs import StoredInput


def wanted_by(asked: queries.Inputs) -> Wanted:
    """What the query asks of an input. Raises Refusal where a value is asked for, and no concept to have it."""
    if (asked.least is not None or asked.most is not None) and not asked.concept:
        raise invalid("concept", "is missing: least and most are of a concept's value")
    return Wanted(**{name: getattr(asked, name) for name in Wanted._fields})


def write_place(stored: StoredInput) -> str:
    """The place after `stored`, as `before` is read."""
    return f"{stored.created_at!r},{stored.id}"
