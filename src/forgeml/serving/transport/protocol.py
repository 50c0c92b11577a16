"""One connection: requests that come off it are answered in their order, each within the limits."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections import deque

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.utils import get_local_addr, get_remote_addr

from forgeml.serving.refusals import Refusal
from forgeml.serving.transport.connections import Shared
from forgeml.serving.transport.cycles import Answer, Cycle, Flow, Outlet, scope_of
from forgeml.serving.transport.error_responses import FAILED, STOPPED, rendered, too_many_connections, too_slow
from forgeml.serving.transport.requests import Head, RequestParser
from forgeml.serving.transport.waiting import Lingering, Unread

PART_BYTES = 8_192
"""What is read of the input at once, so that few requests are parsed before the first of them is answered."""
QUEUED_REQUESTS = 16
"""Requests sent ahead of their turn that are parsed; what comes after them is not read meanwhile."""

logger = logging.getLogger(__name__)


class HttpConnection(asyncio.Protocol):
    """Parses, starts the application on each request, and keeps order, limits and time."""

    def __init__(self, shared: Shared) -> None:
        """Wait for the connection to be made."""
        self._shared = shared
        self._application, self._connections = shared.application, shared.connections
        self._limits = shared.application.limits
        self._loop = asyncio.get_running_loop()
        self._answering: Cycle | None = None
        self._queue: deque[Cycle | Answer] = deque()
        self._held = b""
        """What has come and is not parsed yet."""
        self._receiving: Cycle | None = None
        """The request whose body comes, if it is one that the application gets."""
        self._answered_early = self._stays = False
        """Of the request that is coming: it has its answer already; the connection goes on after it."""
        self._receive_until = 0.0
        """When that request must be whole; 0 while none is coming."""
        self._received = 0
        self._deaf = self._ending = False
        self._lingering: Lingering | None = None
        self._unread = Unread()
        self._rested_at = self._loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection in, or refuse it where there is no room."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._flow = Flow(transport)
        self._outlet = Outlet(transport, self.end, self._is_ending)
        self._server, self._client = get_local_addr(transport), get_remote_addr(transport)
        self._parser = RequestParser(self._limits, self)
        if not self._connections.admit(self) and not self._ending:
            self._refuse(too_many_connections())

    def data_received(self, data: bytes) -> None:
        """Read requests, as far as there is room for them."""
        if self._lingering:
            self._lingering.drop(len(data))
        elif self._held:
            self._held += data
        elif not self._deaf:
            self._read(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything that was under way."""
        self._connections.gone(self)
        if not self._ending and (self._receive_until or self._answering):
            self._application.client_gone()
        for cycle in (self._answering, self._receiving):
            if cycle is not None:
                cycle.disconnect()
        self._queue.clear()
        self._held, self._ending = b"", True
        self._flow.resume_writing()
        # The parser and the outlet hold the connection, which holds them.
        del self._parser, self._outlet

    def pause_writing(self) -> None:
        """The client does not read as fast as it is answered."""
        self._flow.pause_writing()

    def resume_writing(self) -> None:
        """The client has read."""
        self._flow.resume_writing()
        if self._lingering:
            self._lingering.half_close(self._loop.time())
        elif not self._ending:
            self._read_held()

    def request_begun(self) -> None:
        """Start the clock of this request."""
        self._connections.busy(self)
        self._receive_until = self._loop.time() + self._limits.receive_s
        self._received = 0

    def request_head(self, head: Head) -> None:
        """Refuse at once what the application has no room for, or queue it for its turn."""
        self._stays = head.keep_alive and (head.length or 0) <= self._limits.body_bytes
        refusal = self._application.overloaded(head.method, head.path)
        if refusal is not None:
            self._answered_early = True
            self._application.refused(refusal)
            self._shared.pause()
            closes = not self._stays or self._connections.draining
            self._answer(self._response(refusal, closes=closes))
            return
        cycle = Cycle(
            scope_of(head, self._server, self._client, self._shared.state.copy()),
            flow=self._flow,
            outlet=self._outlet,
            headers=self._shared.headers,
            is_last=self._is_last,
            answered=self._answered,
        )
        cycle.keep_alive, cycle.waiting_for_100_continue = self._stays, head.expects_continue
        self._receiving = cycle
        if self._answering is None:
            self._start(cycle)
        else:
            self._queue.append(cycle)

    def request_body(self, data: bytes) -> None:
        """Keep a part of the body for the application, if it still wants it."""
        self._received += len(data)
        cycle = self._receiving
        if self._received > self._limits.body_bytes:
            self._stays = False
        if cycle is None or cycle.response_complete:
            if not self._stays:
                self._end_in_turn()
            return
        if not self._stays:
            cycle.keep_alive = False
        cycle.body += data
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self._flow.pause_reading()
        cycle.message_event.set()

    def request_complete(self) -> None:
        """Stop the clock of this request."""
        self._receive_until = 0.0
        self._answered_early = False
        self._deaf = not self._stays
        cycle, self._receiving = self._receiving, None
        if cycle is not None and not cycle.response_complete:
            cycle.more_body = False
            cycle.message_event.set()
        self._rest_if_done()

    def check(self, now: float) -> None:
        """End what has waited too long; `now` in seconds of the event loop's clock."""
        if self._unread.seconds(self._transport.get_write_buffer_size(), now) > self._limits.send_s:
            self.abort()
        elif self._lingering:
            self._lingering.check(now)
        elif self._receive_until:
            if now > self._receive_until and not self._flow.read_paused:
                self._refuse(too_slow(self._limits.receive_s))
        elif self._answering is None and now - self._rested_at > self._limits.idle_s:
            self.close_idle()

    def close_idle(self) -> None:
        """Close; nothing is under way."""
        self._ending = True
        self._transport.close()

    def abort(self) -> None:
        """Drop whatever is under way."""
        self._ending = True
        self._transport.abort()

    def end(self) -> None:
        """Close as soon as the client has taken in what has been written."""
        if self._ending:
            return
        self._ending = True
        self._connections.ends(self)
        self._queue.clear()
        self._held = b""
        self._flow.release()
        self._lingering = Lingering(self._transport, self._loop.time())

    def _is_ending(self) -> bool:
        return self._ending

    def _is_last(self) -> bool:
        return self._connections.draining and not self._queue and not self._held

    def _read(self, data: bytes) -> None:
        view = memoryview(data)
        for start in range(0, len(data), PART_BYTES):
            if len(self._queue) >= QUEUED_REQUESTS or self._flow.write_paused:
                self._held = data[start:]
                self._flow.hold()
                return
            try:
                self._parser.feed(view[start : start + PART_BYTES])
            except Refusal as refusal:
                if not self._deaf:
                    self._refuse(refusal)
            if self._ending or self._deaf:
                return
        if self._queue:
            self._flow.hold()

    def _read_held(self) -> None:
        if self._queue:
            return
        self._flow.release()
        data, self._held = self._held, b""
        self._read(data)

    def _start(self, cycle: Cycle) -> None:
        self._answering = cycle
        task = self._loop.create_task(cycle.run(self._application))
        self._shared.tasks.add(task)
        task.add_done_callback(functools.partial(self._finished, cycle))

    def _finished(self, cycle: Cycle, task: asyncio.Task[None]) -> None:
        self._shared.tasks.discard(task)
        failure = None if task.cancelled() else task.exception()
        if cycle.disconnected or self._ending:
            return
        if failure is not None:
            logger.error("The application failed over a request.", exc_info=failure)
        if cycle.response_complete:
            return
        if cycle.response_started:
            self.abort()
        else:
            self._answering = None
            self._answer(self._response(STOPPED if task.cancelled() else FAILED, closes=True))

    def _answered(self) -> None:
        self._answering = None
        if self._ending:
            return
        self._outlet.flush()
        self._flow.resume_reading()
        while self._queue and self._answering is None and not self._ending:
            following = self._queue.popleft()
            if isinstance(following, Cycle):
                self._start(following)
            else:
                self._answer(following)
        self._read_held()
        self._rest_if_done()

    def _answer(self, answer: Answer) -> None:
        if self._answering is not None:
            self._queue.append(answer)
            return
        self._transport.write(answer.data)
        if answer.closes:
            self.end()

    def _refuse(self, refusal: Refusal) -> None:
        """End the connection over the request that is coming, which is told why if it has no answer yet."""
        self._deaf, self._receive_until = True, 0.0
        cycle, self._receiving = self._receiving, None
        if self._answered_early or (cycle is not None and cycle.response_complete):
            self._end_in_turn()
            return
        self._application.refused(refusal)
        if cycle is not None:
            if cycle.response_started:
                self.abort()
                return
            cycle.disconnect()
            if cycle is self._answering:
                self._answering = None
            else:
                self._queue.remove(cycle)
        self._answer(self._response(refusal, closes=True))

    def _end_in_turn(self) -> None:
        self._deaf, self._receive_until = True, 0.0
        self._answer(Answer(b"", closes=True))

    def _response(self, refusal: Refusal, *, closes: bool) -> Answer:
        return Answer(rendered(refusal, self._shared.headers, closes=closes), closes)

    def _rest_if_done(self) -> None:
        if not (self._ending or self._answering or self._receive_until or self._held):
            self._rested_at = self._loop.time()
            self._connections.rests(self)
