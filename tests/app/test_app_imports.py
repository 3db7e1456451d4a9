"""What the engine does not import before it is needed: its memory at rest stands on it."""

from __future__ import annotations

import subprocess
import sys

LATER = {
    "cryptography": "when there is a secret",
    "prometheus_client": "for the first page of metrics",
    "re2": "for an expression that somebody wrote",
    "rich": "by commands that draw tables",
    "sqlalchemy.dialects.postgresql": "for a destination that is one",
    "pydantic.v1": "never",
    "numpy": "for what computes with arrays",
    "phonenumbers": "for a rule that looks for them",
}
CODE = "import sys, sidecar.cli, sidecar.app.engine; print(*sys.modules)"


def test_the_engine_starts_without_what_it_may_never_need() -> None:
    run = subprocess.run([sys.executable, "-c", CODE], capture_output=True, check=True, text=True)
    imported = set(run.stdout.split())
    assert "sidecar.app.engine" in imported
    assert imported.isdisjoint(LATER), f"imported at once: {sorted(imported.intersection(LATER))}"
