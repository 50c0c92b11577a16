"""Requests end in bounded time, on a clock that the tests move on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import huggingface_hub
import pytest
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import httpx

from forgeml.errors import HubError
from forgeml.hub import patience
from forgeml.hub.client import look_up
from forgeml.hub.errors import Asked, HubAwayError
from forgeml.hub.patience import OutOfPatienceError, Patience, PatientClient, in_time, patient

ADDRESS = "http://hub.example/file"


class Clock:
    """Stands still but for pauses."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        """Seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Move on."""
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time as the client sees it."""
    clock = Clock()
    monkeypatch.setattr(patience, "time", clock)
    return clock


class Slow(httpx.SyncByteStream):
    """A body that comes in pieces, some seconds apart, and may break off at the end."""

    def __init__(self, clock: Clock, pieces: list[bytes], seconds: float, error: Exception | None = None) -> None:
        self.clock, self.pieces, self.seconds, self.error = clock, pieces, seconds, error

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.pieces:
            self.clock.now += self.seconds
            yield piece
        if self.error:
            raise self.error


def client(answer: Callable[[httpx.Request], httpx.Response], limit: Patience | None = None) -> PatientClient:
    """One whose requests are answered so."""
    limit = limit or Patience(patience.PATIENCE)
    return PatientClient(limit, patience.PAUSES, transport=httpx.MockTransport(answer), timeout=None)


def answers(*replies: int | Exception, **headers: str) -> Callable[[httpx.Request], httpx.Response]:
    """Statuses and errors in turn, the last one for ever."""
    left = list(replies)

    def answer(request: httpx.Request) -> httpx.Response:
        reply = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(reply, Exception):
            raise reply
        return httpx.Response(reply, headers=headers, content=b"{}")

    return answer


@pytest.mark.parametrize("trouble", [503, 429, httpx.ConnectError("refused"), httpx.ReadTimeout("silent")])
def test_brief_trouble_is_sat_out(clock: Clock, trouble: int | Exception) -> None:
    """Two answers that may pass, or none, are asked for again after a pause."""
    assert client(answers(trouble, trouble, 200)).get(ADDRESS).status_code == 200
    assert clock.pauses == [1.0, 2.0]


@pytest.mark.parametrize("status", [500, 503])
def test_lasting_status_is_an_error_that_ends_the_librarys_loops(clock: Clock, status: int) -> None:
    """After a few tries the library is told, by an error after which it does not try again."""
    with pytest.raises(HfHubHTTPError, match=str(status)):
        client(answers(status)).get(ADDRESS)
    assert sum(clock.pauses) == 3.0


def test_lasting_silence_is_an_error_that_ends_the_librarys_loops(clock: Clock) -> None:
    """An error of a kind that the library retries must not reach it."""
    with pytest.raises(OutOfPatienceError, match="refused") as caught:
        client(answers(httpx.ConnectError("refused"))).get(ADDRESS)
    assert not isinstance(caught.value, patience.BROKEN)


@pytest.mark.parametrize("headers", [{"Retry-After": "86400"}, {"RateLimit": '"api";r=0;t=86400'}])
def test_nobody_waits_for_a_day(clock: Clock, headers: dict[str, str]) -> None:
    """A wait that the hub asks for is kept only within the patience."""
    with pytest.raises(HfHubHTTPError):
        client(answers(429, **headers)).get(ADDRESS)
    assert clock.pauses == []


def test_short_wait_is_kept(clock: Clock) -> None:
    """A wait of seconds is what the hub wants, so it is kept."""
    left = [httpx.Response(429, headers={"Retry-After": "7"}), httpx.Response(200)]
    assert client(lambda request: left.pop(0)).get(ADDRESS).status_code == 200
    assert clock.pauses == [7.0]


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(("wanted", "given"), [(None, patience.SILENCE), (3.0, 3.0), (600.0, patience.SILENCE)])
def test_every_request_has_a_time_limit(wanted: float | None, given: float) -> None:
    """What the library asks for without a limit, or with a long one, is bounded."""
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.extensions["timeout"])
        return httpx.Response(200)

    client(answer).get(ADDRESS, timeout=wanted)
    assert seen == [dict.fromkeys(("connect", "read", "write", "pool"), given)]


