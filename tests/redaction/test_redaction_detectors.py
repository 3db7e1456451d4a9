"""What the detectors find, what they leave, and that no text can hold the engine."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.collector import RedactRule
from sidecar.redaction.detector import DETECTORS
from sidecar.redaction.rules import MASKED, Redaction

EVERYTHING = tuple(DETECTORS)


def masked(text: str, *detect: str, regions: tuple[str, ...] = ()) -> str:
    return Redaction([RedactRule(detect=detect or EVERYTHING, regions=regions)]).text(text)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("mail bob.o'neil+x@exa-mple.co.uk.", "mail [email]."),
        ("(x@y.zz),jürgen@büro.de", "([email]),[email]"),
        ("by 'a@b.cc' or *a_b@c.dd*", "by '[email]' or *[email]*"),
        ("a@b no@ @x.y", "a@b no@ @x.y"),
        ("alice%40example.com/x%20y", "[email]/x y"),
        ("?u=%253Fm%253Da%2540b.cc", "?u=?m=[email]"),
        ("100%25 of it", "100%25 of it"),
        ("4111 1111 1111 1111 123", "[card] 123"),
        ("card=4111-1111-1111-1111;", "card=[card];"),
        ("4111111111111112", "4111111111111112"),
        ("12 5555555555554444", "12 [card]"),
        ("550e8400-e29b-41d4-a716-446655440000", "550e8400-e29b-41d4-a716-446655440000"),
        ("10.0.0.1:80 10.0.0.0/8 300.1.1.1 1.2.3", "[ip]:80 [ip]/8 300.1.1.1 1.2.3"),
        ("::1 ip:2001:db8::7. fe80::1%eth0 [2001:db8::1]:443", "[ip] ip:[ip]. [ip]%eth0 [[ip]]:443"),
        ("::ffff:10.0.0.1", "[ip]"),
        ("std::string at 12:30:15", "std::string at 12:30:15"),
        ("1.2.3.4 5.6.7.8", "[ip] [ip]"),
        ("+49 170 1234567, +33 (0)6 12 34 56 78", "[phone], [phone]"),
        ("00491701234567", "[phone]"),
        ("+999 12345678", "[phone]"),
        ("(415) 555-2671 12 times", "[phone] 12 times"),
        ("call 415-555-2671", "call [phone]"),
        ("on 2024-01-15 12:30:00, at 1700000000", "on 2024-01-15 12:30:00, at 1700000000"),
        ("", ""),
    ],
)
def test_what_is_found_and_what_is_left(text: str, left: str) -> None:
    assert masked(text) == left


def test_a_national_number_is_found_in_the_regions_that_are_named() -> None:
    text = "030 901820 or 415-555-2671"
    assert masked(text, "phone") == "030 901820 or [phone]"
    assert masked(text, "phone", regions=("DE", "US")) == "[phone] or [phone]"


def test_a_detector_looks_for_its_own_alone() -> None:
    text = "a@b.cc 4111111111111111 10.0.0.1 +491701234567"
    assert masked(text, "email") == text.replace("a@b.cc", "[email]")
    assert masked(text, "ip") == text.replace("10.0.0.1", "[ip]")


@pytest.mark.parametrize("many", ["1 ", "4111 ", "415-555-2671 ", "1.1.1.1 ", "::1 "])
def test_a_text_of_nothing_else_is_given_up_and_not_kept(many: str) -> None:
    assert masked(many * 300_000) == MASKED


@pytest.mark.parametrize("one", ["a", "1", "a.", "a:", "a@", "%41", "ä", "+", "(", "0x", "-"])
def test_a_long_text_is_read_to_its_end(one: str) -> None:
    assert masked(one * 300_000 + " a@b.cc ").endswith(" [email] ")


around = st.text(string.ascii_letters + " \n,;<>\"'ä中", max_size=20)


@given(around, around, st.sampled_from(["zed@example.com", "4111 1111 1111 1111", "203.0.113.77", "+49 170 1234567"]))
def test_what_stands_around_hides_nothing(before: str, after: str, secret: str) -> None:
    assert secret not in masked(f"{before} {secret} {after}")
