"""Operators that remember, each against a naive model: in any order of inputs, writes, drops and kills."""

from __future__ import annotations

import copy
from collections import Counter
from fractions import Fraction
from typing import Any, Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.operators import classified, faults_of, said
from support.remembering import Life, Node

from sidecar.data import Data, Media, Tensor
from sidecar.memory import Memories
from sidecar.workflow.run import Dropped, Kept

DAY = 86_400
CALLERS = ("alice", "bob")
CONCEPTS = ("cat", "dog", "")


def of_caller(caller: str) -> Data:
    return Data(metadata={"caller": caller})


def mostly(concept: str) -> Data:
    return classified(**{concept: 0.6, "rest": 0.4}) if concept else classified(other=0.5)


class Model(Protocol):
    """What an operator should do, as naively as it can be said."""

    def passes(self, caller: str, concept: str, at: float) -> bool: ...


class FirstN:
    def __init__(self, n: int, per: str) -> None:
        self.n, self.per = n, per
        self.passed: Counter[str] = Counter()

    def passes(self, caller: str, concept: str, at: float) -> bool:
        who = {"all": "", "caller": caller, "concept": concept}[self.per]
        self.passed[who] += 1
        return self.passed[who] <= self.n


class ClassQuota:
    def __init__(self, n: int, window: str) -> None:
        self.n = n
        self.seconds = {"minute": 60, "hour": 3600, "day": DAY, "ever": 10**12}[window]
        self.passed: Counter[tuple[int, str]] = Counter()

    def passes(self, caller: str, concept: str, at: float) -> bool:
        window = int(at) // self.seconds
        self.passed[window, concept] += 1
        return self.passed[window, concept] <= self.n


class Bucket:
    """A token bucket, word by word."""

    def __init__(self, n: int, period: str, per: str, burst: int | None = None) -> None:
        self.rate = Fraction(n, {"second": 1, "minute": 60, "hour": 3600, "day": DAY}[period])
        self.per, self.burst = per, burst or n
        self.tokens: dict[str, tuple[Fraction, int]] = {}

    def passes(self, caller: str, concept: str, at: float) -> bool:
        who = {"all": "", "caller": caller, "concept": concept}[self.per]
        tokens, since = self.tokens.get(who, (Fraction(self.burst), int(at)))
        tokens = min(Fraction(self.burst), tokens + (int(at) - since) * self.rate)
        passes = tokens >= 1
        self.tokens[who] = (tokens - passes, int(at))
        return passes


INPUTS = st.tuples(
    st.sampled_from([0, 0, 1, 20, 40]), st.sampled_from(CALLERS), st.sampled_from(CONCEPTS), st.booleans()
)
STEPS = st.lists(st.one_of(INPUTS, INPUTS, INPUTS, st.sampled_from(["write", "die"])), min_size=20, max_size=50)
PER = st.sampled_from(["all", "caller", "concept"])


def check(type_id: str, params: dict[str, Any], model: Model, steps: list[Any], start: int) -> None:
    """What passes is what passes in the model; a kill takes both back to what was written last."""
    written = copy.deepcopy(model)
    at = start
    with Life(type_id, params) as life:
        for step in steps:
            if step == "write":
                life.write()
                written = copy.deepcopy(model)
            elif step == "die":
                life.die()
                model = copy.deepcopy(written)
            else:
                seconds, caller, concept, drops = step
                at += seconds
                tried = copy.deepcopy(model)
                expected = tried.passes(caller, concept, at)
                assert life.passes(mostly(concept), of_caller(caller), at, drops=drops) is expected
                model = model if drops else tried


@settings(max_examples=25)
@given(n=st.integers(1, 4), per=PER, steps=STEPS)
def test_first_n_passes_the_first_n_over_any_number_of_lives(n: int, per: str, steps: list[Any]) -> None:
    check("first-n", {"n": n, "per": per}, FirstN(n, per), steps, 1_700_000_000)


@settings(max_examples=25)
@given(
    n=st.integers(1, 3),
    window=st.sampled_from(["minute", "hour", "day", "ever"]),
    before_midnight=st.integers(0, 200),
    steps=STEPS,
)
def test_a_class_quota_is_of_each_concept_in_each_window(
    n: int, window: str, before_midnight: int, steps: list[Any]
) -> None:
    check("class-quota", {"n": n, "window": window}, ClassQuota(n, window), steps, 19_675 * DAY - before_midnight)


