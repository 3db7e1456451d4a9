"""The calls on keys. Whoever asks reaches no further than its own scopes: it can neither make nor take over a key that
may more than itself."""

from __future__ import annotations

from aiohttp import web

from sidecar.admin import bodies
from sidecar.admin.asking import invalid, read_json
from sidecar.admin.auth import who_asks
from sidecar.admin.envelope import Code, Refusal, plain
from sidecar.admin.keyring import KEYS, ApiKey
from sidecar.admin.scopes import Scope, write_scopes
from sidecar.data import Json

MAX_NAME_LENGTH = 100


async def create(request: web.Request) -> web.Response:
    """`{"name": "ci", "scopes": ["read"]}`; the token is in this answer and nowhere else."""
    body = await read_json(request, bodies.PostKey)
    name, scopes = _name(body), _scopes(body)
    _refuse_beyond(scopes)
    return _shown_once(*await request.app[KEYS].create(name, scopes))


async def list_all(request: web.Request) -> web.Response:
    return plain({"keys": [key.to_json() for key in request.app[KEYS].list_keys()]})


async def rotate(request: web.Request) -> web.Response:
    """Another token for the key; it too is shown once."""
    keys, name = request.app[KEYS], request.match_info["id"]
    _refuse_beyond(keys.get(name).scopes)
    return _shown_once(*await keys.rotate(name))


async def revoke(request: web.Request) -> web.Response:
    keys, name = request.app[KEYS], request.match_info["id"]
    _refuse_beyond(keys.get(name).scopes)
    return plain({"revoked": (await keys.revoke(name)).to_json()})


def _shown_once(key: ApiKey, token: str) -> web.Response:
    return plain({"key": key.to_json(), "token": token})


def _name(body: Json) -> str:
    name = body.get("name")
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > MAX_NAME_LENGTH:
        raise invalid("name", f"must be a line of text of at most {MAX_NAME_LENGTH} characters: who uses the key")
    return name.strip()


def _scopes(body: Json) -> frozenset[Scope]:
    names, known = body.get("scopes"), [scope.value for scope in Scope]
    if not isinstance(names, list) or not names or not all(name in known for name in names):
        raise invalid("scopes", f"must be a list of at least one of {', '.join(known)}")
    return frozenset(map(Scope, names))


def _refuse_beyond(scopes: frozenset[Scope]) -> None:
    beyond = scopes - who_asks().scopes
    if beyond:
        message = f"the key may more than you: you have no scope {', '.join(write_scopes(beyond))}"
        raise Refusal(Code.CONN_INSUFFICIENT_SCOPES, message)
