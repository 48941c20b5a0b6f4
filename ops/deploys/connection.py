"""How a deploy's connections behave, and what pyinfra is kept from doing over and over on the way."""

from __future__ import annotations

import inspect
import socket
from functools import cache, partial
from typing import get_type_hints

from paramiko import SSHClient
from pyinfra.api import arguments, util
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


def without_detours() -> None:
    """Spare pyinfra what costs it more than half of its own time, for each operation of each host.

    It wants the line numbers of its callers, and has Python look up the module and the source of each of them too; and
    it works out the types of its own arguments every time.
    """
    util.stack = partial(inspect.stack, context=0)
    util.getframeinfo = partial(inspect.getframeinfo, context=0)
    arguments.get_type_hints = cache(get_type_hints)  # type: ignore[assignment]


without_detours()
