"""What the page's tests send: to the admin API, and as traffic that is no friend of ours."""

from __future__ import annotations

import base64
from typing import Any

from support.product import Product

TOKEN = "page-token-0123456789"
SCRIPT = "<script>window.isRun = true</script><img src=x onerror='window.isRun = true'>"
IMAGE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAFklEQVR4nGP8z8DAwMDAxMDAwMDAAAANHQEDasKb6QAAAABJRU5ErkJggg=="
)


async def post(product: Product, path: str, content: Any, *, method: str = "POST", token: str = "") -> Any:
    """The answer to a change that must succeed."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with product.session.request(method, product.admin + path, json=content, headers=headers) as response:
        assert response.status == 200, await response.text()
        return await response.json()
