"""The data model's JSON shape, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar import data
from sidecar.data import Concept, Data, Embedding, GeoPoint, Media, Raw, Region, Tensor, Text
from sidecar.errors import ConfigurationError

PNG = b"\x89PNG\r\n\x1a\n and the rest"
texts = st.text(max_size=8)
numbers = st.floats(0, 1)
concepts = st.lists(st.builds(Concept, texts, numbers, st.text(min_size=1, max_size=4)), max_size=3).map(tuple)
boxes = st.none() | st.tuples(numbers, numbers, numbers, numbers)
datas = st.builds(
    Data,
    text=st.none() | st.builds(Text, texts, texts),
    image=st.none() | st.builds(lambda url: Media(PNG, url, "image/png"), texts),
    audio=st.none() | st.builds(Media, st.just(b""), texts, st.just(""), st.booleans()),
    concepts=concepts,
    regions=st.lists(st.builds(Region, texts, boxes, concepts), max_size=2).map(tuple),
    embeddings=st.lists(st.builds(Embedding, st.lists(numbers, max_size=3).map(tuple)), max_size=2).map(tuple),
    geo=st.none() | st.builds(GeoPoint, numbers, numbers),
    tensors=st.lists(
        st.builds(Tensor, st.none() | st.binary(max_size=5) | numbers | st.lists(numbers), texts, texts), max_size=2
    ).map(tuple),
    raw=st.none() | st.builds(Raw, st.binary(max_size=5), texts),
    metadata=st.dictionaries(texts, texts, max_size=2),
)


@given(datas)
def test_what_is_written_reads_back(value: Data) -> None:
    assert data.from_wire(data.to_wire(value)) == value


def test_a_concept_value_of_zero_is_written_and_a_missing_one_reads_as_one() -> None:
    assert data.to_wire(Data(concepts=(Concept("cat", 0.0),))) == {
        "concepts": [{"id": "cat", "name": "cat", "value": 0.0}]
    }
    assert data.from_wire({"concepts": [{"id": "cat"}]}).concepts[0].value == 1.0


def test_only_data_without_any_field_is_empty() -> None:
    assert Data().is_empty
    assert not Data(metadata={"a": 1}).is_empty
    assert not Data(concepts=(Concept("a", 0.0),)).is_empty
    assert not Data(raw=Raw(b"")).is_empty


@pytest.mark.parametrize(
    ("wire", "where"),
    [
        ([], "data: must be an object"),
        ({"text": "hello"}, "data.text: must be an object"),
        ({"text": {"raw": 1}}, "data.text.raw: must be a string"),
        ({"concepts": {}}, "data.concepts: must be a list"),
        ({"concepts": [{"id": "a"}, {"id": "b", "value": "high"}]}, "data.concepts[1].value: must be a finite number"),
        ({"concepts": [{"id": "a", "value": True}]}, "data.concepts[0].value: must be a finite number"),
        ({"image": {"base64": "not base64!"}}, "data.image.base64: must be base64"),
        ({"metadata": []}, None),
        ({"metadata": [1]}, "data.metadata: must be an object"),
        ({"regions": [{"region_info": 5}]}, "data.regions[0].region_info: must be an object"),
        ({"tensors": [{"value": 1, "shape": ["a"]}]}, "data.tensors[0].shape: must be a list of integers"),
    ],
)
def test_a_wrong_type_is_refused_naming_the_field(wire: object, where: str | None) -> None:
    if where is None:
        assert data.from_wire(wire).is_empty
        return
    with pytest.raises(ConfigurationError) as caught:
        data.from_wire(wire)
    assert str(caught.value).startswith(where)


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"RIFF....WAVEfmt ", "audio/wav"),
        (b"RIFF....WEBPVP8 ", "image/webp"),
        (b"....ftypisom", "video/mp4"),
        (b"hello", ""),
    ],
)
def test_binary_content_becomes_what_its_first_bytes_say(content: bytes, media_type: str) -> None:
    value = data.from_bytes(content)
    media = value.image or value.audio or value.video
    assert (media.media_type if media else "") == media_type
    assert (media.content if media else value.raw and value.raw.content) == content


def test_the_top_concept_is_the_first_of_the_largest() -> None:
    assert Data(concepts=(Concept("a", 0.4), Concept("b", 0.6), Concept("c", 0.6))).top_concept() == Concept("b", 0.6)
    assert Data().top_concept() is None
