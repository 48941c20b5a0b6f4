"""How a deploy's connections behave."""

from __future__ import annotations

import socket

from paramiko import SSHClient
from pyinfra.api.host import Host


def without_delay(host: Host) -> None:
    """Have each packet sent when it is written.

    paramiko leaves Nagle's algorithm on: the second packet of a question then waits for an acknowledgement that the
    host holds back for 40 ms. A deploy asks hundreds of short questions, and would spend nine tenths of its time so.
    """
    client = getattr(host.connector, "client", None)  # other connectors have none
    transport = client.get_transport() if isinstance(client, SSHClient) else None
    if transport and isinstance(transport.sock, socket.socket):  # a proxy command has pipes instead
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
