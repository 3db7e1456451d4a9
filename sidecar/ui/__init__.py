"""The page: static files that use only the admin API. No framework, no build, no outside address."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources

_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/app.css": ("app.css", "text/css; charset=utf-8"),
    "/app.js": ("app.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}


def pages() -> Mapping[str, tuple[str, bytes]]:
    """Path → (media type, content) of every file of the page."""
    folder = resources.files(__name__)
    return {path: (media_type, (folder / name).read_bytes()) for path, (name, media_type) in _FILES.items()}
