"""The package: what an installed one has to carry beside its code."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_file_that_is_no_code_is_packaged() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    patterns = tools["setuptools"]["package-data"]["sidecar"]
    packaged = {path for pattern in patterns for path in (ROOT / "sidecar").glob(pattern)}
    there = {path for path in (ROOT / "sidecar").rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert packaged == there
    assert ROOT / "sidecar/py.typed" in packaged


def test_every_folder_with_code_is_a_package() -> None:
    for module in (ROOT / "sidecar").rglob("*.py"):
        assert (module.parent / "__init__.py").exists(), f"{module.parent} would not be installed"