@settings(max_examples=25)
@given(
    n=st.sampled_from([1, 2, 3, 30]),
    period=st.sampled_from(["second", "minute", "hour"]),
    burst=st.sampled_from([None, 1, 2]),
    per=PER,
    steps=STEPS,
)
def test_a_rate_limit_is_a_token_bucket(n: int, period: str, burst: int | None, per: str, steps: list[Any]) -> None:
    params = {"n": n, "period": period, "per": per} | ({} if burst is None else {"burst": burst})
    check("rate-limit", params, Bucket(n, period, per, burst), steps, 1_700_000_000)


@given(times=st.lists(st.integers(0, 300), max_size=60), burst=st.integers(1, 5))
def test_exchanges_that_come_late_get_no_token_twice(times: list[int], burst: int) -> None:
    node = Node("rate-limit", {"n": 6, "period": "minute", "burst": burst})
    passed = sum(node.passes(mostly("cat"), at=1_700_000_000.0 + time) for time in times)
    span = max(times, default=0) - min(times, default=0)
    assert passed <= burst + span / 10


def test_a_token_that_a_dropped_input_took_is_given_back_among_others() -> None:
    node = Node("rate-limit", {"n": 3, "period": "hour"})
    assert node.passes(mostly("cat"), at=1_700_000_000)
    dropped, _ = node.item(mostly("cat"), at=1_700_000_000)
    assert node.passes(mostly("cat"), at=1_700_000_000)
    assert not node.passes(mostly("cat"), at=1_700_000_000)
    dropped.give_back()
    assert node.passes(mostly("cat"), at=1_700_000_000)
    assert not node.passes(mostly("cat"), at=1_700_000_000)


def test_what_a_dropped_input_drove_out_is_remembered_again() -> None:
    node = Node("deduplicate", {"most": 1})
    assert node.passes(mostly("cat"), said("a"))
    dropped, _ = node.item(mostly("cat"), said("b"))
    dropped.give_back()
    assert not node.passes(mostly("cat"), said("a"))
    assert node.passes(mostly("cat"), said("b"))


def test_after_a_restart_too_the_oldest_is_forgotten_first() -> None:
    texts = [said(f"text {number}") for number in range(20)]
    with Life("deduplicate", {"most": 20}) as life:
        assert all(life.passes(mostly("cat"), text, at) for at, text in enumerate(texts))
        life.write()
        life.die()
        for text in range(10):
            assert life.passes(mostly("cat"), said(f"newer {text}"), 100.0 + text)
        assert not any(life.passes(mostly("cat"), text, 200.0) for text in texts[10:])


def test_a_bucket_is_never_fuller_than_full_and_a_window_ends() -> None:
    bucket = Node("rate-limit", {"n": 1, "period": "minute", "burst": 2})
    assert bucket.passes(mostly("cat"), at=1_700_000_000)
    assert [bucket.passes(mostly("cat"), at=1_700_009_000) for _ in range(3)] == [True, True, False]
    quota = Node("class-quota", {"n": 1, "window": "minute"})
    start = 1_700_000_040
    assert [quota.passes(mostly("cat"), at=start + at) for at in (0, 59.9, 60, 61, 1)] == [
        True, False, True, False, False
    ]  # fmt: skip


def test_collectors_share_nothing() -> None:
    node = Node("first-n", {"n": 1})
    assert node.passes(mostly("cat"), collector="a")
    assert node.passes(mostly("cat"), collector="b")
    assert not node.passes(mostly("cat"), collector="a")


def test_of_what_has_no_concepts_nobody_can_tell_whose_it_is() -> None:
    why = "node 'n': cannot count per concept: there are no concepts"
    for type_id, params in (
        ("first-n", {"n": 1, "per": "concept"}),
        ("rate-limit", {"n": 1, "period": "hour", "per": "concept"}),
        ("class-quota", {"n": 1}),
    ):
        assert Node(type_id, params).judge(said("no concepts")) == Dropped("operator_failed", why)


