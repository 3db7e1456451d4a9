"""Installed distributions with operators or detectors of their own, as a package manager leaves them behind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

GOOD = """
from sidecar.data import Data
from sidecar.workflow.operators.operator import EMPTY, Operator, Params


class LongerParams(Params):
    than: int


class Longer(Operator):
    params_model = LongerParams
    reads = frozenset(("tensors",))

    def __init__(self, node, params):
        self._than = params.than

    def __call__(self, inputs, item):
        return inputs[0] if len(inputs[0].tensors[0].value) > self._than else EMPTY
"""


NAMES = """
from sidecar.redaction.detector import Detector


class Names(Detector):
    def __init__(self):
        self._known = ("Zed", "Ann Lee")

    def __call__(self, text):
        if "boom" in text:
            raise KeyError(text)
        return [(text.find(name), text.find(name) + len(name)) for name in self._known if name in text]
"""


def install(
    site: Path, name: str, code: str | None, entries: Mapping[str, str], group: str = "sidecar.operators"
) -> None:
    """A distribution `name` 1.0 in `site` whose module has `code`, naming `entries` (operator → module:class)."""
    site.mkdir(exist_ok=True)
    if code is not None:
        (site / f"{name}.py").write_text(code)
    about = site / f"{name}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = "".join(f"{operator} = {value}\n" for operator, value in entries.items())
    (about / "entry_points.txt").write_text(f"[{group}]\n{lines}")


def workflow_of(type_id: str, params: str = "{}") -> str:
    """A workflow of one node, with the id of its operator."""
    return (
        f"workflow:\n  id: {type_id}\n  nodes:\n    - id: n\n      model:\n        model_id: n\n"
        f"        model_type_id: {type_id}\n        output_info: {{params: {params}}}\n"
    )
