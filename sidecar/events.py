"""Every happening of the domain: named, logged and counted in this one place.

A drop says whether it was meant: *filtered* is what the policy meant, *dropped* and *lost* are what it did not, each
under a reason. Counter names start with `sidecar_` and carry their unit. Never holds a secret or a captured body.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from sidecar.errors import ConfigurationError
from sidecar.kit.metrics import Counters


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
        self._log.error("capture failed, traffic goes on", where=where, error=repr(error), exc_info=error)

    def connection_uncaptured(self, reason: str) -> None:
        """A connection whose bytes pass unread from here on: an upgrade, HTTP/2, what cannot be read."""
        self.counters.add("sidecar_connections_uncaptured_total", reason=reason)
        self._log.debug("connection passes uncaptured", reason=reason)

    def engine_started(self, pid: int) -> None:
        self.counters.add("sidecar_engine_starts_total")
        self._log.info("engine started", pid=pid)

    def engine_died(self, exit_code: int, back_off_seconds: float) -> None:
        self.counters.add("sidecar_engine_deaths_total")
        self._log.error(
            "engine died, predictions go on", exit_code=exit_code, starts_again_in_seconds=round(back_off_seconds, 2)
        )

    def link_opened(self) -> None:
        self._log.debug("link to the engine open")

    def link_closed(self, lost: int) -> None:
        self._log.log(30 if lost else 10, "link to the engine closed", exchanges_lost=lost)

    def stopping(self, signal: str) -> None:
        self._log.info("stopping", signal=signal)

    def stopped(self) -> None:
        self._log.info("stopped")

    # the engine

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
            self._log.error(
                "policy cannot be used", file=problem.file, line=problem.line, field=problem.field,
                problem=problem.message,
            )  # fmt: skip

    def policy_changed(self, action: str, kind: str, keys: tuple[str, ...]) -> None:
        self.counters.add("sidecar_policy_changes_total", action=action, kind=kind)
        self._log.info("policy changed", action=action, kind=kind, ids=keys)

    def operator_failed(self, collector: str, error: str) -> None:
        self.counters.add("sidecar_operator_failures_total", collector=collector)
        self._log.warning("operator failed", collector=collector, error=error)

    def model_called(self, model: str, outcome: str) -> None:
        self.counters.add("sidecar_model_calls_total", model=model, outcome=outcome)

    def jobs_settled(self, collector: str, verdict: str, reason: str, count: int) -> None:
        self.counters.add("sidecar_jobs_settled_total", count, collector=collector, verdict=verdict, reason=reason)
        if verdict in ("dropped", "dead"):
            self._log.warning(
                "jobs lost by no policy", collector=collector, verdict=verdict, reason=reason, count=count
            )

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
        self._log.error("task failed", task=name, error=repr(error), exc_info=error)

    def request_refused(self, path: str, status: int, problems: Mapping[str, str]) -> None:
        self.counters.add("sidecar_admin_refusals_total", status=str(status))
        self._log.info("admin request refused", path=path, status=status, problems=dict(problems))
