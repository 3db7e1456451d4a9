"""Who may ask: a token where one is set, else only this machine, and no other site's page.

Promises that a token is compared in constant time and never answered or logged; that without one a page of another
origin can neither read (the Host must be a loopback name, so a rebound DNS name fails) nor change (the Origin must be
ours). Health and the static page, which hold no data, are open.
"""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from sidecar.admin.envelope import Code, Refusal
from sidecar.admin.parts import PARTS
from sidecar.kit.addresses import is_loopback

_OPEN = ("/healthz", "/readyz")
_SCHEMES = ("key", "bearer")
_READING = ("GET", "HEAD", "OPTIONS")


@web.middleware
async def authorise(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Raises Refusal unless the request may pass."""
    parts = request.app[PARTS]
    token = parts.settings.admin_token
    if request.path not in _OPEN and not (token and request.path in parts.pages):
        if token:
            _check_token(request.headers.get("Authorization", ""), token)
        else:
            _check_origin(request)
    return await handler(request)


def has_token(request: web.Request) -> bool:
    """True if the request brings the token, or none is set."""
    token = request.app[PARTS].settings.admin_token
    try:
        if token:
            _check_token(request.headers.get("Authorization", ""), token)
    except Refusal:
        return False
    return True


def _check_token(header: str, token: str) -> None:
    scheme, _, given = header.partition(" ")
    if scheme.lower() not in _SCHEMES or not given.strip():
        raise Refusal(Code.CONN_KEY_INVALID, "send the header `Authorization: Key <token>` (or Bearer)")
    if not hmac.compare_digest(given.strip().encode(errors="surrogateescape"), token.encode()):
        raise Refusal(Code.CONN_KEY_NOT_FOUND, "this is not the token in SIDECAR_ADMIN_TOKEN")


def _check_origin(request: web.Request) -> None:
    peer = request.transport.get_extra_info("peername") if request.transport else None
    if not isinstance(peer, tuple):
        return  # a Unix socket: the file's mode says who may, and no browser can
    if not is_loopback(peer[0]) or not is_loopback(_name_in(request.host)):
        message = "without a token only this machine may ask, by a loopback name: set SIDECAR_ADMIN_TOKEN"
        raise Refusal(Code.CONN_INSUFFICIENT_SCOPES, message)
    origin = request.headers.get("Origin")
    if request.method not in _READING and origin not in (None, f"{request.scheme}://{request.host}"):
        raise Refusal(Code.CONN_INSUFFICIENT_SCOPES, "a page of another origin may not change anything here")


def _name_in(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
