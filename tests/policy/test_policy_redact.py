"""The field `redact`: read, written, patched, and every fault in it named by its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.collector import RedactRule
from sidecar.errors import ConfigurationError
from sidecar.policy.files import read_folder
from sidecar.policy.wire import patch_collector, read_collector, write_collector
from sidecar.redaction.addresses import ROOTS
from sidecar.redaction.detector import DETECTORS
from sidecar.redaction.rules import UNREAD

RULES: list[dict[str, Any]] = [
    {"remove": "input.text"},
    {"mask": r"\b\d{9}\b", "to": "[id]"},
    {"mask": "x", "to": ""},
    {"detect": ["email", "phone"], "regions": ["DE"]},
    {"keep_unread": ["image"]},
]
READ = (
    RedactRule(remove="input.text"),
    RedactRule(mask=r"\b\d{9}\b", to="[id]"),
    RedactRule(mask="x", to=""),
    RedactRule(detect=("email", "phone"), regions=("DE",)),
    RedactRule(keep_unread=("image",)),
)


def wire(redact: object) -> dict[str, Any]:
    return {"id": "c", "source": {"model": "m"}, "pre_queue_random_sample": 1, "redact": redact}


def faults(redact: object) -> dict[str, str]:
    with pytest.raises(ConfigurationError) as caught:
        read_collector(wire(redact))
    return {problem.field: problem.message for problem in caught.value.problems}


def test_rules_are_read_and_written_again() -> None:
    collector = read_collector(wire(RULES))
    assert collector.redact == READ
    assert write_collector(collector)["redact"] == RULES
    assert "redact" not in write_collector(read_collector(wire([])))


some = st.lists(st.sampled_from(list(DETECTORS)), min_size=1, max_size=3).map(tuple)
text = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
rules = st.one_of(
    st.builds(RedactRule, remove=st.sampled_from(["output", "metadata.a[*].b", "input.tensors[?name=='x']"])),
    st.builds(RedactRule, mask=st.sampled_from(["a", r"\d{3}", "[[:alpha:]]+"]), to=text),
    st.builds(RedactRule, detect=some, to=text),
    st.builds(RedactRule, detect=st.just(("phone",)), regions=st.just(("DE", "US"))),
    st.builds(RedactRule, keep_unread=st.lists(st.sampled_from(UNREAD), min_size=1).map(tuple)),
)


@given(st.lists(rules, max_size=4).map(tuple))
def test_reading_what_was_written_gives_the_same_rules(written: tuple[RedactRule, ...]) -> None:
    collector = patch_collector(read_collector(wire([])), {"redact": [{"detect": ["ip"]}]})
    collector = read_collector(orjson.loads(orjson.dumps(write_collector(collector) | {"redact": _of(written)})))
    assert collector.redact == written


def _of(written: tuple[RedactRule, ...]) -> list[dict[str, Any]]:
    return [
        {
            name: value
            for name in RedactRule.__dataclass_fields__
            if (value := getattr(rule, name)) not in ("", (), None)
        }
        | ({} if rule.to is None else {"to": rule.to})
        for rule in written
    ]


def test_a_patch_replaces_all_rules_or_none() -> None:
    old = read_collector(wire(RULES))
    assert patch_collector(old, {"description": "new"}).redact == READ
    assert patch_collector(old, {"redact": [{"detect": ["ip"]}]}).redact == (RedactRule(detect=("ip",)),)
    assert patch_collector(old, {"redact": []}).redact == ()
    assert patch_collector(old, {"redact": None}).redact == ()


def test_every_fault_is_named_at_once_by_its_place() -> None:
    found = faults(
        [
            {"remove": "text.raw"},
            {"mask": "(a"},
            {"mask": "a*"},
            {"detect": ["email", 7]},
            {"detect": []},
            {"detect": ["phone"], "regions": ["XX"]},
            {"keep_unread": ["raw"]},
            {"masc": "a"},
            {"mask": ""},
        ]
    )
    assert found == {
        "collector.redact[0].remove": f"must start with {', '.join(ROOTS)}: input.text, metadata.query.email",
        "collector.redact[1].mask": "is no RE2 expression: missing ): (a",
        "collector.redact[2].mask": "is found in an empty text too: say what it must hold",
        "collector.redact[3].detect[1]": "must be text, not int: put it in quotes",
        "collector.redact[4].detect": "must not be empty",
        "collector.redact[5].regions": "must be regions by ISO 3166, such as US, DE",
        "collector.redact[6].keep_unread[0]": "must be 'image', 'video', 'audio', 'text' or 'binary'",
        "collector.redact[7].masc": "no such field: did you mean mask?",
        "collector.redact[8].mask": "must not be empty",
    }


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({}, "must be one rule: remove, mask, detect or keep_unread"),
        ({"mask": "a", "remove": "input.text"}, "must be one rule: remove, mask, detect or keep_unread"),
        ({"remove": "input.text", "to": "x"}, "`to` belongs to mask or detect"),
        ({"detect": ["email"], "regions": ["DE"]}, "`regions` belongs to `detect: [phone]`"),
    ],
)
def test_a_rule_is_one_thing(rule: object, said: str) -> None:
    assert faults([rule]) == {"collector.redact[0]": said}


def test_a_fault_in_a_file_has_its_line(tmp_path: Path) -> None:
    text = "collector:\n  id: c\n  source: {model: m}\n  pre_queue_random_sample: 1\n  redact:\n    - {detect: [ip]}\n    - {mask: '('}\n"  # fmt: skip  # noqa: E501
    (tmp_path / "c.yaml").write_text(text)
    (problem,) = read_folder(tmp_path).problems
    assert (problem.line, problem.field) == (7, "collector.redact[1].mask")
