"""Tags of what is answered, so that two who edit the same do not overwrite each other.

A tag is a hash of the content, so it is strong, the same after a restart, and the same in every sidecar that holds the
same. With `If-None-Match` nobody gets what it has already; with `If-Match` nothing is changed that is no longer what
the caller saw. Without these headers nothing differs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import orjson
from aiohttp import web

from sidecar.admin.envelope import Code, Refusal, answer
from sidecar.collector import Collector, Workflow
from sidecar.data import Json

_ANY = "*"
_CACHED = "private, no-cache"


def tag_of(content: object) -> str:
    """The hash of a JSON value, without quotes."""
    whole = orjson.dumps(content, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return hashlib.blake2b(whole, digest_size=16).hexdigest()


def tagged(request: web.Request, name: str, content: object) -> web.Response:
    """The answer with `content` under `name` and its tag; 304 without a body where the caller has that already."""
    tag = tag_of(content)
    given = request.if_none_match
    if given is not None and any(each.value in (tag, _ANY) for each in given):
        return web.Response(status=304, headers={"ETag": f'"{tag}"', "Cache-Control": _CACHED})
    named: Json = {name: content}
    response = answer(**named)
    response.etag = tag
    response.headers["Cache-Control"] = _CACHED
    return response


def required(request: web.Request, show: Callable[..., Json]) -> Callable[[Collector | Workflow], None]:
    """What judges a policy before it is changed: raises Refusal where there is an If-Match and its tag is not in it.

    One request may change several policies; the tag of each has to be there.
    """
    given = request.if_match

    def judge(policy: Collector | Workflow) -> None:
        if given is not None and not any(each.value in (_ANY, tag_of(show(policy))) for each in given):
            message = f"{policy.id!r} is not what you saw, somebody else changed it: get it again, nothing was done"
            raise Refusal(Code.PRECONDITION_FAILED, message)

    return judge
