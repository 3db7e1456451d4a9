"""A tensor's numbers as NumPy's .npy, version 1.0, without NumPy. Source: numpy.lib.format's documentation.

Pure. What is no regular block of numbers (texts, ragged rows) has no such form.
"""

from __future__ import annotations

import struct
from typing import Any

from sidecar.data import Tensor

_MAGIC = b"\x93NUMPY\x01\x00"
_ALIGNED_TO = 64
_LONGEST_HEADER = 2**16 - _ALIGNED_TO
_FORMATS = {
    "BOOL": ("|b1", "?"), "INT8": ("|i1", "b"), "UINT8": ("|u1", "B"), "INT16": ("<i2", "h"), "UINT16": ("<u2", "H"),
    "INT32": ("<i4", "i"), "UINT32": ("<u4", "I"), "INT64": ("<i8", "q"), "UINT64": ("<u8", "Q"),
    "FP16": ("<f2", "e"), "FP32": ("<f4", "f"), "FP64": ("<f8", "d"),
}  # fmt: skip
"""A protocol's name of a type → NumPy's, and struct's. Any other number is written as FP64."""


def npy_of(tensor: Tensor) -> bytes | None:
    """The file's content; None where the tensor has no such form."""
    shape = _shape_of(tensor.value)
    numbers = _flat(tensor.value, shape) if shape is not None else None
    if shape is None or numbers is None:
        return None
    described, letter = _FORMATS.get(tensor.datatype.upper(), _FORMATS["FP64"])
    try:
        body = struct.pack(f"<{len(numbers)}{letter}", *numbers)
    except (struct.error, OverflowError):  # a value that its own type cannot hold
        described, body = "<f8", struct.pack(f"<{len(numbers)}d", *map(float, numbers))
    header = f"{{'descr': '{described}', 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    if len(header) > _LONGEST_HEADER:
        return None
    padding = -(len(_MAGIC) + 2 + len(header) + 1) % _ALIGNED_TO
    header += b" " * padding + b"\n"
    return _MAGIC + struct.pack("<H", len(header)) + header + body


def _shape_of(value: Any) -> tuple[int, ...] | None:  # noqa: ANN401 - nested lists of any depth
    shape: list[int] = []
    while isinstance(value, list | tuple):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return tuple(shape) if isinstance(value, int | float | list | tuple) else None


def _flat(value: Any, shape: tuple[int, ...]) -> list[int | float] | None:  # noqa: ANN401 - as above
    level: list[Any] = [value]
    for length in shape:
        if not all(isinstance(each, list | tuple) and len(each) == length for each in level):
            return None
        level = [inner for each in level for inner in each]
    return level if all(isinstance(each, int | float) for each in level) else None
