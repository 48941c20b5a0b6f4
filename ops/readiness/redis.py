"""Groups of Redis servers: each server and each Sentinel asked over TLS, as the user that may only look."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ops.errors import OpsError, Unreachable
from ops.fleet import Identity
from ops.fleet import Redis as Group
from ops.model.readiness import RedisCluster, RedisServer, RedisSnapshot, SentinelView, Shard
from ops.readiness.ask import DEADLINE, tls, trouble
from ops.readiness.certificates import certificates
from ops.store.private import read_private

T = TypeVar("T")

# How redis-py begins; whoever is told knows where.
_CONNECTING = re.compile(r"^Error \S+ connecting to \S+ ")


def questions(identity: Identity, group: Group) -> dict[tuple[str, str], Callable[[], Any]]:
    """What to ask whom, by kind and host."""
    context = tls(identity)
    found: dict[tuple[str, str], Callable[[], Any]] = {}
    for host in group.hosts:
        found["server", host] = partial(_asked, context, group, host, group.port, partial(_server, host))
        if group.mode == "sentinel":
            question = partial(_sentinel, host, group.master)
            found["sentinel", host] = partial(_asked, context, group, host, group.sentinel_port, question)
        if group.mode == "cluster":
            found["nodes", host] = partial(_asked, context, group, host, group.port, _nodes)
    return found


def snapshot(name: str, group: Group, answers: Mapping[tuple[str, Any], Any], taken: datetime) -> RedisSnapshot:
    """The group, from the answers to `questions` and the certificates of its targets."""
    nodes = (answers[kind, host] for kind, host in answers if kind == "nodes")
    shown = [(target, answer) for (kind, target), answer in answers.items() if kind == "certificate"]
    return RedisSnapshot(
        cluster=name,
        taken=taken,
        mode=group.mode,
        servers=tuple(_or_not(RedisServer, host, answers["server", host]) for host in group.hosts),
        sentinels=tuple(
            _or_not(SentinelView, host, answers["sentinel", host])
            for host in group.hosts
            if ("sentinel", host) in answers
        ),
        nodes=next((answer for answer in nodes if isinstance(answer, RedisCluster)), None),
        certificates=certificates(shown),
    )


def _or_not(kind: type[T], host: str, answer: Any) -> T:
    if isinstance(answer, OpsError):
        return kind(name=host, reachable=False, trouble=trouble(answer))  # type: ignore[call-arg]
    assert isinstance(answer, kind)
    return answer


class _Connection(redis.SSLConnection):
    """By our own rules for TLS. redis-py would trust the machine's CAs beside ours, and read all of them for each
    connection, which takes longer than all that is asked."""

    def __init__(self, *, context: ssl.SSLContext, **settings: Any) -> None:
        super().__init__(**settings)
        self._context = context

    def _wrap_socket_with_ssl(self, sock: socket.socket) -> ssl.SSLSocket:
        return self._context.wrap_socket(sock, server_hostname=self.host)


def _asked(context: ssl.SSLContext, group: Group, host: str, port: int, question: Callable[[redis.Redis], T]) -> T:
    """The answer of a server or Sentinel; Unreachable where it does not give one."""
    password = read_private(group.password_file, "password of Redis", "The deploy writes it on monitoring hosts.")
    connections = redis.ConnectionPool(
        connection_class=_Connection,
        context=context,
        host=host,
        port=port,
        username=group.user,
        password=password.partition("\n")[0],
        socket_timeout=DEADLINE,
        socket_connect_timeout=DEADLINE,
        retry=Retry(NoBackoff(), 0),
        protocol=2,  # with 3 it would introduce itself by commands that this user may not use
        lib_name=None,
        lib_version=None,
        decode_responses=True,
    )
    try:
        return question(redis.Redis(connection_pool=connections))
    except redis.RedisError as error:
        raise Unreachable(_CONNECTING.sub("", str(error)).rstrip(".")) from error
    finally:
        connections.disconnect()


def _server(host: str, client: redis.Redis) -> RedisServer:
    found: Any = client.info("replication")
    is_master = found["role"] == "master"
    return RedisServer(
        name=host,
        reachable=True,
        is_master=is_master,
        link_up=None if is_master else found.get("master_link_status") == "up",
        offset=int(found["master_repl_offset"] if is_master else found.get("slave_repl_offset", 0)),
    )


def _sentinel(host: str, master: str, client: redis.Redis) -> SentinelView:
    state: Any = client.sentinel_master(master)
    quorum, says = True, ""
    try:
        client.sentinel_ckquorum(master)
    except redis.ResponseError as error:
        quorum, says = False, str(error)
    down_after = int(state["down-after-milliseconds"]) / 1000
    return SentinelView(host, True, "", str(state["ip"]), quorum, says, down_after)


def _nodes(client: redis.Redis) -> RedisCluster:
    info: Any = client.execute_command("CLUSTER INFO")  # type: ignore[no-untyped-call]
    nodes: Any = client.execute_command("CLUSTER NODES")  # type: ignore[no-untyped-call]
    return cluster_of(info["cluster_state"], int(info["cluster_slots_ok"]), nodes)


def cluster_of(state: str, slots_ok: int, nodes: Mapping[str, Mapping[str, Any]]) -> RedisCluster:
    """The masters with slots, each with its replicas that are linked and well. `nodes`: as redis-py reads CLUSTER
    NODES, address -> flags, master_id, connected, slots and more."""

    def is_well(node: Mapping[str, Any]) -> bool:
        flags = str(node["flags"]).split(",")
        return bool(node["connected"]) and not {"fail", "fail?", "noaddr", "handshake"} & set(flags)

    masters = {
        node["node_id"]: (node.get("hostname") or address, tuple("-".join(part) for part in node["slots"]))
        for address, node in nodes.items()
        if "master" in str(node["flags"]).split(",") and node["slots"]
    }
    following = [node["master_id"] for node in nodes.values() if is_well(node)]
    shards = (Shard(name, slots, following.count(node_id)) for node_id, (name, slots) in masters.items())
    return RedisCluster(state, slots_ok, tuple(shards))
