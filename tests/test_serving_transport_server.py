from __future__ import annotations

import signal
import threading
import time

import pytest

from forgeml.errors import ModelError
from forgeml.serving.limits import Limits
from forgeml.serving.transport import server as module
from forgeml.serving.transport.addresses import bind
from forgeml.serving.transport.server import FILES_OF_OUR_OWN, Server
from small_application import SmallApplication, ask, connected, request, served


class Loading(SmallApplication):
    """Its model is loaded when it is told so, or not at all."""

    def __init__(self, error: ModelError | None = None) -> None:
        """Wait."""
        super().__init__()
        self._error = error

    async def loaded(self) -> None:
        """Wait, then fail if that was asked for."""
        await self._go.wait()
        if self._error:
            raise self._error


@pytest.mark.parametrize("shared", [False, True])
def test_when_connections_are_accepted(shared: bool) -> None:
    """Alone, a server answers while its model loads; one of several leaves the connections to the others till then."""
    application = Loading()
    alive = threading.Event()
    listening = bind("127.0.0.1", 0)
    server = Server(application, listening, drain_delay_s=0.0, shared=shared)
    thread = threading.Thread(target=server.run, kwargs={"alive": alive.set})
    thread.start()
    with connected(listening.getsockname()[1]) as connection:
        connection.sendall(request())
        assert alive.wait(0.5) is not shared
        application.go_now()
        assert alive.wait(20)
        assert connection.recv(8) == b"HTTP/1.1"
    server.stop(signal.SIGINT)
    thread.join(20)
    assert not thread.is_alive()


@pytest.mark.parametrize("shared", [False, True])
def test_a_model_that_cannot_be_loaded(shared: bool) -> None:
    """What the loading fails with is raised, and the port is closed."""
    application = Loading(ModelError.at("best_model", "it is not there", "train it"))
    application._go.set()
    listening = bind("127.0.0.1", 0)
    with pytest.raises(ModelError, match="it is not there"):
        Server(application, listening, drain_delay_s=0.0, shared=shared).run()
    listening.close()


def test_stopped_while_it_loads() -> None:
    """A server that is asked to stop does not wait for its model."""
    listening = bind("127.0.0.1", 0)
    application = Loading()
    server = Server(application, listening, drain_delay_s=0.0)
    alive = threading.Event()
    thread = threading.Thread(target=server.run, kwargs={"alive": alive.set})
    thread.start()
    assert alive.wait(20)
    server.stop(signal.SIGINT)
    thread.join(20)
    assert not thread.is_alive()
    assert application.draining


def test_the_date_goes_on() -> None:
    """Every response has the date of its second."""
    with served(SmallApplication()) as port:
        dates = {ask(port, request())[1]["date"]}
        for _ in range(40):
            time.sleep(0.1)
            dates.add(ask(port, request())[1]["date"])
            if len(dates) > 1:
                break
    assert len(dates) == 2


def test_connections_leave_files_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a process may have few files open, the limit on connections is lower, so that others can be opened."""
    monkeypatch.setattr(module, "_files", lambda: FILES_OF_OUR_OWN + 1)
    with served(SmallApplication(Limits(connections=1_000))) as port, connected(port) as first, connected(port):
        assert first.recv(1) == b""
