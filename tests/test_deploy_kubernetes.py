"""kubernetes.yaml: what the API's schemas say, and what must be so for the pods."""

from __future__ import annotations

from typing import Any

import pytest

from deployed import documents, of, options
from forgeml.serving.limits import Limits

OBJECTS = {one["kind"]: one for one in documents("kubernetes.yaml")}
DEPLOYMENT = OBJECTS["Deployment"]["spec"]
POD = DEPLOYMENT["template"]["spec"]
(SERVER,) = POD["containers"]
VERSIONS = ("1.31", "1.37")
"""The oldest and the newest that the file is for."""


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", sorted(OBJECTS))
def test_objects_are_what_the_api_takes(kind: str, version: str) -> None:
    """Each object fits the schema of its kind, in which no other field is allowed."""
    validator = pytest.importorskip("kubernetes_validate")
    validator.validate(OBJECTS[kind], version, strict=True)


def test_a_wrong_field_would_be_found() -> None:
    """The check above is one: a field with a typing error is refused."""
    validator = pytest.importorskip("kubernetes_validate")
    with pytest.raises(validator.ValidationError):
        validator.validate({**OBJECTS["Service"], "sepc": {}}, VERSIONS[-1], strict=True)


def test_all_that_is_needed_is_there() -> None:
    """One object of each kind, all of one name."""
    wanted = {
        "ServiceAccount",
        "Deployment",
        "Service",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "NetworkPolicy",
    }
    assert set(OBJECTS) == wanted
    assert len(documents("kubernetes.yaml")) == len(wanted)
    assert {one["metadata"]["name"] for one in OBJECTS.values()} == {"forgeml"}


@pytest.mark.parametrize(
    "selector",
    [
        DEPLOYMENT["selector"]["matchLabels"],
        OBJECTS["Service"]["spec"]["selector"],
        OBJECTS["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        OBJECTS["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        *(one["labelSelector"]["matchLabels"] for one in POD["topologySpreadConstraints"]),
    ],
    ids=["deployment", "service", "budget", "policy", "spread-hosts", "spread-zones"],
)
def test_selectors_find_the_pods(selector: dict[str, str]) -> None:
    """What selects pods selects these, of every version."""
    assert selector.items() <= DEPLOYMENT["template"]["metadata"]["labels"].items()
    assert "app.kubernetes.io/version" not in selector


def test_the_pod_has_few_rights() -> None:
    """A numeric user that is not root, no capabilities, no token, a read-only root, the default filter of calls."""
    user = int(of("server", "USER")[0].split(":")[0])
    assert POD["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert SERVER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert OBJECTS["ServiceAccount"]["automountServiceAccountToken"] is False
    assert POD["automountServiceAccountToken"] is False
    assert OBJECTS["NetworkPolicy"]["spec"]["egress"] == []


@pytest.mark.parametrize(
    ("probe", "path"), [("startupProbe", "/readyz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")]
)
def test_probes_ask_what_they_are_for(probe: str, path: str) -> None:
    """Life is the process's alone; traffic waits for the model. All ask the port that the container names."""
    assert SERVER[probe]["httpGet"] == {"path": path, "port": SERVER["ports"][0]["name"]}
    assert SERVER[probe]["timeoutSeconds"] <= SERVER[probe]["periodSeconds"]


def test_ports_agree() -> None:
    """The server listens on the port that the image, the container, the Service and the policy name."""
    (port,) = SERVER["ports"]
    assert str(port["containerPort"]) == options(SERVER["args"])["--port"] == of("server", "EXPOSE")[0]
    assert OBJECTS["Service"]["spec"]["ports"][0]["targetPort"] == port["name"]
    assert OBJECTS["NetworkPolicy"]["spec"]["ingress"][0]["ports"][0]["port"] == port["name"]


def test_the_pod_has_the_time_to_finish() -> None:
    """It is killed later than the delay before draining and the longest answer together."""
    assert POD["terminationGracePeriodSeconds"] > float(options(SERVER["args"])["--drain-delay"]) + Limits().answer_s


def test_threads_are_as_many_as_cores() -> None:
    """OMP_NUM_THREADS is taken from the limit, which is whole cores, and all of them are requested."""
    environment: dict[str, Any] = {one["name"]: one["valueFrom"] for one in SERVER["env"]}
    assert environment["OMP_NUM_THREADS"] == {"resourceFieldRef": {"resource": "limits.cpu"}}
    assert SERVER["resources"]["limits"]["cpu"].isdecimal()
    assert SERVER["resources"]["requests"] == SERVER["resources"]["limits"]


def test_every_value_in_the_command_line_is_set() -> None:
    """Each $(NAME) among the arguments is a variable of the container."""
    used = {word.split("$(")[1].split(")")[0] for word in SERVER["args"] if "$(" in word}
    assert used <= {one["name"] for one in SERVER["env"]}


def test_the_label_names_the_folder_that_is_served() -> None:
    """Another version label is another folder, so a changed label rolls out a changed model."""
    folder = next(one for one in SERVER["env"] if one["name"] == "MODEL_FOLDER")
    label = folder["valueFrom"]["fieldRef"]["fieldPath"].split("'")[1]
    assert label in DEPLOYMENT["template"]["metadata"]["labels"]
    assert SERVER["args"][0] == "/models/$(MODEL_FOLDER)"


def test_mounts_are_volumes_and_only_tmp_is_written() -> None:
    """Every mount has its volume; none hides a part of one; the model and the keys are for reading."""
    volumes = {one["name"] for one in POD["volumes"]}
    mounts = {one["mountPath"]: one for one in SERVER["volumeMounts"]}
    assert {one["name"] for one in mounts.values()} == volumes
    assert all("subPath" not in one for one in mounts.values())
    assert [path for path, one in mounts.items() if not one.get("readOnly")] == ["/tmp"]
    assert options(SERVER["args"])["--keys"].startswith("/run/secrets/forgeml/")


def test_replacing_pods_never_leaves_fewer() -> None:
    """A rollout takes no pod away before the new one is ready, and a drained node takes one at a time."""
    assert DEPLOYMENT["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert OBJECTS["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1
    scaler = OBJECTS["HorizontalPodAutoscaler"]["spec"]
    assert scaler["minReplicas"] > 1
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "forgeml"}
    assert "replicas" not in DEPLOYMENT
