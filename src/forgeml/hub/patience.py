"""The HTTP client of the hub's library, held to a bounded time whatever the hub does.

By itself that client retries for 49 seconds where the hub is down, sleeps for as long as the hub asks it to, be it a
day, waits without end for the listing of a repository, and is content with a file that comes a byte a second.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

import huggingface_hub
from huggingface_hub.utils import hf_raise_for_status, httpx, parse_ratelimit_headers  # type: ignore[attr-defined]

from forgeml.errors import ForgeError

Result = TypeVar("Result")

PASSING = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses that a second try may turn into a success."""

QUICK = 2.5
"""Seconds for a question where what is cached can serve."""
PATIENCE = 20.0
"""Seconds of trouble in a row after which the hub is given up."""
SILENCE = 10.0
"""Seconds without a byte after which a connection is dead."""
SLOWEST = 1_000
"""Bytes a second that a file has to come with; less is trouble."""
PAUSES = (1.0, 2.0)
"""Seconds to wait before each further try of a request."""

BROKEN = (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError)


class OutOfPatienceError(httpx.TransportError):
    """The hub has been in trouble for too long, or cannot be asked. The library ends its loops with such errors."""


class Patience:
    """A clock that runs out after so many seconds of trouble; what newly arrives sets it back."""

    def __init__(self, seconds: float) -> None:
        """Start the clock."""
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._reached: dict[str, int] = {}
        self._lock = threading.Lock()

    @property
    def left(self) -> float:
        """Seconds until it runs out; below 0 once it has."""
        return self._end - time.monotonic()

    def renew(self) -> None:
        """Set the clock back: something has come whole."""
        self._end = time.monotonic() + self._seconds

    def arrived(self, address: str, place: int) -> None:
        """Give time for bytes of a file that had not come so far before.

        Args:
            address: of the file.
            place: bytes from the file's beginning to where it has come.
        """
        with self._lock:
            new = max(0, place - self._reached.get(address, 0))
            self._reached[address] = self._reached.get(address, 0) + new
            self._end = min(time.monotonic() + self._seconds, self._end + new / SLOWEST)


class PatientClient(httpx.Client):
    """Sends requests again where that may help, and gives up once its patience has run out."""

    def __init__(self, patience: Patience, pauses: tuple[float, ...], **options: Any) -> None:  # noqa: ANN401
        """Begin with nothing sent.

        Args:
            patience: shared by all that one errand asks for.
            pauses: seconds before each further try of a request.
            options: of the client as the library makes it.
        """
        self._patience, self._pauses = patience, pauses
        super().__init__(**options)

    def send(self, request: httpx.Request, *, stream: bool = False, **options: Any) -> httpx.Response:  # noqa: ANN401
        """Send a request, and again after a pause while the hub is in trouble that may pass.

        Raises:
            OutOfPatienceError: no answer.
            HfHubHTTPError: an answer of a status that did not pass.
        """
        pauses = iter(self._pauses)
        while True:
            pause = next(pauses, None)
            try:
                response = self._answer(request, stream, options)
            except BROKEN as error:
                if not self._lasts(pause):
                    raise OutOfPatienceError(str(error) or "no answer in time") from error
            else:
                if response.status_code not in PASSING:
                    return response
                pause = None if pause is None else max(pause, _wait_asked_for(response))
                if not self._lasts(pause):
                    response.read()
                    hf_raise_for_status(response)
                response.close()
            time.sleep(pause or 0)

    def _lasts(self, pause: float | None) -> bool:
        return pause is not None and pause < self._patience.left

    def _answer(self, request: httpx.Request, stream: bool, options: dict[str, Any]) -> httpx.Response:
        """The answer to one try, its body read unless it is wanted as a stream."""
        left = max(self._patience.left, 0.1)
        limits = request.extensions.get("timeout") or dict.fromkeys(("connect", "read", "write", "pool"))
        shorter = {kind: min(SILENCE if limit is None else limit, SILENCE, left) for kind, limit in limits.items()}
        request.extensions = {**request.extensions, "timeout": shorter}
        response = super().send(request, stream=True, **options)
        if response.is_success and isinstance(response.stream, httpx.SyncByteStream):
            response.stream = _Watched(response.stream, response, self._patience)
        if request.method == "HEAD" and response.status_code not in PASSING:
            self._patience.renew()
        if not stream:
            response.read()
        return response


class _Watched(httpx.SyncByteStream):
    """A body on its way."""

    def __init__(self, body: httpx.SyncByteStream, response: httpx.Response, patience: Patience) -> None:
        self._body, self._address, self._patience = body, str(response.url), patience
        # `bytes 100-199/200` where a part was asked for.
        first = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
        self._first = int(first) if response.status_code == 206 and first.isdigit() else 0

    def __iter__(self) -> Iterator[bytes]:
        place = self._first
        try:
            for piece in self._body:
                place += len(piece)
                self._patience.arrived(self._address, place)
                if self._patience.left < 0:
                    raise OutOfPatienceError(f"less than {SLOWEST:,} bytes a second arrive")
                yield piece
        except BROKEN as error:
            if self._patience.left < 0:
                raise OutOfPatienceError(f"the answer broke off: {error}") from error
            # The library asks for the rest of a file after errors of this kind, not after one of reading.
            raise httpx.RemoteProtocolError(f"the answer broke off: {error}") from error
        self._patience.renew()

    def close(self) -> None:
        self._body.close()


@contextmanager
def patient(*, quick: bool = False) -> Iterator[None]:
    """Inside `with`, what the library asks of the hub ends in bounded time.

    Args:
        quick: ask each question once, and for a short time.
    """
    try:
        hooks = huggingface_hub.get_session().event_hooks
    except (ImportError, ValueError) as error:
        # The client reads the proxies of the environment when it is made.
        raise OutOfPatienceError(f"HTTPS_PROXY or ALL_PROXY names what cannot be used: {error}") from error
    options: dict[str, Any] = {"event_hooks": hooks, "follow_redirects": True, "timeout": None}
    patience, pauses = Patience(_seconds(quick)), () if quick else PAUSES
    huggingface_hub.set_client_factory(lambda: PatientClient(patience, pauses, **options))
    try:
        yield
    finally:
        huggingface_hub.set_client_factory(lambda: httpx.Client(**options))


def in_time(call: Callable[[], Result], *, quick: bool = False) -> Result:
    """Call, and stop waiting once the time is over, which is so even while the address of the hub is looked up.

    Args:
        call: raises no error but those of ForgeML.
        quick: allow a short time only.

    Raises:
        TimeoutError: it takes too long.
    """
    answer: Future[Result] = Future()

    def work() -> None:
        try:
            answer.set_result(call())
        except ForgeError as error:
            answer.set_exception(error)

    with patient(quick=quick):
        # Nothing can end a look-up of an address; the program's end does not wait for a thread of this kind.
        threading.Thread(target=work, daemon=True).start()
        try:
            # A little longer than the clock of the client, which knows better what is wrong.
            return answer.result(_seconds(quick) + 0.3)
        except TimeoutError as error:
            raise TimeoutError(f"no answer within {_seconds(quick):g} seconds") from error


def _seconds(quick: bool) -> float:
    return QUICK if quick else PATIENCE


def _wait_asked_for(response: httpx.Response) -> float:
    """Seconds that the answer asks to wait, by either of the headers that the hub has for it."""
    limit = parse_ratelimit_headers(response.headers) if response.status_code == 429 else None
    if limit is not None and limit.remaining == 0:
        return float(limit.reset_in_seconds)
    wait = response.headers.get("Retry-After", "").strip()
    return float(wait) if wait.isdigit() else 0.0
