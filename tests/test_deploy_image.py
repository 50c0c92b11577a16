"""The image: what the linter says, what must be so for it to be safe, and that it fits the package."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from docker.utils.build import exclude_paths
from packaging.specifiers import SpecifierSet
from ruamel.yaml import YAML

from conftest import REPOSITORY
from deployed import DEPLOY, dockerfile, of, program

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
FINAL = ("mlflow", "server")


def test_the_linter_has_nothing_to_say() -> None:
    """The linter hadolint finds no fault in the Dockerfile."""
    done = subprocess.run(
        [program("hadolint"), "--no-color", str(DEPLOY / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_server_is_what_is_built_unless_told_otherwise() -> None:
    """The last stage is the server's."""
    assert dockerfile()[-1].stage == "server"


def test_the_python_of_the_image_is_one_that_the_package_allows() -> None:
    """The base image is pinned to a version of Python inside `requires-python`, and all stages begin with it."""
    (base,) = of("", "ARG")
    version = re.fullmatch(r"BASE=python:(\d+\.\d+)-slim-\w+", base)
    assert version is not None
    assert SpecifierSet(PROJECT["requires-python"]).contains(version[1])
    assert {one.text.split()[0] for one in dockerfile() if one.name == "FROM"} == {"${BASE}"}


def test_the_image_has_the_extras_of_the_package_and_no_torch() -> None:
    """What is installed are extras that exist, with the server, without training, and under the constraints."""
    (extras,) = (text.removeprefix("EXTRAS=").split(",") for text in of("build", "ARG"))
    assert set(extras) <= PROJECT["optional-dependencies"].keys()
    assert "serve" in extras
    assert "torch" not in " ".join(one for extra in extras for one in PROJECT["optional-dependencies"][extra])
    installs = [step for text in of("build", "RUN") for step in text.split("&&") if " install " in step]
    assert installs
    assert all("--constraint constraints.txt" in step for step in installs)


def test_the_label_is_the_version_of_the_package() -> None:
    """The image is labelled with the version that pyproject.toml has, unless the build says otherwise."""
    assert f"VERSION={PROJECT['version']}" in of("server", "ARG")


@pytest.mark.parametrize("stage", FINAL)
def test_the_image_runs_without_rights_and_without_a_shell(stage: str) -> None:
    """A numeric user, the stop signal of service managers, and a command that is a list of words."""
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", of(stage, "USER")[0])
    assert of(stage, "STOPSIGNAL") == ["SIGTERM"]
    for text in of(stage, "ENTRYPOINT"):
        assert isinstance(YAML(typ="safe").load(text), list)
    order = [one.name for one in dockerfile() if one.stage == stage]
    assert not {"RUN", "COPY", "ADD"} & set(order[order.index("USER") :])


def test_the_image_writes_nothing_and_calls_nobody() -> None:
    """No bytecode, a home in /tmp, no hub, nothing told to the makers of the engines."""
    (environment,) = of("server", "ENV")
    wanted = {"PYTHONDONTWRITEBYTECODE=1", "HOME=/tmp", "HF_HUB_OFFLINE=1", "ORT_DISABLE_TELEMETRY=1"}
    assert wanted <= set(environment.split())
    assert "uninstall --yes openvino-telemetry" in of("build", "RUN")[-1]


def test_what_is_copied_is_there_and_reaches_the_build() -> None:
    """The sources of COPY exist, .dockerignore lets them through, and it lets nothing else through."""
    sources = {
        source
        for one in dockerfile()
        if one.name == "COPY" and not one.text.startswith("--from")
        for source in one.text.split()[:-1]
    }
    patterns = [
        line for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")
    ]
    sent = exclude_paths(str(REPOSITORY), patterns, "deploy/Dockerfile")
    # These two are always sent: whoever builds reads them.
    sent -= {".dockerignore", "deploy", "deploy/Dockerfile"}
    assert {path.split("/")[0] for path in sent} == sources
    assert not [path for path in sent if "__pycache__" in path]


def test_the_package_needs_no_file_that_the_build_lacks() -> None:
    """Files that pyproject.toml names for the wheel are copied before it is built."""
    copied = " ".join(of("build", "COPY")).split()
    assert {PROJECT["readme"], *PROJECT["license-files"]} <= set(copied)


@contextmanager
def _answering(status: int) -> Iterator[tuple[int, list[str]]]:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port, asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("status", "wanted"), [(200, 0), (503, 1)])
def test_the_health_check_works(status: int, wanted: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run as it stands in the Dockerfile, it asks /readyz, believes a 200 alone, and heeds no proxy."""
    (text,) = of("server", "HEALTHCHECK")
    python, flag, code = YAML(typ="safe").load(text.partition(" CMD ")[2])
    assert (python, flag) == ("python", "-c")
    assert of("server", "EXPOSE") == ["8000"]
    assert "8000" in code
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with _answering(status) as (port, asked):
        done = subprocess.run([sys.executable, flag, code.replace("8000", str(port))], timeout=30, check=False)
    assert (done.returncode, asked) == (wanted, ["/readyz"])
