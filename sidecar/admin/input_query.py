"""What a listing of inputs is narrowed by, in its query: `collector`, `caller`, `model`, `version`, `concept` with
`least` and `most`, `since` and `until`, `text`; and where a page begins. Raises Refusal naming the parameter.
"""

from __future__ import annotations

from aiohttp import web

from sidecar.admin.asking import finite, invalid, moment_in
from sidecar.store.input_search import Place, Wanted
from sidecar.store.inputs import StoredInput

_NAMES = ("collector", "caller", "model", "version", "concept", "text")
_MOST_CHARACTERS = 512


def wanted_by(request: web.Request) -> Wanted:
    """What the query asks of an input."""
    texts = {name: request.query.get(name, "") for name in _NAMES}
    for name, text in texts.items():
        if len(text) > _MOST_CHARACTERS or "\0" in text:
            raise invalid(name, f"must be text of at most {_MOST_CHARACTERS} characters")
    least, most = (_number(request, name) for name in ("least", "most"))
    if (least is not None or most is not None) and not texts["concept"]:
        raise invalid("concept", "is missing: least and most are of a concept's value")
    since, until = (moment_in(name, request.query.get(name, "")) for name in ("since", "until"))
    return Wanted(**texts, least=least, most=most, since=since, until=until)


def place_before(request: web.Request) -> Place | None:
    """Where the page begins: what an earlier answer said as `next_before`."""
    given = request.query.get("before", "")
    if not given:
        return None
    moment, _, name = given.partition(",")
    if not name:
        raise invalid("before", "must be an answer's next_before")
    return Place(finite("before", moment), name)


def write_place(stored: StoredInput) -> str:
    """The place after `stored`, as `place_before` reads it."""
    return f"{stored.created_at!r},{stored.id}"


def _number(request: web.Request, name: str) -> float | None:
    given = request.query.get(name, "")
    return finite(name, given) if given else None
