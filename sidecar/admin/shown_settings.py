"""Every setting with its value and where it came from; secrets are masked."""

from __future__ import annotations

import re

from aiohttp import web

from sidecar import settings
from sidecar.admin.envelope import plain
from sidecar.admin.parts import PARTS

_QUERY = re.compile(r"\?[^,]*")
"""Of a model's URL: it may hold a key."""


async def list_all(request: web.Request) -> web.Response:
    """In the order of the README's table; `from` is `option`, `environment` or `default`."""
    parts = request.app[PARTS]
    listed = [
        {
            "name": row.name,
            "option": row.option,
            "variable": row.variable,
            "value": _QUERY.sub("?***", settings.show(parts.settings, row.name)),
            "from": parts.origins.get(row.name, "default"),
            "default": row.default,
            "help": row.help,
            "secret": row.secret,
        }
        for row in settings.rows()
    ]
    return plain({"settings": listed})
