"""compose.yaml: what Compose itself says, and what must be so for each service."""

from __future__ import annotations

import os
import re
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from conftest import REPOSITORY
from deployed import DEPLOY, DRAIN_DELAY_S, load, of, options, seconds
from forgeml.serving.limits import Limits

COMPOSE = load("compose.yaml")
SERVICES = sorted(COMPOSE["services"])


def _compose(file: Path) -> subprocess.CompletedProcess[str]:
    package = pytest.importorskip("compose", reason="Compose's program comes for Linux on x86-64 alone")
    compose = Path(package.__file__).with_name("docker-compose")
    return subprocess.run([compose, "-f", file, "config", "-q"], capture_output=True, text=True, check=False)


def test_compose_takes_the_file() -> None:
    """Compose's own program reads it without a word."""
    done = _compose(DEPLOY / "compose.yaml")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("read_only: true\n  cap", "read_olny: true\n  cap"), ("memory: 1g", "memory: much"), ("[serving]", "[nowhere]")],
)
def test_compose_would_find_a_mistake(right: str, wrong: str, tmp_path: Path) -> None:
    """The check above is one: a wrong name, a wrong value and a network that is not there are refused."""
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    assert right in text
    (tmp_path / "compose.yaml").write_text(text.replace(right, wrong))
    assert _compose(tmp_path / "compose.yaml").returncode != 0


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_few_rights_and_bounds(name: str) -> None:
    """Read-only root, no capabilities, no new privileges, /tmp in memory, bounds on processor, memory and processes."""
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert [mount.split(":")[0] for mount in service["tmpfs"]] == ["/tmp"]
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}
    user = service.get("user") or of(service["build"]["target"], "USER")[0]
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_reached_from_this_machine_alone(name: str) -> None:
    """Ports are bound to the loopback address; whoever wants more has to say so."""
    assert all(port.startswith("127.0.0.1:") for port in COMPOSE["services"][name]["ports"])


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_tells_whether_it_is_well(name: str) -> None:
    """There is a health check, in the file or in the image, and it needs no shell."""
    service = COMPOSE["services"][name]
    if "healthcheck" in service:
        assert service["healthcheck"]["test"][0] == "CMD"
    else:
        assert of(service["build"]["target"], "HEALTHCHECK")


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_and_agree_with_the_repository(name: str) -> None:
    """Each image has a version: the server's is the package's, MLflow's the one in constraints.txt."""
    service = COMPOSE["services"][name]
    version = service["image"].rpartition(":")[2]
    assert re.fullmatch(r"v?\d+\.\d+\.\d+", version)
    if name == "server":
        assert f"VERSION={version}" in of("server", "ARG")
    if name == "mlflow":
        assert f"mlflow=={version}" in (REPOSITORY / "constraints.txt").read_text().splitlines()
    if "build" in service:
        build = service["build"]
        assert (DEPLOY / build["context"] / build["dockerfile"]).resolve() == (DEPLOY / "Dockerfile").resolve()


def test_threads_are_as_many_as_cores() -> None:
    """OMP_NUM_THREADS is the limit on the processor."""
    server = COMPOSE["services"]["server"]
    assert server["environment"]["OMP_NUM_THREADS"] == server["deploy"]["resources"]["limits"]["cpus"]


def test_the_server_has_the_time_to_finish() -> None:
    """It is killed later than the delay before draining and the longest answer together."""
    given = float(options(COMPOSE["services"]["server"]["command"]).get("--drain-delay", DRAIN_DELAY_S))
    assert seconds(COMPOSE["services"]["server"]["stop_grace_period"]) > given + Limits().answer_s


def test_the_model_is_mounted_for_reading_with_the_folder_around_it() -> None:
    """The mount is the parent of the folder that the image serves, so that a replaced model is seen."""
    (mount,) = COMPOSE["services"]["server"]["volumes"]
    served = of("server", "ENTRYPOINT")[0].split('"')[5]
    assert mount["read_only"] is True
    assert mount["target"] == str(Path(served).parent)


def test_keys_come_from_files_that_stay_out_of_the_repository() -> None:
    """The server's keys and Prometheus' key are secrets, and git leaves their folder out."""
    secrets = COMPOSE["secrets"]
    assert options(COMPOSE["services"]["server"]["command"])["--keys"] == "/run/secrets/forgeml_keys"
    assert COMPOSE["services"]["server"]["secrets"] == ["forgeml_keys"]
    for secret in secrets.values():
        ignored = ["git", "-C", str(REPOSITORY), "check-ignore", "-q", os.path.join("deploy", secret["file"])]
        assert subprocess.run(ignored, check=False).returncode == 0


def test_the_tracking_server_is_apart_and_checks_its_name() -> None:
    """MLflow shares no network with the server, and answers to the names of this machine alone."""
    services: dict[str, Any] = COMPOSE["services"]
    assert not set(services["mlflow"]["networks"]) & set(services["server"]["networks"])
    assert options(services["mlflow"]["command"])["--allowed-hosts"] == "localhost:5000,127.0.0.1:5000"
    assert of("mlflow", "EXPOSE") == ["5000"]


def test_prometheus_reads_the_files_that_are_here() -> None:
    """Its configuration, its rules and its key are where its own files look for them, and the target is the server."""
    prometheus = COMPOSE["services"]["prometheus"]
    targets = {one["source"]: Path(one["target"]) for one in prometheus["configs"]}
    settings = load("prometheus.yml")
    (job,) = settings["scrape_configs"]
    assert options(prometheus["command"])["--config.file"] == str(targets["prometheus"])
    assert [str(targets["prometheus"].with_name(name)) for name in settings["rule_files"]] == [str(targets["alerts"])]
    assert job["authorization"]["credentials_file"] == f"/run/secrets/{prometheus['secrets'][0]}"
    assert job["static_configs"] == [{"targets": [f"server:{of('server', 'EXPOSE')[0]}"]}]
    assert set(prometheus["networks"]) == set(COMPOSE["services"]["server"]["networks"])
    hosts = COMPOSE["services"]["server"]["command"]
    assert ("--allowed-host", "server") in set(pairwise(hosts))
    assert all((DEPLOY / one["file"]).is_file() for one in COMPOSE["configs"].values())
