"""How a server stops: it says so first, and loses nothing that it has accepted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from forgeml.errors import counted
from forgeml.serving.transport.connections import Shared
from forgeml.serving.transport.listening import Listener

GRACE_S = 1.0
"""After the port is closed: time for a request on an open connection that was sent before its client knew."""
SETTLE_S = 0.2
"""Before the port is closed: time for a connection that has been begun to come to be."""
LOOK_S = 0.02
"""Between two looks at what is still to be done."""

logger = logging.getLogger(__name__)


async def drain(listener: Listener, shared: Shared, delay_s: float) -> None:
    """Finish what has been accepted.

    Args:
        listener: is closed after the delay.
        shared: of the connections.
        delay_s: time during which everything is still accepted, while readiness already says no: whoever spreads
            requests over several servers has it to look elsewhere.
    """
    connections = shared.connections
    shared.application.drain()
    connections.draining = True
    await asyncio.sleep(delay_s)
    listener.turn_away()
    await asyncio.sleep(SETTLE_S)
    await listener.close()
    await _until(lambda: not connections.resting, GRACE_S)
    connections.close_resting()
    if not await _until(lambda: not connections.unfinished, shared.application.limits.answer_s):
        logger.warning("Stopped with %s unfinished.", counted(len(shared.tasks), "request"))
        for task in list(shared.tasks):
            task.cancel()
    await _until(lambda: not len(connections), GRACE_S)
    connections.abort()


async def _until(reached: Callable[[], bool], seconds: float) -> bool:
    """Whether it was reached in time."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while not reached():
        if loop.time() > until:
            return False
        await asyncio.sleep(LOOK_S)
    return True
