"""Rules on data: whatever holds a secret loses it or is refused, and everything else stays as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.collector import RedactRule
from sidecar.data import Concept, Data, Embedding, GeoPoint, Media, Raw, Region, Tensor, Text, from_wire, to_wire
from sidecar.policy.files import read_folder
from sidecar.redaction.detectors import UnredactableError
from sidecar.redaction.rules import Redaction

EXAMPLES = Path(__file__).parents[2] / "policies"
SECRET = "zed@example.com"
NUMBER = 4111111111111111
MAIL = RedactRule(detect=("email", "card"))
PNG = b"\x89PNG\r\n\x1a\n"


def on_input(data: Data, *rules: RedactRule) -> Data:
    return Redaction(rules).input(data)


texts = st.builds(lambda before, has, after: before + SECRET * has + after, *[st.text(" aä%\"\\", max_size=4), st.booleans(), st.text(" :/", max_size=4)])  # fmt: skip  # noqa: E501
leaves = texts | st.none() | st.booleans() | st.floats(-1000, 1000) | st.just(NUMBER)
json_values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=12
)
concepts = st.lists(st.builds(Concept, texts, st.floats(0, 1), texts), max_size=2).map(tuple)
data = st.builds(
    Data,
    text=st.none() | st.builds(Text, texts.filter(bool), texts),
    concepts=concepts,
    regions=st.lists(st.builds(Region, texts, st.none(), concepts), max_size=2).map(tuple),
    tensors=st.lists(st.builds(Tensor, json_values, texts, texts), max_size=2).map(tuple),
    metadata=st.dictionaries(texts, json_values, max_size=3),
)


@given(data)
def test_no_secret_is_left_wherever_it_stood(given_data: Data) -> None:
    before = to_wire(given_data)
    left = orjson.dumps(to_wire(on_input(given_data, MAIL)))
    assert SECRET.encode() not in left
    assert str(NUMBER).encode() not in left
    assert to_wire(given_data) == before


@given(data)
def test_what_holds_no_secret_stays_as_it_was(given_data: Data) -> None:
    content = orjson.dumps(to_wire(given_data)).replace(b"@", b" ").replace(str(NUMBER).encode(), b"7")
    harmless = from_wire(orjson.loads(content))
    assert on_input(harmless, MAIL) == harmless


def test_names_that_are_masked_alike_keep_their_values() -> None:
    left = on_input(Data(metadata={"a@b.cc": 1, "c@d.ee": 2, "x": 3}), MAIL)
    assert left.metadata == {"[email]": 1, "[email]_": 2, "x": 3}


def test_a_mask_reads_whole_numbers_and_leaves_measurements() -> None:
    tensor = Tensor([123456789, -5, 0.123456789, 987654321.0, True, None])
    left = on_input(Data(tensors=(tensor,)), RedactRule(mask=r"\b\d{9}\b", to="[id]"))
    assert left.tensors[0].value == ["[id]", -5, 0.123456789, "[id]", True, None]


def test_what_is_no_text_is_not_read() -> None:
    whole = Data(
        concepts=(Concept("a", 0.123456789),),
        embeddings=(Embedding((123456789.0,)),),
        geo=GeoPoint(12.0, 123456789.0),
        regions=(Region(box=(0.0, 0.1, 0.2, 0.3)),),
    )
    assert on_input(whole, RedactRule(mask=r"\d+")) == Data(
        concepts=(Concept("a", 0.123456789, "a"),), embeddings=whole.embeddings, geo=whole.geo, regions=whole.regions
    )


def test_masks_follow_one_another_and_their_text_is_taken_as_written() -> None:
    rules = [RedactRule(mask="a+", to=r"\1b"), RedactRule(mask="b"), RedactRule(mask="z", to="")]
    assert Redaction(rules).text("caaz") == r"c\1[redacted]"


def test_removals_come_first_and_name_the_original_places() -> None:
    rules = [
        RedactRule(mask="keep", to="-"),
        RedactRule(remove="input.tensors[0]"),
        RedactRule(remove="input.tensors[0].value"),
        RedactRule(remove="input.tensors[2]"),
        RedactRule(remove="metadata.query"),
    ]
    tensors = tuple(Tensor(name, name) for name in ("one", "keep", "three"))
    left = on_input(Data(tensors=tensors, metadata={"query": {"a": 1}, "path": "/"}), *rules)
    assert left == Data(tensors=(Tensor("-", "-"),), metadata={"path": "/"})


def test_each_part_has_its_own_addresses_and_all_have_the_metadatas() -> None:
    redaction = Redaction([RedactRule(remove="output.text"), RedactRule(remove="metadata.x")])
    whole = Data(text=Text("t"), metadata={"x": 1, "y": 2})
    assert redaction.input(whole) == redaction.result(whole) == Data(text=Text("t"), metadata={"y": 2})
    assert redaction.output(whole) == Data(metadata={"y": 2})
    assert redaction.output(None) is None
    assert Redaction([RedactRule(remove="output")]).output(whole) is None


@pytest.mark.parametrize(
    ("unread", "kind"),
    [
        (Data(image=Media(content=PNG)), "image"),
        (Data(image=Media(url="http://x/a.png")), "image"),
        (Data(video=Media(content=b"v")), "video"),
        (Data(audio=Media(content=b"a")), "audio"),
        (Data(text=Text(url="http://x/a.txt")), "text"),
        (Data(tensors=(Tensor(b"\x00"),)), "binary"),
        (Data(tensors=(Tensor([{"b64": "AAAA"}]),)), "binary"),
        (Data(tensors=(Tensor({"url": "data:image/png;base64,AAAA"}),)), "binary"),
    ],
)
def test_what_no_rule_can_read_is_refused_unless_it_may_pass(unread: Data, kind: str) -> None:
    with pytest.raises(UnredactableError, match=rf"keep_unread: \[{kind}\]"):
        on_input(unread, MAIL)
    assert to_wire(on_input(unread, MAIL, RedactRule(keep_unread=(kind,)))) == to_wire(unread)
    assert to_wire(on_input(unread, RedactRule(remove="input.text.raw"))) == to_wire(unread)


def test_what_only_looks_like_bytes_is_read() -> None:
    looks = Data(tensors=(Tensor([{"b64": SECRET}, f"data:x;base64,{SECRET}"]),))
    left = on_input(looks, MAIL, RedactRule(keep_unread=("binary",)))
    assert left.tensors[0].value == [{"b64": "[email]"}, "data:x;base64,[email]"]


def test_an_undecoded_body_passes_only_where_no_rule_reads_content() -> None:
    raw = Data(raw=Raw(SECRET.encode()), metadata={"x": 1})
    for rule in (MAIL, RedactRule(mask="x"), RedactRule(remove="input.text")):
        with pytest.raises(UnredactableError, match="no protocol decodes it"):
            on_input(raw, rule, RedactRule(keep_unread=("binary",)))
    assert on_input(raw, RedactRule(remove="metadata.x")) == Data(raw=raw.raw)
    assert on_input(raw, RedactRule(remove="input.raw"), MAIL) == Data(metadata={"x": 1})


def test_a_condition_that_fails_keeps_nothing_and_repeats_nothing() -> None:
    rule = RedactRule(remove="input.tensors[?length(value) > `3`]")
    with pytest.raises(UnredactableError) as caught:
        on_input(Data(tensors=(Tensor(12345),)), rule)
    assert "12345" not in str(caught.value)


def test_a_broken_rule_is_refused() -> None:
    for rule, said in [(RedactRule(mask="("), "RE2"), (RedactRule(remove="nowhere"), "must start with")]:
        with pytest.raises(ValueError, match=said):
            Redaction([rule])


def test_media_and_their_addresses_survive() -> None:
    whole: Any = Data(image=Media(PNG, f"http://x/{SECRET}.png", "image/png", allow_duplicate_url=True))
    left = on_input(whole, MAIL, RedactRule(keep_unread=("image",)))
    assert left.image == Media(PNG, "http://x/[email]", "image/png", allow_duplicate_url=True)


def test_the_example_keeps_what_it_says() -> None:
    (collector,) = [each for each in read_folder(EXAMPLES).collectors if each.id == "without-names"]
    asked = "I am CUST-123456, write to zed@example.com or call 030 901820."
    whole = Data(
        tensors=(Tensor("Zed", "user_name"), Tensor(asked, "prompt")), metadata={"caller": "zed", "status": 200}
    )
    left = Redaction(collector.redact).input(whole)
    assert left.tensors == (Tensor("I am [customer], write to [email] or call [phone].", "prompt"),)
    assert left.metadata == {"status": 200}
