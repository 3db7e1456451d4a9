"""Near-duplicates by real images and texts, and novelty by embeddings, against what is meant by near."""

from __future__ import annotations

import io
import math
import random
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter
from support.operators import classified, faults_of, graph_of, said
from support.remembering import Life, Node

from sidecar.data import Data, Embedding, Media
from sidecar.errors import ConfigurationError
from sidecar.memory import Entry, Place
from sidecar.workflow.operators.vectors import Hashes
from sidecar.workflow.run import Dropped

ANSWER = classified(cat=0.9)
IMAGE = {"by": "image"}
TEXT = {"by": "text"}


def picture(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """A smooth picture, each seed another."""
    drawn = random.Random(seed)
    coarse = Image.frombytes("RGB", (8, 8), drawn.randbytes(8 * 8 * 3))
    return coarse.resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> Data:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return Data(image=Media(content.getvalue()))


def variants(image: Image.Image) -> Iterator[Data]:
    yield encoded(image, "JPEG", quality=40)
    yield encoded(image.resize((160, 120)), "WEBP")
    yield encoded(image.point(lambda value: min(255, int(value * 1.1))))
    yield encoded(image.filter(ImageFilter.GaussianBlur(2)))
    yield encoded(image.resize((1600, 1200)), "JPEG", quality=80)
    yield encoded(image.convert("L"), "GIF")


def test_a_picture_is_the_same_whatever_its_size_or_compression_and_others_are_not() -> None:
    node = Node("deduplicate", IMAGE)
    for seed in range(12):
        assert node.passes(ANSWER, encoded(picture(seed))), seed
    for seed in range(12):
        for number, each in enumerate(variants(picture(seed))):
            assert not node.passes(ANSWER, each), (seed, number)
    strict = Node("deduplicate", IMAGE | {"max_distance": 0})
    assert strict.passes(ANSWER, encoded(picture(1)))
    assert not strict.passes(ANSWER, encoded(picture(1), "BMP")), "the same pixels"
    assert strict.passes(ANSWER, encoded(picture(1).transpose(Image.Transpose.FLIP_LEFT_RIGHT)))


SENTENCES = [
    "The parcel was left with the neighbour on the second floor.",
    "I would like my money back, as the lamp arrived broken.",
    "Where do I find the form for a change of address?",
    "My invoice of last month names the wrong company.",
    "Please tell me when the shop in the old town opens on Sundays.",
]


def test_a_text_is_nearly_the_same_by_its_runs_of_characters() -> None:
    node = Node("deduplicate", TEXT)
    long = " ".join(SENTENCES)
    assert node.passes(ANSWER, said(long))
    assert not node.passes(ANSWER, said(long.upper().replace(" ", "\n\t ")))
    assert not node.passes(ANSWER, said(long.replace("Sundays", "Mondays")))
    assert all(node.passes(ANSWER, said(sentence)) for sentence in SENTENCES)
    assert node.passes(ANSWER, said("Hi"))
    assert not node.passes(ANSWER, said("hi"))


def runs(text: str) -> set[str]:
    return {text[at : at + 5] for at in range(len(text) - 4)}


@pytest.mark.parametrize("replaced", [1, 5, 20, 40])
def test_similarity_is_jaccards_give_or_take_what_128_values_tell(replaced: int) -> None:
    drawn = random.Random(replaced)
    words = ["".join(drawn.choices("abcdefghij", k=6)) for _ in range(80)]
    other = words[:-replaced] + ["".join(drawn.choices("klmnopqrst", k=6)) for _ in range(replaced)]
    first, second = " ".join(words), " ".join(other)
    jaccard = len(runs(first) & runs(second)) / len(runs(first) | runs(second))
    for bound, is_near in ((jaccard - 0.15, True), (jaccard + 0.15, False)):
        if 0 < bound <= 1:
            node = Node("deduplicate", TEXT | {"min_similarity": bound})
            assert node.passes(ANSWER, said(first))
            assert node.passes(ANSWER, said(second)) is not is_near


@pytest.mark.parametrize(
    ("params", "given_", "why"),
    [
        (IMAGE, said("no image"), "cannot compare: there is no image, or only its address"),
        (
            IMAGE,
            Data(image=Media(url="http://nowhere/a.png")),
            "cannot compare: there is no image, or only its address",
        ),
        (IMAGE, Data(image=Media(b"\x89PNG\r\n\x1a\nbroken")), "UnidentifiedImageError"),
        (IMAGE, encoded(Image.new("1", (8000, 6000))), "cannot compare: the image has 8000 × 6000 pixels"),
        (TEXT, encoded(picture(1)), "cannot compare: there is no text"),
        (TEXT, said(" \n"), "cannot compare: there is no text"),
    ],
)
def test_what_cannot_be_compared_is_a_fault_and_no_duplicate(params: dict[str, Any], given_: Data, why: str) -> None:
    assert Node("deduplicate", params).judge(ANSWER, given_) == Dropped("operator_failed", f"node 'n': {why}")


def test_near_duplicates_are_bounded_expire_and_survive_a_restart() -> None:
    with Life("deduplicate", IMAGE | {"most": 2, "within_seconds": 100}) as life:
        for seed in (1, 2, 3):
            assert life.passes(ANSWER, encoded(picture(seed)), seed)
        life.write()
        life.die()
        assert not life.passes(ANSWER, encoded(picture(3), "JPEG"), 4)
        assert not life.passes(ANSWER, encoded(picture(2), "JPEG"), 4)
        assert life.passes(ANSWER, encoded(picture(1), "JPEG"), 5), "there were two newer ones"
        assert life.passes(ANSWER, encoded(picture(3), "JPEG"), 103), "its time is over"
        assert not life.passes(ANSWER, encoded(picture(3)), 202)


VECTORS = st.lists(st.tuples(*[st.integers(-5, 5)] * 3), max_size=25)


def naive_distance(metric: str, a: tuple[int, ...], b: tuple[int, ...]) -> float:
    if metric == "euclidean":
        return math.dist(a, b)
    return 1 - sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))


