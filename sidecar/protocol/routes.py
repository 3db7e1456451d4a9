"""Recognises a predict call by its method and path; the only part of `protocol` that the relay also uses.

Promises to be cheap (one regular expression), never to raise, and to import nothing heavy.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote


class Route(NamedTuple):
    """Where a predict call goes. `version` is blank when the path names none; `user` and `app` own the model."""

    protocol: str
    model: str
    version: str = ""
    user: str = ""
    app: str = ""


_ROUTE = re.compile(
    rb"/v2/models/(?P<oip_model>[^/?#]+)(?:/versions/(?P<oip_version>[^/?#]+))?/infer"
    rb"|/v1/models/(?P<tf_model>[^/?#:]+)(?:/(?:versions|labels)/(?P<tf_version>[^/?#:]+))?"
    rb":(?:predict|classify|regress|explain)"
    rb"|/v2(?:/users/(?P<user>[^/?#]+)/apps/(?P<app>[^/?#]+))?/models/(?P<clarifai_model>[^/?#]+)"
    rb"(?:/versions/(?P<clarifai_version>[^/?#]+))?/outputs"
)
_FIRST = (b"/v1/models/", b"/v2/")


def recognise(method: bytes, target: bytes) -> Route | None:
    """The route of a predict call with this request line, or None when it is none.

    An absolute-form target (`http://host/path`) is read by its path; query and fragment are passed over.
    """
    if method != b"POST":
        return None
    if not target.startswith(b"/"):
        target = _path_of_absolute(target)
    if not target.startswith(_FIRST):
        return None
    found = _ROUTE.fullmatch(target.partition(b"?")[0])
    if found is None:
        return None
    protocol, model, version = _named(found)
    user, app = found["user"], found["app"]
    return Route(protocol, _text(model), _text(version), _text(user), _text(app))


def _named(found: re.Match[bytes]) -> tuple[str, bytes | None, bytes | None]:
    if found["oip_model"] is not None:
        return "openinference", found["oip_model"], found["oip_version"]
    if found["tf_model"] is not None:
        return "tensorflow", found["tf_model"], found["tf_version"]
    return "clarifai", found["clarifai_model"], found["clarifai_version"]


def _text(part: bytes | None) -> str:
    return unquote(part.decode("latin-1"), errors="replace") if part else ""


def _path_of_absolute(target: bytes) -> bytes:
    _, _, rest = target.partition(b"://")
    slash = rest.find(b"/")
    return rest[slash:] if slash >= 0 else b"/"
