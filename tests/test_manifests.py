"""The manifests: what they claim, checked on what kubectl renders and against Kubernetes' own schemas."""

from __future__ import annotations

import copy
import functools
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from support.stopping import stop_seconds

from sidecar import __version__, settings
from sidecar.kit.sizes import parse_bytes
from sidecar.policy.files import read_folder
from sidecar.workflow.graph import compile_workflow

ROOT = Path(__file__).parents[1]
OLDEST_KUBERNETES = "1.30"
"""What `k8s/base/kustomization.yaml` says that it needs."""
RELAY_ITSELF_BYTES = parse_bytes("48MiB")
ENGINE_ITSELF_BYTES = parse_bytes("128MiB")
DECODED_TIMES = 8
"""Measured: a queue full of 7 MB JSON bodies of floats makes the engine grow by 7 times the queue."""
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
class TestSchemas:
    @pytest.mark.parametrize("release", [OLDEST_KUBERNETES, kubernetes_validate.latest_version()])
    @pytest.mark.parametrize("folder", ["k8s/base", "k8s/volume"])
    def test_every_manifest_is_what_kubernetes_takes(self, folder: str, release: str) -> None:
        for manifest in _render(folder):
            kubernetes_validate.validate(manifest, release, strict=True)

    def test_a_misspelt_field_would_be_seen(self) -> None:
        wrong = copy.deepcopy(_one("k8s/base", "Deployment"))
        sidecar = wrong["spec"]["template"]["spec"]["initContainers"][0]
        sidecar["restartPolcy"] = sidecar.pop("restartPolicy")
        with pytest.raises(kubernetes_validate.ValidationError, match="restartPolcy"):
            kubernetes_validate.validate(wrong, OLDEST_KUBERNETES, strict=True)


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
        assert _pod()["terminationGracePeriodSeconds"] > pause + stop_seconds(read)

    def test_the_model_ends_when_it_is_told_to(self) -> None:
        """The sidecar is told after it; what ignores SIGTERM would use up the whole grace period."""
        shell, flag, script = _model()["command"]
        script = script.replace("/usr/bin/tf_serving_entrypoint.sh", "(trap '' TERM; echo up; exec sleep 30)")
        model = subprocess.Popen([shell, flag, script], stdout=subprocess.PIPE, start_new_session=True)
        try:
            assert model.stdout is not None
            assert model.stdout.readline() == b"up\n"
            model.terminate()
            assert model.wait(5) == 0
        finally:
            os.killpg(model.pid, signal.SIGKILL)
            model.communicate()

    def test_the_pod_and_both_containers_are_confined(self) -> None:
        pod = _pod()["securityContext"]
        assert pod["runAsNonRoot"]
        assert pod["runAsUser"] > 0
        assert pod["fsGroup"] == pod["runAsGroup"], "else the data volume is root's"
        assert pod["fsGroupChangePolicy"] == "OnRootMismatch"
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
        relay = read.relay_memory + RELAY_ITSELF_BYTES
        assert limit >= relay + ENGINE_ITSELF_BYTES + DECODED_TIMES * read.queue_memory
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
