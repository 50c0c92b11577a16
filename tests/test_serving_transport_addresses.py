from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from forgeml.errors import MachineError
from forgeml.serving.transport import addresses
from forgeml.serving.transport.addresses import bind, is_loopback, url


def test_a_port_that_is_taken() -> None:
    """The refusal names the port and who holds it, and what to do."""
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(MachineError) as refused:
            bind("127.0.0.1", port)
    said = str(refused.value)
    assert said.startswith(f"address http://127.0.0.1:{port}: port {port} is taken by ")
    assert f"(process {os.getpid()})" in said
    assert "--port" in said
    assert refused.value.exit_code == 5


def test_the_holder_may_be_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the system does not tell who holds the port, the refusal does without."""
    monkeypatch.setattr(addresses, "TABLES", (str(tmp_path / "absent"),))
    with bind("127.0.0.1", 0) as taken, pytest.raises(MachineError, match=r"port \d+ is taken\n"):
        bind("127.0.0.1", taken.getsockname()[1])


def test_a_port_may_be_taken_again_at_once() -> None:
    """A server that is started anew does not wait for the connections of the one before to be forgotten."""
    first = bind("127.0.0.1", 0)
    port = first.getsockname()[1]
    with socket.create_connection(("127.0.0.1", port)):
        first.setblocking(True)
        accepted, _ = first.accept()
        accepted.close()
        first.close()
    bind("127.0.0.1", port).close()


@pytest.mark.parametrize(
    ("host", "port", "words"),
    [
        ("no.such.host.invalid", 8000, "is not known"),
        ("a" * 70, 8000, "is not known"),
        ("192.0.2.1", 8000, "does not have that address"),
        ("127.0.0.1", 70_000, "there is no port 70000"),
    ],
)
def test_bad_addresses(host: str, port: int, words: str) -> None:
    """A name that leads nowhere, an address of another machine and an impossible port are each named."""
    with pytest.raises(MachineError, match=words):
        bind(host, port)


def test_no_right_to_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that needs more rights is refused with a way out."""

    def forbidden(self: object, address: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", forbidden)
    with pytest.raises(MachineError, match=r"may not listen on port 80\n.*1024 or above"):
        bind("127.0.0.1", 80)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_any_kind_of_loopback_address(host: str) -> None:
    """Names and addresses of both kinds can be listened on and connected to."""
    with bind(host, 0) as listening:
        socket.create_connection(listening.getsockname()[:2]).close()


def test_addresses_for_browsers() -> None:
    """An address of IPv6 stands in brackets."""
    assert url("127.0.0.1", 80) == "http://127.0.0.1:80"
    assert url("::1", 8000) == "http://[::1]:8000"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("localhost", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("", False),
        ("no.such.host.invalid", False),
    ],
)
def test_loopback(host: str, loopback: bool) -> None:
    """Only what this machine alone can reach is loopback; whatever is not known is not."""
    assert is_loopback(host) is loopback
