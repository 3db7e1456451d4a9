"""The image: what the Dockerfile claims, checked on its own lines."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from support.stopping import stop_seconds

from sidecar import settings

ROOT = Path(__file__).parents[1]


def _stages() -> list[list[tuple[str, str]]]:
    """The Dockerfile's stages, each a list of (instruction, argument)."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    stages: list[list[tuple[str, str]]] = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        instruction, _, argument = line.partition(" ")
        if instruction == "FROM":
            stages.append([])
        stages[-1].append((instruction, argument.strip()))
    return stages


def _final(instruction: str) -> list[str]:
    return [argument for name, argument in _stages()[-1] if name == instruction]


class TestImage:
    def test_both_stages_stand_on_one_pinned_slim_python(self) -> None:
        bases = [stage[0][1].split()[0] for stage in _stages()]
        assert len(set(bases)) == 1, "a virtual environment works only on the Python it was made with"
        assert re.fullmatch(r"python:3\.\d+-slim-\w+", bases[0])

    def test_it_runs_as_nobody_with_a_number_that_owns_the_data(self) -> None:
        (user,) = _final("USER")
        uid, gid = user.split(":")
        assert int(uid) > 0
        assert int(gid) > 0
        assert any(f"-o {uid} -g {gid}" in run and "/data" in run for run in _final("RUN"))

    def test_nothing_is_installed_in_the_final_stage(self) -> None:
        assert not [run for run in _final("RUN") if re.search(r"\b(pip|apt-get|apt|curl)\b", run)]

    def test_its_variables_are_settings_and_its_ports_are_exposed(self) -> None:
        pairs = (pair.split("=", 1) for line in _final("ENV") for pair in shlex.split(line))
        variables = {name: value for name, value in pairs if name.startswith(settings.PREFIX)}
        read = settings.load({}, variables)
        assert not read.listen.is_loopback
        assert read.probes is not None
        assert {str(a.port) for a in (read.listen, read.admin, read.probes)} == set(" ".join(_final("EXPOSE")).split())
        assert _final("VOLUME") == [str(read.data)]

    def test_it_starts_the_sidecar_itself_so_that_signals_reach_it(self) -> None:
        assert (_final("ENTRYPOINT"), _final("CMD")) == (['["sidecar"]'], ['["run"]'])

    def test_the_line_in_its_head_leaves_time_to_stop(self) -> None:
        text = (ROOT / "Dockerfile").read_text()
        found = re.search(r"--stop-timeout (\d+)", text)
        assert found is not None
        assert int(found[1]) > stop_seconds(settings.load({}, {}))

    def test_what_is_copied_into_the_build_is_let_through(self) -> None:
        let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
        copied = {
            name for instruction, argument in _stages()[0] if instruction == "COPY" for name in argument.split()[:-1]
        }
        assert copied == let_through