@pytest.mark.parametrize(
    ("type_id", "params"),
    [("first-n", {"n": 1, "per": "caller"}), ("rate-limit", {"n": 1, "period": "day", "per": "caller"})],
)
def test_invented_callers_fill_no_memory(type_id: str, params: dict[str, Any]) -> None:
    node = Node(type_id, params)
    for number in range(10_003):
        assert node.passes(mostly("cat"), of_caller(f"caller {number}"))
    (memory,) = node.memories.opened()
    assert len(memory) == 10_000
    assert not node.passes(mostly("cat"), of_caller("caller 3"))
    assert node.passes(mostly("cat"), of_caller("caller 2")), "it fell out, and starts anew"


CONTENTS = (said("a"), said("b"), Data(tensors=(Tensor([1, 2]),)), Data(image=Media(b"\x89PNG\r\n\x1a\n1")))


@settings(max_examples=25)
@given(
    most=st.integers(1, 4),
    within=st.sampled_from([None, 30.0, 100.0]),
    steps=st.lists(
        st.one_of(st.tuples(st.integers(0, 40), st.integers(0, len(CONTENTS) - 1)), st.sampled_from(["write", "die"])),
        max_size=40,
    ),
)
def test_deduplicate_passes_what_has_not_passed(most: int, within: float | None, steps: list[Any]) -> None:
    passed: dict[int, int] = {}  # when each content passed, oldest first
    written: dict[int, int] = {}
    at = 1_700_000_000
    with Life("deduplicate", {"most": most} | ({} if within is None else {"within_seconds": within})) as life:
        for step in steps:
            if step == "write":
                life.write()
                written = dict(passed)
            elif step == "die":
                life.die()
                passed = dict(sorted(written.items(), key=lambda each: each[1]))
            else:
                at += step[0] + 1
                which = step[1]
                expected = which not in passed or (within is not None and at - passed[which] >= within)
                noise = {"latency_ms": at}
                content = Data(**{**_fields(CONTENTS[which]), "metadata": noise})
                assert life.passes(mostly("cat"), content, at) is expected
                if expected:
                    passed.pop(which, None)
                    passed[which] = at
                    for oldest in list(passed)[:-most]:
                        del passed[oldest]


def _fields(data: Data) -> dict[str, Any]:
    return {name: getattr(data, name) for name in Data.__annotations__}


def test_deduplicate_looks_at_the_input_wherever_it_stands_or_at_what_it_reads() -> None:
    of_input = Node("deduplicate", {}, "$output")
    assert of_input.judge(mostly("cat"), said("a")) == Kept(mostly("cat"))
    assert not of_input.passes(mostly("dog"), said("a"))
    of_node = Node("deduplicate", {"on": "node"}, "$output")
    assert of_node.passes(mostly("cat"), said("a"))
    assert of_node.passes(mostly("dog"), said("a"))
    assert not of_node.passes(mostly("dog"), said("b"))


def test_deduplicate_alone_needs_no_answer_and_passes_the_input_on() -> None:
    assert Node("deduplicate", {}).judge(Data(), said("a")) == Kept(said("a"))


def test_what_has_no_content_cannot_be_compared() -> None:
    verdict = Node("deduplicate", {}).judge(mostly("cat"), of_caller("alice"))
    assert verdict == Dropped("operator_failed", "node 'n': cannot compare: the input has no content")


def test_names_tell_nothing_without_the_secret() -> None:
    assert Memories(b"one").name_of("alice") != Memories(b"other").name_of("alice")
    node = Node("first-n", {"n": 1, "per": "caller"}, memories=Memories(b"one"))
    item, _ = node.item(mostly("cat"), of_caller("alice"))
    (change,) = item.changes
    assert change.entry.name == Memories(b"one").name_of("caller", "alice")
    assert change.entry.content == b""


def test_what_is_wrong_with_the_parameters_is_said() -> None:
    assert faults_of("first-n", {"n": 0, "per": "host"}) == [
        "n: must be at least 1",
        "per: must be 'all', 'caller' or 'concept'",
    ]
    assert faults_of("rate-limit", {"n": 1, "period": "week"}) == [
        "period: must be 'second', 'minute', 'hour' or 'day'"
    ]
    assert faults_of("class-quota", {"n": 1, "window": "week"})
    assert faults_of("deduplicate", {"within_seconds": 0}) == ["within_seconds: must be more than 0"]
