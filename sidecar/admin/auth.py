"""Who may ask: a token or a key with the route's scope; without any token set, only this machine, and no other site's
page.

Promises that a token is compared in constant time and never answered or logged; that an address which brings too many
wrong ones has to wait, and is not listened to until then; that without a token a page of another origin can neither
read (the Host must be a loopback name, so a rebound DNS name fails) nor change (Origin and Sec-Fetch-Site must be
ours). Health and the static page, which hold no data, are open.
"""

from __future__ import annotations

import hmac
import math
from collections.abc import Mapping
from contextvars import ContextVar
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from sidecar.admin.envelope import Code, Refusal
from sidecar.admin.keyring import KEYS, is_key
from sidecar.admin.parts import PARTS
from sidecar.admin.scopes import ALL, Scope, Who, write_scopes
from sidecar.admin.tries import FailedTries, place_of
from sidecar.kit.addresses import is_loopback
from sidecar.store.audit import acting

TRIES: web.AppKey[FailedTries] = web.AppKey("tries", FailedTries)
SCOPES: web.AppKey[Mapping[tuple[str, str], Scope | None]] = web.AppKey("scopes", Mapping)
"""(method, path as it was added) → what the route needs."""
LOOPBACK = Who("loopback", ALL)
TOKEN = Who("token", ALL)
"""Whoever brings SIDECAR_ADMIN_TOKEN."""
_ASKING: ContextVar[Who] = ContextVar("asking")
_SCHEMES = ("key", "bearer")
_READING = ("GET", "HEAD", "OPTIONS")
_OWN_SITE = (None, "same-origin", "none")


@web.middleware
async def authorise(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Raises Refusal unless the request may pass; whoever asks is then the one who acts."""
    if _is_open(request):
        return await handler(request)
    who = _identify(request)
    scope = _scope_of(request)
    if scope is not None and scope not in who.scopes:
        held = ", ".join(write_scopes(who.scopes))
        raise Refusal(Code.CONN_INSUFFICIENT_SCOPES, f"this needs the scope {scope.value}; the key has {held}")
    _ASKING.set(who)
    with acting(who.id):
        return await handler(request)


def who_asks() -> Who:
    """Whoever was let pass, in the request that is being answered."""
    return _ASKING.get()


def may_read(request: web.Request) -> bool:
    """True of whoever would be answered on a route with the scope `read`."""
    try:
        return Scope.READ in _identify(request).scopes
    except Refusal:
        return False


def _is_open(request: web.Request) -> bool:
    parts = request.app[PARTS]
    is_page = request.path in parts.pages and bool(parts.settings.admin_token)
    return is_page or request.app[SCOPES].get(_route_of(request), Scope.READ) is None


def _scope_of(request: web.Request) -> Scope | None:
    """None where there is no such route: that may be said to anyone who is known, and to nobody else."""
    return request.app[SCOPES].get(_route_of(request))


def _route_of(request: web.Request) -> tuple[str, str]:
    resource = request.match_info.route.resource
    method = "GET" if request.method == "HEAD" else request.method
    return method, resource.canonical if resource is not None else ""


def _identify(request: web.Request) -> Who:
    """Raises Refusal: nobody, a wrong token, or one wrong token too many."""
    token = request.app[PARTS].settings.admin_token
    given = _given(request)
    if not token and not is_key(given):
        _check_origin(request)
        return LOOPBACK
    if not given:
        raise Refusal(Code.CONN_KEY_INVALID, "send the header `Authorization: Key <token>` (or Bearer)")
    tries, place = request.app[TRIES], place_of(_peer(request))
    _refuse_too_many(request, tries.wait_seconds(place))
    is_token = hmac.compare_digest(given.encode(errors="surrogateescape"), token.encode())
    who = TOKEN if token and is_token else request.app[KEYS].who(given)
    if who is None:
        request.app[PARTS].events.token_refused(place, is_last=tries.failed(place))
        raise Refusal(Code.CONN_KEY_NOT_FOUND, "this is neither the token in SIDECAR_ADMIN_TOKEN nor a key's")
    return who


def _given(request: web.Request) -> str:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return given.strip() if scheme.lower() in _SCHEMES else ""


def _refuse_too_many(request: web.Request, wait_seconds: float) -> None:
    if wait_seconds > 0:
        request.app[PARTS].events.token_not_looked_at()
        headers = {"Retry-After": str(math.ceil(wait_seconds))}
        raise Refusal(Code.CONN_THROTTLED, "too many wrong tokens came from this address: wait", headers=headers)


def _peer(request: web.Request) -> object:
    return request.transport.get_extra_info("peername") if request.transport else None


def _check_origin(request: web.Request) -> None:
    peer = _peer(request)
    if not isinstance(peer, tuple):
        return  # a Unix socket: the file's mode says who may, and no browser can
    if not is_loopback(peer[0]) or not is_loopback(_name_in(request.host)):
        message = "without a token only this machine may ask, by a loopback name: set SIDECAR_ADMIN_TOKEN"
        raise Refusal(Code.CONN_INSUFFICIENT_SCOPES, message)
    if request.method in _READING:
        return
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    if origin not in (None, f"{request.scheme}://{request.host}") or site not in _OWN_SITE:
        raise Refusal(Code.CONN_INSUFFICIENT_SCOPES, "a page of another origin may not change anything here")


def _name_in(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
