"""The names of models that pass: whatever a path makes of them, few, short and readable ones cross as they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.frame import FrameError
from sidecar.passing import (
    LONGEST_NAME,
    MOST_MODELS,
    ModelName,
    PassingModels,
    decode_models,
    encode_models,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
NAMES = st.lists(st.builds(ModelName, TEXT, st.just("") | TEXT))


@given(NAMES)
def test_names_cross_as_they_are(names: list[ModelName]) -> None:
    assert decode_models(encode_models(names)) == names


@pytest.mark.parametrize("text", ["digits", "\t1", "a\t\n\n"])
def test_a_line_that_names_no_model_is_refused(text: str) -> None:
    with pytest.raises(FrameError):
        decode_models(text)


@pytest.mark.parametrize(
    ("name", "is_kept"),
    [
        (ModelName("digits", "1"), True),
        (ModelName("zwei Wörter"), True),
        (ModelName("x" * LONGEST_NAME), True),
        (ModelName("x" * (LONGEST_NAME + 1)), False),
        (ModelName("m", "x" * (LONGEST_NAME + 1)), False),
        (ModelName("a\nb"), False),
        (ModelName("m", "\x1b[2J"), False),
        (ModelName("\N{RIGHT-TO-LEFT OVERRIDE}m"), False),
    ],
)
def test_a_name_that_is_long_or_cannot_be_read_is_not_kept(name: ModelName, is_kept: bool) -> None:
    models = PassingModels()
    assert models.add(name) is is_kept
    assert models.add(name) is False
    assert list(models) == ([name] if is_kept else [])


def test_no_more_than_so_many_are_kept() -> None:
    models = PassingModels()
    kept = [models.add(ModelName(str(number))) for number in range(MOST_MODELS + 10)]
    assert (sum(kept), len(models)) == (MOST_MODELS, MOST_MODELS)
