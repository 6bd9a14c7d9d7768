"""Ports for servers that a test starts."""

import secrets
import socket
from pathlib import Path

LOWEST = 10_000
_GIVEN_AWAY = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on, all different.

    From below those that the kernel gives to connections: an engine needs a minute until it listens, and in all that
    time any client on this machine could be given its port.
    """
    end = max(int(_GIVEN_AWAY.read_text().split()[0]) if _GIVEN_AWAY.exists() else 32_768, LOWEST + 10_000)
    found: set[int] = set()
    while len(found) < count:
        port = LOWEST + secrets.randbelow(end - LOWEST)
        if _is_free(port):
            found.add(port)
    return list(found)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