def test_time_limit_is_no_longer_than_the_patience_left(clock: Clock) -> None:
    """Near the end of the patience a request may only take what is left."""
    limit, seen = Patience(20), []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.extensions["timeout"]["read"])
        return httpx.Response(200)

    clock.now += 18
    client(answer, limit).get(ADDRESS)
    assert seen == [2.0]


def test_file_that_comes_a_byte_a_second_is_given_up(clock: Clock) -> None:
    """Bytes alone are no progress; so many a second are wanted."""
    trickle = Slow(clock, [b"x"] * 1000, seconds=1)
    started = clock.now
    with pytest.raises(OutOfPatienceError, match="less than 1,000 bytes a second"):
        client(lambda request: httpx.Response(200, stream=trickle)).get(ADDRESS)
    assert clock.now - started < 1.1 * patience.PATIENCE


def test_large_file_may_take_its_time(clock: Clock) -> None:
    """A slow but steady download is never cut off, however long it lasts."""
    steady = Slow(clock, [bytes(10_000)] * 500, seconds=5)
    assert len(client(lambda request: httpx.Response(200, stream=steady)).get(ADDRESS).content) == 5_000_000


def test_broken_body_is_of_the_kind_that_the_library_resumes(clock: Clock) -> None:
    """A reset in the middle of a file must make the library ask for the rest of it."""
    broken = Slow(clock, [b"half"], seconds=0, error=httpx.ReadError("reset by peer"))
    with (
        client(lambda request: httpx.Response(200, stream=broken)).stream("GET", ADDRESS) as response,
        pytest.raises(httpx.RemoteProtocolError, match="reset by peer"),
    ):
        response.read()


def test_same_bytes_again_are_no_progress(clock: Clock) -> None:
    """A file that always breaks off at the same place uses the patience up."""
    limit = Patience(10)
    for _ in range(4):
        limit.arrived(ADDRESS, 5_000)
        clock.now += 3
    assert limit.left < 0
    limit.arrived(ADDRESS, 9_000)
    assert limit.left > 0


def test_rest_of_a_file_counts_from_where_it_begins(clock: Clock) -> None:
    """What comes after a break is new, though the answer itself is short."""
    limit = Patience(10)
    limit.arrived(ADDRESS, 50_000)
    clock.now += 9
    rest = httpx.Response(
        206, headers={"Content-Range": "bytes 50000-57999/58000"}, stream=Slow(clock, [bytes(8_000)], seconds=0)
    )
    with client(lambda request: rest, limit).stream("GET", ADDRESS) as response:
        next(response.iter_raw())
        assert limit.left == pytest.approx(9)


def test_library_gets_its_own_client_back() -> None:
    """The patient client serves inside `with` only, though the library makes a new one after an error."""
    with patient():
        huggingface_hub.close_session()
        assert isinstance(huggingface_hub.get_session(), PatientClient)
    assert not isinstance(huggingface_hub.get_session(), PatientClient)
    with pytest.raises(ConnectionError, match="offline"):
        huggingface_hub.get_session().get(ADDRESS)


def test_call_in_time_gives_what_the_call_gives() -> None:
    """The result, or the error of ForgeML's own."""

    def refuse() -> None:
        raise HubError.at("model.name", "not there", "look")

    assert in_time(lambda: 5) == 5
    with pytest.raises(HubError, match="not there"):
        in_time(refuse)


def test_call_that_nothing_ends_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a look-up of a name that gets no answer; the thread does not keep the program from ending."""
    monkeypatch.setattr(patience, "QUICK", 0.01)
    over, before = threading.Event(), set(threading.enumerate())
    with pytest.raises(TimeoutError, match=r"no answer within 0\.01 seconds"):
        in_time(over.wait, quick=True)
    [left] = set(threading.enumerate()) - before
    assert left.daemon
    over.set()


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "nothing://127.0.0.1:1"])
def test_proxy_that_cannot_be_used_is_told(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client cannot even be made; the hub then counts as away."""
    huggingface_hub.close_session()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(HubAwayError, match="ALL_PROXY names what cannot be used"):
        look_up(Asked("model", "someone/model"), quick=True)
