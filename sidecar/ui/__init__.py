"""The page: static files that use only the admin API. No framework, no build, no outside address."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources

_MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_FIRST = "index.html"


def pages() -> Mapping[str, tuple[str, bytes]]:
    """Path → (media type, content) of every file of the page."""
    found = {}
    for file in resources.files(__name__).iterdir():
        media_type = _MEDIA_TYPES.get(file.name.rpartition(".")[2])
        if media_type:
            found["/" if file.name == _FIRST else f"/{file.name}"] = (media_type, file.read_bytes())
    return found