def embedded(vector: tuple[float, ...]) -> Data:
    return Data(embeddings=(Embedding(vector),))


@settings(max_examples=25)
@given(
    metric=st.sampled_from(["cosine", "euclidean"]),
    bound=st.sampled_from([0.137, 0.51, 1.73]),
    most=st.integers(1, 6),
    vectors=VECTORS,
    dies_after=st.integers(0, 25),
)
def test_novel_is_what_is_far_from_all_that_passed(
    metric: str, bound: float, most: int, vectors: list[tuple[int, ...]], dies_after: int
) -> None:
    passed: list[tuple[int, ...]] = []
    with Life("novelty-filter", {"metric": metric, "min_distance": bound, "most": most}) as life:
        for number, vector in enumerate(each for each in vectors if any(each)):
            expected = all(naive_distance(metric, vector, each) >= bound for each in passed)
            assert life.passes(embedded(vector), at=number) is expected
            if expected:
                passed = [*passed, vector][-most:]
            if number == dies_after:
                life.write()
                life.die()


def test_many_embeddings_are_held_and_found_among_those_of_other_lengths() -> None:
    node = Node("novelty-filter", {"min_distance": 0.5, "metric": "euclidean", "most": 300})
    for number in range(400):
        assert node.passes(embedded((float(number), 1.0)))
        assert node.passes(embedded((float(number), 1.0, 1.0)))
    (memory,) = node.memories.opened()
    assert len(memory) == 300
    assert not node.passes(embedded((399.2, 1.0)))
    assert node.passes(embedded((249.0, 1.0))), "150 of each length are remembered"


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=100))
def test_a_matrix_holds_what_was_added_and_not_removed(steps: list[tuple[bool, int]]) -> None:
    memory = Hashes(Place("c", "w", "n", "o"))
    held: set[int] = set()
    for is_added, number in steps:
        if is_added:
            memory.restore(Entry(str(number), content=number.to_bytes(8, "little")))
            held.add(number)
        elif number in held:
            memory.forget(str(number))
            held.remove(number)
        for each in range(21):
            found = memory.near(each.to_bytes(8, "little"), lambda rows, row: rows[:, 0] == row[0])
            assert found == ([str(each)] if each in held else [])


def test_what_has_no_embedding_or_no_direction_is_a_fault() -> None:
    node = Node("novelty-filter", {"min_distance": 0.5})
    for data, why in (
        (ANSWER, "there is no embedding"),
        (embedded((0.0, 0.0)), "the embedding is all zeros"),
        (embedded((1.0,) * 8193), "the embedding has 8193 numbers, more than 8192"),
    ):
        assert node.judge(data) == Dropped("operator_failed", f"node 'n': cannot measure: {why}")


def test_what_is_wrong_with_the_parameters_is_said() -> None:
    assert faults_of("novelty-filter", {"min_distance": 0, "metric": "manhattan", "most": 10**6}) == [
        "min_distance: must be more than 0",
        "metric: must be 'cosine' or 'euclidean'",
        "most: must be at most 20000",
    ]
    for params in ({"max_distance": 3}, {"by": "image", "min_similarity": 0.5}):
        with pytest.raises(ConfigurationError, match="is for `by:"):
            graph_of("deduplicate", params)


@pytest.mark.parametrize(
    ("module", "type_id", "params", "extra"),
    [
        ("imagehash", "deduplicate", IMAGE, "near-duplicates"),
        ("datasketch", "deduplicate", TEXT, "near-duplicates"),
        ("numpy", "novelty-filter", {"min_distance": 1.0}, "novelty"),
    ],
)
def test_without_the_extra_it_is_said_which(
    module: str, type_id: str, params: dict[str, Any], extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationError, match=rf"pip install 'collector-sidecar\[{extra}\]'"):
        graph_of(type_id, params)
    graph_of("deduplicate", {})
