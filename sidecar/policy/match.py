"""Matching: which collectors want an exchange. Pure; the cost does not grow with the number of other collectors.

A blank field of a collector's source means any. The owner of the model is compared only when the call names one, as
most protocols have no such thing.
"""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.collector import Collector
from sidecar.frame import Want

_Ranked = tuple[int, Collector]


class Matcher:
    """Finds active collectors by (model, version, caller); blank stands for any in the last two."""

    def __init__(self, collectors: Iterable[Collector]) -> None:
        self._by_source: dict[tuple[str, str, str], list[_Ranked]] = {}
        for ranked in enumerate(each for each in collectors if each.is_active):
            source = ranked[1].source
            key = (source.model_id, source.model_version_id, source.caller_user_id)
            self._by_source.setdefault(key, []).append(ranked)

    def match(
        self, model: str, version: str, caller: str, user: str, app: str, exchange_fraction: float
    ) -> tuple[Collector, ...]:
        """The collectors that want an exchange, in the order they were given.

        `version` and `caller` are blank when unknown, `user` and `app` when the call names no owner of the model.
        `exchange_fraction` in [0, 1) is drawn from the exchange's id: it decides sampling of whole exchanges.
        """
        found: list[_Ranked] = []
        for one_version in {version, ""}:
            for one_caller in {caller, ""}:
                found += self._by_source.get((model, one_version, one_caller), ())
        found.sort(key=_rank)
        return tuple(
            collector
            for _, collector in found
            if exchange_fraction < collector.sample_exchanges and _owns(collector, user, app)
        )


def wants(collectors: Iterable[Collector]) -> list[Want]:
    """What any of the active `collectors` could want, for the relay's index."""
    return [
        Want(
            collector.source.model_id,
            collector.source.model_version_id,
            collector.source.caller_user_id,
            collector.sample_exchanges,
        )
        for collector in collectors
        if collector.is_active
    ]


def _rank(ranked: _Ranked) -> int:
    return ranked[0]


def _owns(collector: Collector, user: str, app: str) -> bool:
    source = collector.source
    return _agrees(source.model_user_id, user) and _agrees(source.model_app_id, app)


def _agrees(wanted: str, given: str) -> bool:
    return not wanted or not given or wanted == given
