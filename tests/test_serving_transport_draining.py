from __future__ import annotations

import signal
import socket
import threading
import time

import pytest

from small_application import Responses, SmallApplication, ask, request, served
from small_command import command


class Load:
    """Clients that ask again and again on connections that they keep, and count what they lose."""

    def __init__(self, port: int, clients: int) -> None:
        """Begin to ask."""
        self.answered = 0
        self.lost: list[str] = []
        self._port = port
        self._threads = [threading.Thread(target=self._ask_on) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait until no client can connect any more."""
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def _ask_on(self) -> None:
        while True:
            try:
                connection = socket.create_connection(("127.0.0.1", self._port), timeout=0.5)
            except (ConnectionRefusedError, TimeoutError):
                return
            try:
                with connection:
                    connection.settimeout(20)
                    self._ask_while_kept(connection)
            except OSError as error:
                self.lost.append(repr(error))

    def _ask_while_kept(self, connection: socket.socket) -> None:
        responses = Responses(connection)
        while True:
            connection.sendall(request("/a", "POST", body=b"x" * 500))
            status, headers, body = responses.next()
            if status != 200 or b'"bytes": 500' not in body:
                self.lost.append(f"{status} {body!r}")
                return
            self.answered += 1
            if headers.get("connection") == "close":
                return


def stopped_under_load(workers: int, number: int) -> Load:
    """What clients have to say of a server that is stopped while they ask."""
    with command(workers, drain_delay_s=0.1) as small:
        load = Load(small.port(), clients=4)
        time.sleep(0.2)
        small.stop(number)
        load.join()
        assert small.end()[0] == 0
    return load


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_nothing_is_lost(number: int) -> None:
    """Whoever has an open connection when the server stops gets an answer to all that was sent."""
    load = stopped_under_load(1, number)
    assert load.lost == []
    assert load.answered > 4


@pytest.mark.slow
def test_nothing_is_lost_in_many_stops() -> None:
    """A dozen servers stopped under load lose no request of any client."""
    loads = [stopped_under_load(1, signal.SIGTERM) for _ in range(12)]
    assert [load.lost for load in loads if load.lost] == []
    assert sum(load.answered for load in loads) > 1_000


def test_the_application_is_told_first() -> None:
    """Readiness turns red before anything else happens, and a request under way is finished."""
    application = SmallApplication()
    answers: list[int] = []
    with served(application) as port:
        asking = threading.Thread(target=lambda: answers.append(ask(port, request("/slow"))[0]))
        asking.start()
        while application.open == 0:
            time.sleep(0.01)
        time.sleep(0.2)
        assert not application.draining
        threading.Timer(0.5, application.go_now).start()
    assert application.draining
    asking.join(10)
    assert answers == [200]
