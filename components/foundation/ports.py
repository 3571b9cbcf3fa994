"""Ports for servers that stand on this machine for a while."""

import socket


def free() -> int:
    """Return a port of the loopback that is free now; another process may still take it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
