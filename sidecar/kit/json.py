"""JSON as bytes that are held for a while. Owns no rule of what is written: that is orjson's."""

from __future__ import annotations

import orjson


def dumps(value: object, option: int | None = None) -> bytes:
    """`value` as JSON, in no more memory than it is long. Raises orjson.JSONEncodeError.

    What orjson gives holds on to the 32 kB that it began with, however short it is: a thousand inputs on their way to
    the disk would be 32 MB. Copying costs less than the fresh pages that each of them would need.
    """
    return bytes(memoryview(orjson.dumps(value, option=option)))
