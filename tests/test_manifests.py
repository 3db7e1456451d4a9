"""The manifests and the image: what they claim, checked on what kubectl renders and on the Dockerfile's own lines."""

from __future__ import annotations

import functools
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar import __version__, settings
from sidecar.kit.sizes import parse_bytes, parse_seconds
from sidecar.policy.files import read_folder
from sidecar.workflow.graph import compile_workflow

ROOT = Path(__file__).parents[1]
Manifest = dict[str, Any]
needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed: cannot render")


@functools.cache
def _render(folder: str) -> tuple[Manifest, ...]:
    done = subprocess.run(["kubectl", "kustomize", str(ROOT / folder)], capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr.lower()
    return tuple(yaml.safe_load_all(done.stdout))


def _one(folder: str, kind: str, name: str = "") -> Manifest:
    found = [m for m in _render(folder) if m["kind"] == kind and name in ("", m["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} of {kind} {name}"
    return found[0]


def _pod(folder: str = "k8s/base") -> Manifest:
    pod: Manifest = _one(folder, "Deployment")["spec"]["template"]["spec"]
    return pod


def _sidecar() -> Manifest:
    (sidecar,) = _pod()["initContainers"]
    return dict(sidecar)


def _model() -> Manifest:
    (model,) = _pod()["containers"]
    return dict(model)


def _environment() -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in _sidecar()["env"]}


def _volumes(folder: str = "k8s/base") -> dict[str, Manifest]:
    return {volume["name"]: volume for volume in _pod(folder)["volumes"]}


@needs_kubectl
class TestBase:
    def test_the_sidecar_is_native_and_of_this_version(self) -> None:
        assert _sidecar()["restartPolicy"] == "Always"
        assert _sidecar()["image"] == f"collector-sidecar:{__version__}"

    def test_every_variable_is_a_setting_and_all_of_them_can_be_read(self) -> None:
        assert set(_environment()) <= {row.variable for row in settings.rows()}
        read = settings.load({}, _environment())
        assert read.admin.is_loopback
        assert read.upstream.port in {port["containerPort"] for port in _model()["ports"]}

    def test_clients_reach_the_model_only_through_the_sidecar(self) -> None:
        (port,) = _one("k8s/base", "Service")["spec"]["ports"]
        listen = settings.load({}, _environment()).listen
        assert port["targetPort"] == listen.port
        assert not listen.is_loopback
        assert listen.port in {port["containerPort"] for port in _sidecar()["ports"]}

    @pytest.mark.parametrize(
        ("probe", "path"), [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")]
    )
    def test_no_probe_of_the_sidecar_waits_for_the_model(self, probe: str, path: str) -> None:
        asked = _sidecar()[probe]["httpGet"]
        probes = settings.load({}, _environment()).probes
        assert probes is not None
        assert not probes.is_loopback, "a kubelet cannot reach loopback"
        assert (asked["path"], asked["port"]) == (path, probes.port)

    def test_the_grace_period_holds_every_step_of_the_stop(self) -> None:
        read = settings.load({}, _environment())
        pause = _model()["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert "lifecycle" not in _sidecar()
        assert pause > 0
        assert _pod()["terminationGracePeriodSeconds"] >= pause + read.drain_delay + read.grace + 5

    def test_the_pod_and_both_containers_are_confined(self) -> None:
        pod = _pod()["securityContext"]
        assert pod["runAsNonRoot"]
        assert pod["runAsUser"] > 0
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in (_sidecar(), _model()):
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert _sidecar()["securityContext"]["readOnlyRootFilesystem"] is True
        assert _pod()["automountServiceAccountToken"] is False

    def test_what_the_sidecar_writes_has_a_volume(self) -> None:
        mounts = {mount["mountPath"]: mount for mount in _sidecar()["volumeMounts"]}
        read = settings.load({}, _environment())
        assert "emptyDir" in _volumes()[mounts[str(read.data)]["name"]]
        assert "emptyDir" in _volumes()[mounts["/tmp"]["name"]]
        assert mounts[str(read.policies)]["readOnly"] is True

    def test_its_memory_limit_holds_what_it_may_keep(self) -> None:
        limit = parse_bytes(_sidecar()["resources"]["limits"]["memory"])
        read = settings.load({}, _environment())
        assert limit >= 2 * (read.relay_memory + read.queue_memory)
        assert "cpu" not in _sidecar()["resources"]["limits"]

    def test_variables_of_services_do_not_pass_for_settings(self) -> None:
        assert _pod()["enableServiceLinks"] is False

    def test_the_policies_are_the_ones_in_the_folder(self) -> None:
        rendered = _one("k8s/base", "ConfigMap")
        files = {path.name: path.read_text() for path in (ROOT / "k8s/base/policies").iterdir()}
        assert rendered["data"] == files
        assert _volumes()["policies"]["configMap"]["name"] == rendered["metadata"]["name"]

    def test_the_policies_have_no_fault_and_every_workflow_can_run(self) -> None:
        loaded = read_folder(ROOT / "k8s/base/policies")
        assert loaded.problems == ()
        assert {c.pre_queue_workflow_id for c in loaded.collectors} == {w.id for w in loaded.workflows}
        for workflow in loaded.workflows:
            compile_workflow(workflow, set())

    def test_no_image_is_without_a_version(self) -> None:
        for container in (_sidecar(), _model()):
            assert re.search(r":\d+\.\d+\.\d+$", container["image"]), container["image"]


@needs_kubectl
class TestVolume:
    def test_the_data_folder_is_on_a_claim_and_has_one_writer(self) -> None:
        data = _volumes("k8s/volume")["data"]
        claim = _one("k8s/volume", "PersistentVolumeClaim")
        assert data == {"name": "data", "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}}
        deployment = _one("k8s/volume", "Deployment")["spec"]
        assert deployment["replicas"] == 1
        assert deployment["strategy"] == {"type": "Recreate"}

    def test_nothing_else_differs_from_the_base(self) -> None:
        base, volume = (
            {key: value for key, value in _pod(folder).items() if key != "volumes"}
            for folder in ("k8s/base", "k8s/volume")
        )
        assert base == volume


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
        defaults = {row.name: row.default for row in settings.rows()}
        needed = parse_seconds(defaults["drain_delay"]) + parse_seconds(defaults["grace"])
        found = re.search(r"--stop-timeout (\d+)", text)
        assert found is not None
        assert int(found[1]) > needed

    def test_what_is_copied_into_the_build_is_let_through(self) -> None:
        let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
        copied = {
            name for instruction, argument in _stages()[0] if instruction == "COPY" for name in argument.split()[:-1]
        }
        assert copied == let_through
