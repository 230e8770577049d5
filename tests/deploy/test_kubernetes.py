"""The Kubernetes manifests are what the API server takes, and agree with each other and with the settings."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from app.settings import AppSettings, DispatcherSettings
from ml_worker.settings import WorkerSettings
from streamlit_ui.settings import UiSettings

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
FILES = sorted(FOLDER.glob("*.yaml"))
VERSIONS = ("1.30", "1.37")


def objects(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


ALL = [found for path in FILES for found in objects(path)]


def of_kind(*kinds: str) -> list[dict[str, Any]]:
    return [found for found in ALL if found["kind"] in kinds]


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for found in of_kind("Deployment", "Job"):
        yield found["metadata"]["name"], found["spec"]["template"]["spec"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_manifest_is_valid_and_has_no_unknown_field(path, version):
    for found in objects(path):
        kubernetes_validate.validate(found, version, strict=True)


def test_the_schemas_refuse_what_is_wrong():
    (deployment, *_) = of_kind("Deployment")
    broken = {**deployment, "spec": {**deployment["spec"], "replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[-1], strict=True)


def test_every_process_is_confined_and_probed():
    for name, spec in pods():
        assert spec["securityContext"]["runAsNonRoot"], name
        (container,) = spec["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert container["resources"]["limits"]["memory"], name
        assert re.search(r":\d+\.\d+\.\d+$", container["image"]), "a pinned tag"
        if name != "marquee-migrate":
            ports = {port["name"] for port in container["ports"]}
            probes = [container[kind]["httpGet"]["port"] for kind in ("startupProbe", "readinessProbe", "livenessProbe")]
            assert set(probes) <= ports, name


def test_references_lead_somewhere():
    names = {(found["kind"], found["metadata"]["name"]) for found in ALL}
    for name, spec in pods():
        (container,) = spec["containers"]
        for source in container.get("envFrom", []):
            kind, reference = ("ConfigMap", source["configMapRef"]) if "configMapRef" in source else ("Secret", source["secretRef"])
            assert (kind, reference["name"]) in names, name
        claims = {volume["persistentVolumeClaim"]["claimName"] for volume in spec["volumes"] if "persistentVolumeClaim" in volume}
        assert {("PersistentVolumeClaim", claim) for claim in claims} <= names
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in spec["volumes"]}
    labels = {found["metadata"]["name"]: found["spec"]["template"]["metadata"]["labels"] for found in of_kind("Deployment")}
    for found in of_kind("Service", "PodDisruptionBudget"):
        selector = found["spec"]["selector"]
        assert selector.get("matchLabels", selector).items() <= labels[found["metadata"]["name"]].items()
    (ingress,) = of_kind("Ingress")
    for path in ingress["spec"]["rules"][0]["http"]["paths"]:
        assert ("Service", path["backend"]["service"]["name"]) in names


def test_every_variable_is_a_setting_and_no_secret_has_a_value():
    known = {name.upper() for kind in (AppSettings, DispatcherSettings, WorkerSettings, UiSettings) for name in kind.model_fields}
    given = {variable["name"] for _, spec in pods() for variable in spec["containers"][0].get("env", [])}
    given |= {name for found in of_kind("ConfigMap") for name in found["data"]}
    given |= {name for found in of_kind("Secret") for name in found["stringData"]}
    assert given <= known
    assert {value for found in of_kind("Secret") for value in found["stringData"].values()} == {""}


def test_a_pod_has_longer_to_end_than_its_worker_to_drain():
    drain = WorkerSettings.model_fields["drain_seconds"].default
    workers = [spec for name, spec in pods() if "worker" in name]
    assert workers
    assert all(spec["terminationGracePeriodSeconds"] > drain + 10 for spec in workers)
