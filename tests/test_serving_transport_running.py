from __future__ import annotations

import signal
import socket
import time

import pytest

from small_application import Responses, ask, connected, request
from small_command import command
from test_serving_transport_protocol import wait_until


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_command_with_0(number: int) -> None:
    """A server that is asked to stop has done its work: exit code 0, and nothing in the log."""
    with command() as small:
        port = small.port()
        assert ask(port, request())[0] == 200
        small.stop(number)
        assert small.end() == (0, "", "")


def test_a_model_that_cannot_be_loaded_ends_the_command() -> None:
    """A single process accepts at once, and ends with the error's words and exit code when the loading fails."""
    with command(how="broken") as small:
        assert small.port()
        code, _, log = small.end()
    assert (code, log) == (4, "best_model: a file is missing\n  fix: copy it whole\n")


def test_sigterm_waits_before_the_port_is_closed() -> None:
    """After SIGTERM new connections are served for the delay, each answer says close, and then nobody is accepted."""
    with command(drain_delay_s=1.0) as small:
        port = small.port()
        begun = time.monotonic()
        small.stop()
        time.sleep(0.3)
        status, head, _ = ask(port, request())
        assert (status, head["connection"]) == (200, "close")
        assert small.end()[0] == 0
        assert time.monotonic() - begun >= 1.0
        with pytest.raises(ConnectionRefusedError):
            ask(port, request())


def test_sigint_does_not_wait() -> None:
    """A person who presses Ctrl-C does not wait for anybody to look elsewhere."""
    with command(drain_delay_s=60.0) as small:
        small.port()
        small.stop(signal.SIGINT)
        assert small.end()[0] == 0


def test_an_open_connection_is_served_once_more() -> None:
    """A request on an open connection just after the signal is answered, with close."""
    with command() as small:
        port = small.port()
        with connected(port) as connection:
            responses = Responses(connection)
            connection.sendall(request())
            assert "connection" not in responses.next()[1]
            small.stop()
            time.sleep(0.3)
            connection.sendall(request())
            status, head, _ = responses.next()
            assert (status, head["connection"]) == (200, "close")
            assert responses.ended()
        assert small.end()[0] == 0


def test_what_does_not_end_is_ended() -> None:
    """A request that takes too long is told so when the wait is over; the exit code is still 0, the log says it."""
    with command() as small, connected(small.port(), timeout_s=30) as connection:
        connection.sendall(request("/slow"))
        time.sleep(0.3)
        small.stop()
        assert Responses(connection).next()[0] == 503
        code, _, log = small.end()
    assert (code, log) == (0, "Stopped with 1 request unfinished.\n")


def test_a_second_signal_ends_at_once() -> None:
    """A second signal, later than a second after the first, ends the process with 128 and its number."""
    with command(drain_delay_s=60.0) as small:
        port = small.port()
        small.stop()
        small.stop()
        time.sleep(1.5)
        assert ask(port, request())[0] == 200
        small.stop(signal.SIGINT)
        assert small.end()[0] == 130


@pytest.mark.slow
def test_thousands_of_idle_connections() -> None:
    """Thousands of connections that say nothing do not keep others from being answered, and are not all kept."""
    with command() as small:
        port = small.port()
        idle: list[socket.socket] = []
        try:
            idle += [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(5_000)]
            begun = time.monotonic()
            assert ask(port, request())[0] == 200
            assert time.monotonic() - begun < 5
            assert wait_until(lambda: idle[0].recv(1) == b"")
        finally:
            for connection in idle:
                connection.close()
        small.stop(signal.SIGINT)
        assert small.end()[0] == 0
