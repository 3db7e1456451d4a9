"""Binary or text values that have a name of their own in a protocol.

The content moves to the data's image, audio, video, text or raw field, where workflows and destinations look for it. A
tensor with its name, datatype `BYTES` and the value None stays behind, so that the request can be written again.
"""

from __future__ import annotations

import base64
import binascii

from sidecar.data import Data, Media, Tensor

BYTES = "BYTES"


def is_stand_in(tensor: Tensor) -> bool:
    return tensor.value is None and tensor.datatype == BYTES


def content_of(data: Data) -> bytes | str | None:
    """What a stand-in stands for: the first of image, audio, video, raw and text; None when none holds content."""
    media: Media | None
    for media in (data.image, data.audio, data.video):
        if media is not None and media.content:
            return media.content
    if data.raw is not None:
        return data.raw.content
    return None if data.text is None or data.text.url else data.text.raw


def from_base64(text: object) -> bytes | None:
    """The bytes that `text` holds; None when it is no base64."""
    if not isinstance(text, str):
        return None
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        return None


def to_base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
