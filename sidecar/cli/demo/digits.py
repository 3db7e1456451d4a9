"""The demo's data: scikit-learn's digits, split into what the models learn from and what the callers send.

Owns the split and the image format, so that no caller ever sends an image that a model has seen. Needs the `demo`
extra; nothing else in the product imports this.
"""

from __future__ import annotations

import io
import math
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError
from sklearn.datasets import load_digits

SIDE = 8
"""Pixels of a digit's side, as the data set has them."""
SCALE = 8
"""How much larger it is sent: 64 pixels can be seen on a page."""
LEARNED = 597
"""Images that the models may learn from; the other 1,200 are the callers'."""
MAX_SIDE = 1024
_DEPTH = 16.0
_SEED = 0


class Digits(NamedTuple):
    """Images as rows of 64 numbers in [0, 1], with the digit that each one shows."""

    pixels: np.ndarray
    labels: np.ndarray


def _shuffled() -> Digits:
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(_SEED).permutation(len(labels))
    return Digits(pixels[order] / _DEPTH, labels[order])


def learned() -> Digits:
    """What the models learn from."""
    everything = _shuffled()
    return Digits(everything.pixels[:LEARNED], everything.labels[:LEARNED])


def held_out() -> list[bytes]:
    """What the callers send: PNG images that no model has seen."""
    return [to_png(row) for row in _shuffled().pixels[LEARNED:]]


def to_png(pixels: np.ndarray) -> bytes:
    """A row of 64 numbers as a grey image, large enough to look at."""
    grey = np.rint(pixels.reshape(SIDE, SIDE) * 255).astype(np.uint8)
    image = Image.fromarray(grey).resize((SIDE * SCALE, SIDE * SCALE), Image.Resampling.NEAREST)
    file = io.BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()


def from_image(content: bytes) -> np.ndarray:
    """An image of any format and size as a row of 64 numbers. Raises ValueError when it is none, or too large."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            if max(image.size) > MAX_SIDE:
                raise ValueError(f"an image of {image.size[0]}x{image.size[1]} is larger than {MAX_SIDE} pixels a side")
            small = image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError("not an image that can be read") from error
    return np.asarray(small, dtype=np.float64).reshape(math.prod(small.size)) / 255
