"""The address that the server listens on: bound, or a refusal that says what to do."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from forgeml.errors import MachineError

WAITING_CONNECTIONS = 2_048
"""Connections that the system holds until they are accepted; it may have a smaller bound of its own."""
UNSENT_BYTES = 262_144
"""What the system holds of the answers to one client, here and for each connection: else it may be megabytes, and a
client that reads slowly would look as if it did not read at all."""
TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
"""Where Linux lists the sockets."""
LISTENING = "0A"
"""State of a socket in the system's tables."""


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Args:
        host: name or address, also of IPv6.
        port: 0 for any that is free.

    Raises:
        MachineError: the name leads nowhere, the address is not of this machine, or the port cannot be had.
    """
    where = f"address {url(host, port)}"
    family, address = _resolve(host, port, where)
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNSENT_BYTES)
        listening.bind(address)
        listening.listen(WAITING_CONNECTIONS)
    except OSError as error:
        listening.close()
        raise _refusal(error, where, port) from error
    listening.setblocking(False)
    return listening


def url(host: str, port: int) -> str:
    """The address as browsers take it."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there; a name is looked up."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return all(ipaddress.ip_address(one[4][0]).is_loopback for one in found)


def _resolve(host: str, port: int, where: str) -> tuple[socket.AddressFamily, tuple[str, int]]:
    if not 0 <= port <= 65_535:
        raise MachineError.at(where, f"there is no port {port}", "take one from 1 to 65535, or 0 for any that is free")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        fix = "take 127.0.0.1 for this machine alone, or 0.0.0.0 for all of its addresses"
        raise MachineError.at(where, f"the host {host!r} is not known", fix) from error
    # A name such as localhost may have addresses of both kinds: the older kind is reached by all clients.
    family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    return family, address  # type: ignore[return-value]  # of IPv6 it is longer, which bind wants so


def _refusal(error: OSError, where: str, port: int) -> MachineError:
    if error.errno == errno.EADDRINUSE:
        holder = _holder(port)
        by = f" by {holder}" if holder else ""
        return MachineError.at(where, f"port {port} is taken{by}", "stop what holds it, or give another --port")
    if error.errno in (errno.EACCES, errno.EPERM):
        return MachineError.at(
            where,
            f"this user may not listen on port {port}",
            "give a --port of 1024 or above, and let a proxy or port mapping lead to it",
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return MachineError.at(where, "this machine does not have that address", "give one of its own as --host")
    return MachineError.at(where, f"it cannot be listened on: {error.strerror}", "give another --host or --port")


def _holder(port: int) -> str | None:
    """Name and id of the process that listens on a port, where the system tells it to this user."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    if not sockets:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if any(os.readlink(handle) in sockets for handle in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (process {process.name})"
    return None


def _listening_inodes(port: int) -> Iterator[str]:
    for table in TABLES:
        with suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                columns = line.split()
                if columns[3] == LISTENING and int(columns[1].rpartition(":")[2], 16) == port:
                    yield columns[9]
