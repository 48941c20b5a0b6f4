"""Redis 7 on the hosts of the groups `redis_*`: alone, under Sentinel, or as a cluster.

Two files for each server: what is declared (ours, root's) and what Redis itself rewrites (its own). The first is given
on the command line and so is read last: a CONFIG REWRITE, by whomever, changes nothing that is declared.
What Redis can change while it runs is changed so; it restarts for nothing else than what it cannot.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from pyinfra import host
from pyinfra.api.operation import operation
from pyinfra.facts.files import File

from ops.deploys.base import CA_FILE
from ops.deploys.marks import mark
from ops.deploys.operations import (
    Commands,
    config_file,
    directory,
    render,
    secret_file,
    service,
    started,
    text_file,
)
from ops.deploys.pki import host_leaf
from ops.deploys.redis_cluster import Cluster, introduced, replicating, slotted, whole
from ops.deploys.redis_facts import OPERATOR, REPLICATION_PASSWORD, Live
from ops.deploys.redis_sentinel import (
    DATA_DIR,
    HAND_OVER,
    Sentinels,
    formed,
    sentinel_state,
    server_state,
    untouched_members,
)
from ops.deploys.redis_turns import SERVER_DROP_IN, SERVER_UNIT, Formation, restarted_in_turn
from ops.deploys.redis_users import password, sentinel_users, server_users
from ops.deploys.settings import Redis
from ops.deploys.site import Host, IsContainer, section
from ops.errors import Unreachable
from ops.model.impact import Impact
from ops.model.redis import NOT_DECLARED, RESTART_ONLY, differing, differing_users, parse_conf, readable

CERTIFICATE, KEY = "/etc/ops/pki/redis.crt", "/etc/ops/pki/redis.key"
DECLARED, USERS = "/etc/redis/declared.conf", "/etc/redis/users.acl"
REPLICATION = "/etc/redis/replication.conf"
OPERATOR_PASSWORD = "/etc/redis/operator.password"  # noqa: S105  a path
RESTART_DROP_IN = "/etc/systemd/system/redis-server.service.d/restart.conf"
SYSCTL = "/etc/sysctl.d/61-pend-ops-redis.conf"

SENTINEL_UNIT = "redis-sentinel.service"
SENTINEL_DROP_IN = "/etc/systemd/system/redis-sentinel.service.d/pend-ops.conf"
SENTINEL_DECLARED, SENTINEL_USERS = "/etc/redis/sentinel-declared.conf", "/etc/redis/sentinel-users.acl"
SENTINEL_SECRETS = "/etc/redis/sentinel-secrets.conf"


@section("Redis")
def redis(this: Host) -> None:
    """The server of its group, and a Sentinel beside it where the mode has one."""
    group = this.inventory.redis_of(this.name)
    if group is None:
        return
    settings, members = this.inventory.redis(group), this.inventory.groups[group]
    untouched = untouched_members(members)
    has_sentinel = settings.mode == "sentinel"
    _kernel()
    _identity(this, group)
    _commands(this, group, settings)
    declared = _server_files(this, group, settings)
    sentinels = Sentinels(this.name, group, members, settings)
    cluster = Cluster(this.name, group, members, settings) if settings.mode == "cluster" else None
    server_state(
        name="Say whom the server first follows",
        follows=lambda: cluster.first_role() if cluster else sentinels.first_role(untouched),
        port=settings.port,
    )
    started(name=f"Start {SERVER_UNIT}", unit=SERVER_UNIT)
    in_effect(
        name="Set in the running server what is declared",
        declared=declared,
        users=server_users(this, group, settings),
    )
    # Only now: until then, the servers know the operator by the password before.
    _operator_password(this, group)
    _restart_in_turn(cluster or sentinels, declared)
    service(SERVER_UNIT, CERTIFICATE, KEY, RESTART_DROP_IN, verb="reload")
    if cluster:
        _form(cluster)
        return
    if has_sentinel:
        _sentinel(this, group, settings, sentinels)
    formed(name="See that there is one master, which all follow", sentinels=sentinels)


def _kernel() -> None:
    config_file("redis/sysctl.conf.j2", SYSCTL)
    if not host.get_fact(IsContainer):
        service("systemd-sysctl.service", SYSCTL)


def _identity(this: Host, group: str) -> None:
    material = this.issue(host_leaf("redis", this.name, this.address, client=True))
    config_file("base/certificate.crt.j2", CERTIFICATE, certificate=material.certificate)
    secret_file(name=f"Write {KEY}", dest=KEY, content=lambda: material.key, user="redis")
    if not host.get_fact(File, path=OPERATOR_PASSWORD):
        _operator_password(this, group)


def _commands(this: Host, group: str, settings: Redis) -> None:
    """What root on the host, and a deploy, speak to the servers with."""
    config_file(
        "redis/redis-operator.j2", OPERATOR, mode="755",
        password=OPERATOR_PASSWORD, ca=CA_FILE, address=str(this.address), port=settings.port,
    )  # fmt: skip
    if settings.mode == "sentinel":
        config_file(
            "redis/redis-hand-over.j2", HAND_OVER, mode="755",
            operator=OPERATOR, group=group, name=this.name, port=settings.port, sentinel_port=settings.sentinel_port,
        )  # fmt: skip


def _operator_password(this: Host, group: str) -> None:
    secret_file(
        name=f"Write {OPERATOR_PASSWORD}", dest=OPERATOR_PASSWORD, content=lambda: password(this, group, "operator")
    )


def _server_files(this: Host, group: str, settings: Redis) -> dict[str, str]:
    """Everything that the server reads, or systemd for it. Returns the settings that are declared."""
    if settings.mode != "standalone":
        secret = password(this, group, "replication")
        text = f"masteruser replication\nmasterauth {secret}\n"
        secret_file(name=f"Write {REPLICATION}", dest=REPLICATION, content=lambda: text, user="redis")
        secret_file(name=f"Write {REPLICATION_PASSWORD}", dest=REPLICATION_PASSWORD, content=lambda: secret)
    users = "\n".join(server_users(this, group, settings)) + "\n"
    secret_file(name=f"Write {USERS}", dest=USERS, content=lambda: users, user="redis")
    text_file(_declared_conf(this, settings), DECLARED)
    directory(str(Path(SERVER_DROP_IN).parent))
    config_file(
        "redis/redis-server.conf.j2", SERVER_DROP_IN,
        data_dir=DATA_DIR, declared=DECLARED, operator=OPERATOR, certificate=CERTIFICATE, key=KEY,
    )  # fmt: skip
    config_file("redis/restart.conf.j2", RESTART_DROP_IN, redis=settings)
    return parse_conf(_declared_conf(this, settings))


def _declared_conf(this: Host, settings: Redis) -> str:
    return render(
        "redis/declared.conf.j2", redis=settings, name=this.name, address=str(this.address), data_dir=DATA_DIR,
        certificate=CERTIFICATE, key=KEY, ca=CA_FILE, users=USERS, replication=REPLICATION,
    )  # fmt: skip


def _restart_in_turn(formation: Formation, declared: dict[str, str]) -> None:
    for what, replicas_only in (("replicas", True), ("a master, after a replica has taken over,", False)):
        restarted_in_turn(
            name=f"Restart {what} where that cannot be avoided",
            formation=formation,
            declared=declared,
            replicas_only=replicas_only,
            _serial=True,
        )


def _form(cluster: Cluster) -> None:
    introduced(name="Introduce the members to each other", cluster=cluster)
    slotted(name="Give out the slots of a new cluster", cluster=cluster)
    replicating(name="Find a master for whoever owns nothing", cluster=cluster, _serial=True)
    whole(name="See that every slot has an owner, and every master its replicas", cluster=cluster)


def _sentinel(this: Host, group: str, settings: Redis, formation: Sentinels) -> None:
    """A Sentinel. To restart one costs nothing: the others watch meanwhile, and its state is in its file."""
    users = "\n".join(sentinel_users(this, group)) + "\n"
    secret_file(name=f"Write {SENTINEL_USERS}", dest=SENTINEL_USERS, content=lambda: users, user="redis")
    secret = password(this, group, "sentinel")
    secrets = (
        f"sentinel auth-user {group} sentinel\nsentinel auth-pass {group} {secret}\n"
        f"sentinel sentinel-user sentinel\nsentinel sentinel-pass {secret}\n"
    )
    secret_file(name=f"Write {SENTINEL_SECRETS}", dest=SENTINEL_SECRETS, content=lambda: secrets, user="redis")
    config_file(
        "redis/sentinel-declared.conf.j2", SENTINEL_DECLARED,
        redis=settings, group=group, name=this.name, address=str(this.address), data_dir=DATA_DIR,
        certificate=CERTIFICATE, key=KEY, ca=CA_FILE, users=SENTINEL_USERS, secrets=SENTINEL_SECRETS,
    )  # fmt: skip
    directory(str(Path(SENTINEL_DROP_IN).parent))
    config_file("redis/redis-sentinel.conf.j2", SENTINEL_DROP_IN, data_dir=DATA_DIR, declared=SENTINEL_DECLARED)
    sentinel_state(name="Say which master Sentinel first watches", sentinels=formation)
    service(SENTINEL_UNIT, SENTINEL_DECLARED, SENTINEL_SECRETS, SENTINEL_USERS, CERTIFICATE, KEY, SENTINEL_DROP_IN)


@operation()
def in_effect(declared: dict[str, str], users: list[str]) -> Commands:
    """What is declared holds in the running server, as far as Redis can change it while it runs.

    Users are set one by one: ACL LOAD would cut off every client, the replicas and the Sentinels among them.
    """
    live = host.get_fact(Live, names=tuple(declared))
    if live is None:
        host.noop("the server starts with what is declared")
        return
    settings = {name: value for name, value in differing(declared, live.settings).items() if name not in RESTART_ONLY}
    if settings:
        mark(Impact.RELOAD, what=f"Set {', '.join(settings)} in the running server", live=True)
        yield shlex.join([OPERATOR, "CONFIG", "SET", *(word for name in settings for word in (name, declared[name]))])
    if not live.has_replication_password:
        mark(Impact.RELOAD, what="Set the replication password in the running server")
        yield f"{OPERATOR} -x CONFIG SET masterauth < {REPLICATION_PASSWORD}"
    different = differing_users(users, live.users)
    for user, difference in different.items():
        mark(Impact.RELOAD, what=f"Redis user {user} {difference}")
    if different:
        yield _set_users(different)


def _set_users(different: dict[str, str]) -> str:
    """In one connection: once the operator's own password is another, no second one could be made.

    The rules come from the file on the host, so that no digest becomes an argument.
    """
    lines = [
        f"echo ACL DELUSER {shlex.quote(user)}"
        if difference == NOT_DECLARED
        else f"sed -n 's/^user {user} /ACL SETUSER {user} reset /p' {USERS}"
        for user, difference in different.items()
    ]
    return f"! {{ {'; '.join(lines)}; }} | {OPERATOR} | grep -vxE 'OK|1|'"


def live_differences(this: Host) -> list[str]:
    """What this host's running server has otherwise than declared, in words; it is only read.

    Raises Unreachable where it does not answer. For use where pyinfra's `host` is this host.
    """
    group = this.inventory.redis_of(this.name)
    if group is None:
        return []
    settings = this.inventory.redis(group)
    declared = parse_conf(_declared_conf(this, settings))
    live = host.get_fact(Live, names=tuple(declared))
    if live is None:
        raise Unreachable(
            f"the Redis server on {this.name} does not answer",
            hint=f"Look there: systemctl status {SERVER_UNIT}; {OPERATOR} PING",
        )
    found = [
        f"{name} is {readable(name, value)}, declared {readable(name, declared[name])}"
        for name, value in differing(declared, live.settings).items()
    ]
    found += [
        f"user {user} {difference}"
        for user, difference in differing_users(server_users(this, group, settings), live.users).items()
    ]
    if not live.has_replication_password:
        found.append("masterauth is not the replication password that is declared")
    return found
