"""The proxy, the systemd unit and every command line of the server in deploy/ and docs/deploy.md."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from conftest import REPOSITORY
from deployed import DEPLOY, DRAIN_DELAY_S, command_lines, options, program, seconds, serve_options, serving_source
from forgeml.serving.limits import Limits

UNIT = (DEPLOY / "forgeml.service").read_text(encoding="utf-8")
DOCUMENT = (REPOSITORY / "docs" / "deploy.md").read_text(encoding="utf-8")
BYTES = {"k": 1024, "m": 1024**2}


@pytest.fixture
def directives(tmp_path: Path) -> dict[str, list[list[str]]]:
    """The arguments of each directive, every time that it stands, in a nginx.conf that is right in the http part."""
    crossplane = pytest.importorskip("crossplane")
    (tmp_path / "nginx.conf").write_text(f"events {{}} http {{ include {DEPLOY / 'nginx.conf'}; }}")
    read = crossplane.parse(str(tmp_path / "nginx.conf"), strict=True)
    assert read["errors"] == []
    found: dict[str, list[list[str]]] = {}

    def visit(blocks: list[dict[str, Any]]) -> None:
        for block in blocks:
            found.setdefault(block["directive"], []).append(block["args"])
            visit(block.get("block", []))

    visit(read["config"][1]["parsed"])
    return found


def test_the_proxy_is_never_tighter_than_the_server(directives: dict[str, list[list[str]]]) -> None:
    """Bodies, times to send and to answer are the server's own; connections rest for less than it lets them."""
    limits = Limits()
    ((size,),) = directives["client_max_body_size"]
    assert int(size[:-1]) * BYTES[size[-1]] == limits.body_bytes
    assert seconds(directives["client_body_timeout"][0][0]) == limits.receive_s
    assert seconds(directives["proxy_read_timeout"][0][0]) > limits.answer_s
    assert seconds(directives["keepalive_timeout"][0][0]) < limits.idle_s
    assert ["Host", "$host"] in directives["proxy_set_header"]


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """The checker of systemd finds no fault, once the program that it starts is there."""
    (tmp_path / "forgeml").write_text("#!/bin/sh\n")
    (tmp_path / "forgeml").chmod(0o755)
    unit = tmp_path / "forgeml.service"
    unit.write_text(UNIT.replace("/opt/forgeml/bin/forgeml", str(tmp_path / "forgeml")))
    done = subprocess.run(
        [program("systemd-analyze"), "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_gives_the_server_the_time_to_finish() -> None:
    """It is killed later than the delay before draining and the longest answer together."""
    (stop,) = re.findall(r"^TimeoutStopSec=(\d+)$", UNIT, re.MULTILINE)
    assert float(stop) > DRAIN_DELAY_S + Limits().answer_s


def test_the_unit_s_threads_are_as_many_as_cores() -> None:
    """OMP_NUM_THREADS is the quota of the processor."""
    (threads,) = re.findall(r"^Environment=OMP_NUM_THREADS=(\d+)$", UNIT, re.MULTILINE)
    (quota,) = re.findall(r"^CPUQuota=(\d+)%$", UNIT, re.MULTILINE)
    assert int(quota) == 100 * int(threads)


@pytest.mark.parametrize("where", command_lines())
def test_command_lines_have_options_that_there_are(where: str) -> None:
    """Every option that a file gives to the server is one of its command."""
    words = command_lines()[where]
    assert words[0].endswith("forgeml")
    assert words[1] == "serve"
    assert options(words).keys() <= serve_options().keys()


def test_the_drain_delay_is_the_one_that_is_reckoned_with() -> None:
    """Where no file says otherwise, the command waits as long as the times to stop are made for."""
    assert serve_options()["--drain-delay"] == DRAIN_DELAY_S


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_paths_are_the_server_s(path: str) -> None:
    """What probes and Prometheus ask for are routes of the server."""
    assert f'"{path}"' in serving_source()


def test_the_variable_for_keys_is_the_server_s() -> None:
    """The environment variable that the document names is one that the server reads."""
    assert "FORGEML_API_KEYS" in DOCUMENT
    assert "FORGEML_API_KEYS" in serving_source()


def test_the_document_is_short_and_names_every_file() -> None:
    """At most 150 lines, a word on each file of deploy/, and none on one that is not there."""
    assert len(DOCUMENT.splitlines()) <= 150
    files = {path.name for path in DEPLOY.iterdir() if path.is_file()}
    assert {name for name in files if f"deploy/{name}" not in DOCUMENT} == set()
    named = set(re.findall(r"\bdeploy/([\w.]+\.\w+|Dockerfile)", DOCUMENT)) - {"deploy.md"}
    assert named <= files
