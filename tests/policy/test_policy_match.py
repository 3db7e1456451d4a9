"""Matching: what a brute-force reading of the rules would find, at a cost that other collectors do not add to."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from sidecar.collector import Collector, Source, Status
from sidecar.frame import Want, build_index
from sidecar.policy.match import Matcher, wants

NAMES = ("", "a", "b")
SOURCES = [Source(*fields) for fields in itertools.product("mn", NAMES, NAMES, NAMES, NAMES)]
EVERY = [
    Collector(f"{name}-{number}", source, status=status, sample_exchanges=sample)
    for number, (source, status, sample) in enumerate(itertools.product(SOURCES, Status, (0.25, 1.0)))
    for name in ("one", "two")
]
"""Every kind of collector that there can be with these names, twice: one draw each, where its fields would be nine."""
names = st.sampled_from(NAMES)
collectors = st.lists(st.sampled_from(EVERY), max_size=12, unique_by=lambda each: each.id)
fractions = st.sampled_from([0.0, 0.2499, 0.25, 0.9])


def wanted(collector: Collector, version: str, caller: str, user: str, app: str, fraction: float) -> bool:
    source = collector.source
    return (
        collector.is_active
        and source.model_id == "m"
        and source.model_version_id in ("", version)
        and source.caller_user_id in ("", caller)
        and (not user or source.model_user_id in ("", user))
        and (not app or source.model_app_id in ("", app))
        and fraction < collector.sample_exchanges
    )


@given(collectors, names, names, names, names, fractions)
def test_finds_what_the_rules_say(
    given_collectors: list[Collector], version: str, caller: str, user: str, app: str, fraction: float
) -> None:
    found = Matcher(given_collectors).match("m", version, caller, user, app, fraction)
    assert found == tuple(each for each in given_collectors if wanted(each, version, caller, user, app, fraction))


@given(collectors, names, names, fractions)
def test_the_relays_index_never_refuses_what_would_match(
    given_collectors: list[Collector], version: str, caller: str, fraction: float
) -> None:
    index = build_index(wants(given_collectors))
    if Matcher(given_collectors).match("m", version, caller, "", "", fraction):
        assert fraction < index.fraction("m", version, caller)


def test_an_unknown_caller_is_nobody() -> None:
    collector = Collector("c", Source("m", caller_user_id="alice"))
    assert Matcher([collector]).match("m", "", "", "", "", 0.0) == ()


def test_only_active_collectors_are_wanted() -> None:
    source = Source("m", "1", caller_user_id="alice")
    paused = Collector("p", Source("n"), status=Status.COLLECTOR_INACTIVE)
    assert wants([Collector("c", source, sample_exchanges=0.5), paused]) == [Want("m", "1", "alice", 0.5)]
