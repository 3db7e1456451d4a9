"""Every happening of the domain: named, logged and counted in this one place.

A drop says whether it was meant: *filtered* is what the policy meant, *dropped* and *lost* are what it did not, each
under a reason. Counter names start with `sidecar_` and carry their unit. Never holds a secret or a captured body: of an
error that is not ours only the type and the place are told, as its text may repeat either.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping

import structlog

from sidecar.errors import ConfigurationError, SidecarError
from sidecar.kit.metrics import Counters

_UNMEANT = {"dropped": "jobs dropped", "dead": "jobs dead-lettered"}
CANNOT_START = 2
"""The engine's exit code when it cannot start as it was told to: trying again helps only once that was changed."""


def _told(error: BaseException) -> str:
    """What of `error` may stand in a log."""
    return str(error) if isinstance(error, SidecarError | OSError) else type(error).__name__


def _place(error: BaseException) -> str:
    """Where `error` was raised: lines of source, no value."""
    return "".join(traceback.format_tb(error.__traceback__)).rstrip()


class Events:
    """Says what happened: to the log, and to `counters`."""

    def __init__(self, log: structlog.stdlib.BoundLogger, counters: Counters | None = None) -> None:
        self._log = log
        self.counters = counters or Counters()

    # the relay

    def relay_listening(self, address: str, upstream: str) -> None:
        self._log.info("relay listening", address=address, upstream=upstream)

    def upstream_refused(self, upstream: str, error: Exception) -> None:
        self.counters.add("sidecar_upstream_refused_total")
        self._log.warning("model cannot be reached", upstream=upstream, error=str(error))

    def capture_failed(self, where: str, error: BaseException) -> None:
        """A fault of ours in the copy: the reader is off that connection, the bytes go on."""
        self.counters.add("sidecar_capture_failures_total", where=where)
        self._log.error("capture failed, traffic goes on", where=where, error=_told(error), place=_place(error))

    def connection_uncaptured(self, reason: str) -> None:
        """A connection whose bytes pass unread from here on: an upgrade, HTTP/2, what cannot be read."""
        self.counters.add("sidecar_connections_uncaptured_total", reason=reason)
        self._log.debug("connection passes uncaptured", reason=reason)

    def connections_full(self, most: int) -> None:
        """No descriptors are left for more clients: they wait to be accepted until others leave."""
        self._log.warning("too many connections: raise the limit of open files", accepted_at_once=most)

    def engine_started(self, pid: int) -> None:
        self.counters.add("sidecar_engine_starts_total")
        self._log.info("engine started", pid=pid)

    def engine_died(self, exit_code: int, back_off_seconds: float) -> None:
        self.counters.add("sidecar_engine_deaths_total")
        happened = "engine cannot start like this" if exit_code == CANNOT_START else "engine died"
        self._log.error(
            f"{happened}, predictions go on", exit_code=exit_code, starts_again_in_seconds=round(back_off_seconds, 2)
        )

    def engine_refused(self, error: ConfigurationError) -> None:
        """Why the engine cannot start: each fault of its settings or its surroundings."""
        for problem in error.problems:
            self._log.error("engine cannot start", problem=str(problem))

    def engine_not_started(self, error: OSError, back_off_seconds: float) -> None:
        self._log.error(
            "engine could not be started, predictions go on",
            error=str(error),
            starts_again_in_seconds=round(back_off_seconds, 2),
        )

    def link_opened(self) -> None:
        self._log.debug("link to the engine open")

    def link_closed(self, lost: int) -> None:
        self._log.log(logging.WARNING if lost else logging.DEBUG, "link to the engine closed", exchanges_lost=lost)

    def stopping(self, signal: str) -> None:
        self._log.info("stopping", signal=signal)

    def stopped(self) -> None:
        self._log.info("stopped")

    # the engine

    def engine_waits(self, lock: str, holder: str) -> None:
        """Another engine is alone on the data folder; this one takes over when it is gone."""
        self._log.warning("engine waits: another one holds the data folder", lock=lock, held_by_process=holder)

    def engine_ready(self, admin: str, collectors: int, workflows: int) -> None:
        self._log.info("engine ready", admin=admin, collectors=collectors, workflows=workflows)

    def exchange_lost(self, reason: str, count: int = 1) -> None:
        self.counters.add("sidecar_exchanges_lost_total", count, reason=reason)
        self._log.debug("exchange lost", reason=reason, count=count)

    def exchange_undecoded(self, protocol: str, error: str) -> None:
        self.counters.add("sidecar_exchanges_undecoded_total", protocol=protocol)
        self._log.debug("body could not be read, kept raw", protocol=protocol, error=error)

    def policy_broken(self, error: ConfigurationError) -> None:
        """The last good version keeps running."""
        for problem in error.problems:
            self.counters.add("sidecar_policy_problems_total")
            place = {"file": problem.file, "line": problem.line, "field": problem.field}
            known = {name: value for name, value in place.items() if value}
            self._log.error("policy cannot be used", problem=problem.message, **known)

    def policy_changed(self, action: str, kind: str, keys: tuple[str, ...]) -> None:
        self.counters.add("sidecar_policy_changes_total", action=action, kind=kind)
        self._log.info(f"{kind} {action}", ids=keys)

    def operator_failed(self, collector: str, error: str) -> None:
        self.counters.add("sidecar_operator_failures_total", collector=collector)
        self._log.warning("operator failed, its input is dropped", collector=collector, error=error)

    def model_called(self, model: str, outcome: str) -> None:
        self.counters.add("sidecar_model_calls_total", model=model, outcome=outcome)

    def jobs_settled(self, collector: str, verdict: str, reason: str, count: int) -> None:
        self.counters.add("sidecar_jobs_settled_total", count, collector=collector, verdict=verdict, reason=reason)
        if verdict in _UNMEANT:
            self._log.warning(_UNMEANT[verdict], collector=collector, reason=reason, count=count)

    def jobs_retried(self, collector: str, reason: str, count: int, after_seconds: float) -> None:
        self.counters.add("sidecar_jobs_retried_total", count, collector=collector, reason=reason)
        self._log.info(
            "jobs wait for another try", collector=collector, reason=reason, count=count,
            after_seconds=round(after_seconds, 1),
        )  # fmt: skip

    def store_failed(self, doing: str, error: BaseException) -> None:
        self.counters.add("sidecar_store_failures_total", doing=doing)
        self._log.error("database failed", doing=doing, error=repr(error))

    def task_failed(self, name: str, error: BaseException) -> None:
        self.counters.add("sidecar_task_failures_total", task=name)
        self._log.error("task failed", task=name, error=_told(error), place=_place(error))

    def request_failed(self, method: str, path: str, error: BaseException) -> None:
        """A fault of ours in the admin API: answered in its envelope, nothing half-written."""
        self.counters.add("sidecar_admin_failures_total")
        self._log.error("admin request failed", method=method, path=path, error=_told(error), place=_place(error))

    def request_refused(self, path: str, status: int, problems: Mapping[str, str]) -> None:
        self.counters.add("sidecar_admin_refusals_total", status=str(status))
        self._log.info("admin request refused", path=path, status=status, problems=dict(problems))
