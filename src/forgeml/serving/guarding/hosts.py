"""Which names the server answers to: a page elsewhere must not reach it under a name of its own."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

LOOPBACK = "localhost"


@dataclass(frozen=True)
class Hosts:
    """The values of the Host header that are answered.

    An attacker who has a name of their own resolve to this machine, as in DNS rebinding, has that name in the header.
    """

    names: frozenset[str]
    """In lower case, without ports; `*` for any."""
    any_address: bool
    """Whether every IP address will do, as for a server that is not on loopback; a name cannot be rebound to one."""

    def allow(self, header: str) -> bool:
        """Whether a Host header names this server."""
        if "*" in self.names:
            return True
        name = _without_port(header).lower().rstrip(".")
        if name in self.names or name == LOOPBACK:
            return True
        try:
            address = ipaddress.ip_address(name[1:-1] if name.startswith("[") and name.endswith("]") else name)
        except ValueError:
            return False
        return address.is_loopback or self.any_address


def _without_port(header: str) -> str:
    if header.startswith("["):
        name, bracket, _ = header.partition("]")
        return name + bracket
    name, colon, port = header.rpartition(":")
    return name if colon and port.isdecimal() else header
