"""The predict calls that everybody is asked to carry, and the model's answers. Pure."""

from __future__ import annotations

import random
from collections.abc import Mapping

PREDICT_PATH = "/v1/models/digits:predict"
UPLOAD_PATH = "/v1/models/upload:predict"
"""A call with a large body, which the model reads whole before it answers."""
DOWNLOADS = "/v1/models/download-"
PREDICTIONS = '{"predictions": [[0.05, 0.31, 0.02, 0.42, 0.03, 0.04, 0.05, 0.03, 0.02, 0.03]]}'
HEADERS: Mapping[str, str] = {"Content-Type": "application/json", "X-Caller-Id": "alice"}
SIZES: Mapping[str, int] = {"100 kB": 100_000, "10 MB": 10_000_000}
SMALL_BYTES = 1_490


def numbers(size: int, key: str = "instances") -> bytes:
    """JSON of one row of numbers, `size` bytes or up to 8 less."""
    drawn = random.Random(0)
    row = ", ".join(f"{drawn.uniform(0.1, 1):.4f}" for _ in range((size - len(key) - 9) // 8))
    return f'{{"{key}": [[{row}]]}}'.encode()


def download_path(size: str) -> str:
    """The call whose answer has that size."""
    return f"{DOWNLOADS}{size.replace(' ', '')}:predict"


def predict_call(address: str, body: bytes | None = None) -> bytes:
    """A whole predict call of about 1.4 kB of body, as bytes."""
    content = numbers(SMALL_BYTES) if body is None else body
    headers = {"Host": address, **HEADERS, "Content-Length": str(len(content))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {PREDICT_PATH} HTTP/1.1\r\n{lines}\r\n".encode() + content
