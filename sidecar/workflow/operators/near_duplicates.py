"""What near-duplicates have in common: a perceptual hash of an image, a MinHash of a text, and when two are near. Pure.

    image   64 bits of the DCT of a 32 × 32 picture in grey (imagehash.phash); near: at most so many bits differ
    text    128 MinHash values of the text's runs of 5 characters (datasketch); near: at least this share of them is the
            same, which estimates the Jaccard similarity of the two sets of runs, give or take 0.04

An image of more than 40 million pixels is not decoded; of a text the first 20,000 characters are read, its case and
blanks ignored. Sources: C. Zauner, Implementation and benchmarking of perceptual image hash functions (2010);
A. Broder, On the resemblance and containment of documents (1997).
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, NamedTuple

from sidecar.data import Data
from sidecar.errors import PermanentError
from sidecar.workflow.operators.texts import texts_of
from sidecar.workflow.operators.vectors import Hashes, Signatures, Vectors, missing

EXTRA = "near-duplicates"
MOST_PIXELS = 40_000_000
READ_CHARACTERS = 20_000
_RUN = 5
_PERMUTATIONS = 128
_DRAFT = (64, 64)
"""How much of a JPEG is decoded at least: a hash looks at 32 × 32."""


class Likeness(NamedTuple):
    """One way in which data can be near to other data."""

    kind: type[Vectors]
    signature_of: Callable[[Data], bytes]
    """Raises PermanentError where there is nothing to compare."""
    are_near: Callable[[Any, Any], Any]


def images(max_distance: int) -> Likeness:
    """Raises ConfigurationError without the extra."""
    try:
        import imagehash
        import numpy as np
        from PIL import Image
    except ImportError as error:
        raise missing("deduplicate by image", EXTRA) from error

    def signature_of(data: Data) -> bytes:
        if data.image is None or not data.image.content:
            raise PermanentError("cannot compare: there is no image, or only its address")
        with Image.open(io.BytesIO(data.image.content)) as image:
            if image.width * image.height > MOST_PIXELS:
                raise PermanentError(f"cannot compare: the image has {image.width} × {image.height} pixels")
            image.draft("L", _DRAFT)
            return np.packbits(imagehash.phash(image).hash).tobytes()

    def are_near(rows: Any, row: Any) -> Any:  # noqa: ANN401 - numpy's arrays
        return np.bitwise_count(rows[:, 0] ^ row[0]) <= max_distance

    return Likeness(Hashes, signature_of, are_near)


def texts(min_similarity: float) -> Likeness:
    """Raises ConfigurationError without the extra."""
    try:
        from datasketch import MinHash
    except ImportError as error:
        raise missing("deduplicate by text", EXTRA) from error

    def signature_of(data: Data) -> bytes:
        text = " ".join("\n".join(texts_of(data))[:READ_CHARACTERS].casefold().split())
        if not text:
            raise PermanentError("cannot compare: there is no text")
        found = MinHash(num_perm=_PERMUTATIONS)
        found.update_batch([text[at : at + _RUN].encode() for at in range(max(1, len(text) - _RUN + 1))])
        return bytes(found.hashvalues.astype(Signatures.dtype).tobytes())

    def are_near(rows: Any, row: Any) -> Any:  # noqa: ANN401 - numpy's arrays
        return (rows == row).mean(axis=1) >= min_similarity

    return Likeness(Signatures, signature_of, are_near)
