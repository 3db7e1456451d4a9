"""How the library reaches scoring images: older Pythons, a wheel of its own, and the old import lines."""

from __future__ import annotations

import ast
import asyncio
import os
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
from support.rows_end import ROOT, rows_end, run_command, run_scoring

LIBRARY = ROOT / "sidecar" / "datacollector"
PROJECT = ROOT / ".github" / "datacollector" / "pyproject.toml"
OLDEST = (3, 8)
SCORE = """
import sys
sys.path.insert(0, {folder!r})
from sidecar.datacollector import ModelDataCollector, flush
inputs = ModelDataCollector("digits", designation="inputs", feature_names=["a"], model_version="3")
predictions = ModelDataCollector("digits", designation="predictions", feature_names=["p"], model_version="3")
context = inputs.collect([1])
predictions.collect(predictions.add_correlations([[0.5]], context))
assert flush(30)
print("%d.%d" % sys.version_info[:2])
"""


def interpreters() -> dict[str, str]:
    """This interpreter, and every older one that is installed and that the library is for, by version."""
    found = {f"{sys.version_info[0]}.{sys.version_info[1]}": sys.executable}
    for minor in range(OLDEST[1], sys.version_info[1]):
        version = f"3.{minor}"
        kept = sorted(Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python"))
        path = os.fspath(kept[-1]) if kept else shutil.which(f"python{version}")
        if path:
            found[version] = path
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The second distribution's wheel, built from a copy: building leaves its traces beside the project."""
    tree = tmp_path_factory.mktemp("tree")
    shutil.copytree(LIBRARY, tree / "sidecar" / "datacollector", ignore=shutil.ignore_patterns("__pycache__"))
    project = tree / ".github" / "datacollector"
    project.mkdir(parents=True)
    shutil.copy(PROJECT, project)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-index", "--no-build-isolation"]
    built = asyncio.run(run_command([*command, "-w", str(tree), str(project)], folder=tree))
    assert built[0] == 0, built
    (path,) = tree.glob("*.whl")
    return path


def test_the_wheel_holds_the_library_and_nothing_else(wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == {f"sidecar/datacollector/{path.name}" for path in LIBRARY.glob("*.py")}
    assert wheel.name.endswith("-py3-none-any.whl")
    metadata = zipfile.ZipFile(wheel).read(f"{wheel.name.split('-py3')[0]}.dist-info/METADATA").decode()
    assert "Requires-Python: >=3.8" in metadata
    assert "Requires-Dist" not in metadata


@pytest.mark.parametrize("path", sorted(LIBRARY.glob("*.py")), ids=lambda path: path.name)
def test_its_syntax_is_that_of_the_oldest_python(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=OLDEST)


@pytest.mark.parametrize("version", interpreters())
async def test_it_works_out_of_its_wheel(wheel: Path, tmp_path: Path, version: str) -> None:
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path / "site")
    (tmp_path / "score.py").write_text(SCORE.format(folder=str(tmp_path / "site")))
    command = [interpreters()[version], "-I", "-S", "-W", "error", "score.py"]
    async with rows_end(join_seconds=60) as end:
        said = await run_command(command, folder=tmp_path, SIDECAR_MDC=end.address)
        assert said == (0, f"{version}\n", "")
        ((captured, call),) = await end.calls(1)
        assert captured.arrival.asked.key == ("anonymous", "digits", "3")
        assert call.output_error == ""
    assert (await run_command(command, folder=tmp_path, SIDECAR_MDC=f"file:{tmp_path}"))[0] == 0
    assert {path.parts[-5] for path in _files(tmp_path)} == {"inputs", "predictions"}


def _files(folder: Path) -> list[Path]:
    return list(folder.rglob("data.csv"))


OLD_LINES = """
import sidecar.datacollector.azureml
from azureml.datacollector import ModelDataCollector
from azureml.monitoring import ModelDataCollector as Second
import azureml.datacollector
from sidecar.datacollector import ModelDataCollector as Ours
assert ModelDataCollector is Second is azureml.datacollector.ModelDataCollector is Ours
dc = ModelDataCollector("digits", identifier="inputs", feature_names=["a"])
dc.collect([1], user_correlation_id="c")
"""


@pytest.mark.parametrize("others", ["", "from azureml.ai.monitoring import Collector\n"])
async def test_the_old_lines_work_also_beside_azures_newer_package(tmp_path: Path, others: str) -> None:
    async with rows_end(join_seconds=0) as end:
        script = OLD_LINES + others
        code, out, errors = await run_scoring(script, folder=tmp_path, SIDECAR_MDC=end.address)
        assert (code, out) == (0, ""), errors
        assert await end.rows(1) == [[{"a": 1}]]


async def test_the_old_lines_need_nothing_of_azure(tmp_path: Path) -> None:
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n" + OLD_LINES
    (tmp_path / "score.py").write_text(script)
    async with rows_end(join_seconds=0) as end:
        command = [sys.executable, "-I", "-S", "score.py"]
        assert await run_command(command, folder=tmp_path, SIDECAR_MDC=end.address) == (0, "", "")
        assert await end.rows(1) == [[{"a": 1}]]


async def test_they_are_there_only_when_asked_for(tmp_path: Path) -> None:
    script = "import sidecar.datacollector\nfrom azureml.datacollector import ModelDataCollector"
    code, _, errors = await run_scoring(script, folder=tmp_path)
    assert code == 1
    assert "ModuleNotFoundError" in errors
