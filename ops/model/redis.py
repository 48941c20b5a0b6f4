"""A group of Redis servers: what they and their Sentinels say, who is to follow whom, and what is not as declared.

The topology is read, never declared. `Group` is what was heard at one moment; everything here is decided from it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ops.errors import OpsError

_UNITS = {"kb": 1024, "mb": 1024**2, "gb": 1024**3}
# What a server is told by the command line or its file only, and would have to be restarted for.
RESTART_ONLY = frozenset(
    {
        "aclfile",
        "cluster-config-file",
        "cluster-enabled",
        "dir",
        "enable-debug-command",
        "enable-module-command",
        "enable-protected-configs",
        "io-threads",
    }
)


@dataclass(frozen=True)
class Server:
    """What a Redis server says of itself. `follows`: the member that it replicates, None for a master."""

    follows: str | None
    link_up: bool
    keys: int
    loading: bool = False

    @classmethod
    def parse(cls, info: str) -> Server:
        """From the answer to INFO, all sections."""
        fields = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
        keyspace = (value for name, value in fields.items() if re.fullmatch(r"db\d+", name))
        return cls(
            follows=fields["master_host"] if fields["role"] == "slave" else None,
            link_up=fields.get("master_link_status") == "up",
            keys=sum(int(value.split(",")[0].removeprefix("keys=")) for value in keyspace),
            loading=fields.get("loading") == "1",
        )


@dataclass(frozen=True)
class Opinion:
    """What one Sentinel knows of the group: `epoch` counts failovers, the higher one is the newer one."""

    master: str
    epoch: int
    quorum: int
    replicas: int
    sentinels: int
    is_down: bool

    @classmethod
    def parse(cls, masters: Iterable[Mapping[str, str]], group: str) -> Opinion | None:
        """From the answer to SENTINEL MASTERS; None where it does not watch the group."""
        for found in masters:
            if found["name"] == group:
                return cls(
                    master=found["ip"],
                    epoch=int(found["config-epoch"]),
                    quorum=int(found["quorum"]),
                    replicas=int(found["num-slaves"]),
                    sentinels=int(found["num-other-sentinels"]) + 1,
                    is_down="down" in found["flags"],
                )
        return None


@dataclass(frozen=True)
class Group:
    """What was heard of a group at one moment. A member that did not answer is in neither mapping."""

    members: tuple[str, ...]
    servers: Mapping[str, Server]
    opinions: Mapping[str, Opinion]

    @property
    def majority(self) -> int:
        return len(self.members) // 2 + 1


def known_master(group: Group) -> str | None:
    """The member that the group has for its master; None where nobody has one. OpsError where they do not agree."""
    if group.opinions:
        newest = max(opinion.epoch for opinion in group.opinions.values())
        named = {opinion.master for opinion in group.opinions.values() if opinion.epoch == newest}
        if len(named) > 1:
            raise OpsError(
                "the Sentinels do not agree who is the master",
                detail="; ".join(f"{name} says {opinion.master}" for name, opinion in group.opinions.items()),
                hint="A failover is under way. Deploy again when it is over.",
            )
    else:
        named = _masters_among_servers(group)
        if len(named) > 1:
            raise OpsError(
                f"{' and '.join(sorted(named))} are both masters, and no Sentinel has decided between them",
                detail="; ".join(f"{name} {_words(server)}" for name, server in sorted(group.servers.items())),
                hint="Nothing was changed. Choose the one to keep, and on all others: redis-operator REPLICAOF <it> "
                "<port>; that discards what only they hold. Then deploy again.",
            )
    return next(iter(named), None)


def _masters_among_servers(group: Group) -> set[str]:
    """Whom somebody follows, and who leads with data of its own; where there is neither, the first that is free."""
    followed = {server.follows for server in group.servers.values() if server.follows}
    holders = {name for name, server in group.servers.items() if not server.follows and server.keys}
    free = [name for name in group.members if name in group.servers and not group.servers[name].follows]
    return followed | holders or set(free[:1])


def _words(server: Server) -> str:
    role = f"follows {server.follows}" if server.follows else "is a master"
    return f"{role} and holds {server.keys} keys"


def first_role(name: str, group: Group, untouched: frozenset[str]) -> str | None:
    """Whom a server that starts without any state is to follow; None to start as the master.

    `untouched` are the members that are known to have no state either. An empty master would empty every replica that
    still follows it, so the answer is an OpsError where that could happen.
    """
    master = known_master(group)
    if master and master != name:
        return master
    others = [other for other in group.members if other != name]
    if master == name:
        holders = [other for other in others if other in group.servers and group.servers[other].keys]
        if holders:
            raise OpsError(
                f"{name} is the group's master but has lost its data; {' and '.join(holders)} still hold a copy",
                hint="Started empty, it would empty them too. Let the Sentinels promote one of them, or by hand: on "
                f"{holders[0]} redis-operator REPLICAOF NO ONE, on the others REPLICAOF {holders[0]} <port>. Then "
                "deploy again.",
            )
        return None
    silent = [other for other in others if other not in untouched and other not in group.servers]
    if silent:
        raise OpsError(
            f"{name} has no data, and {' and '.join(silent)}, which may have, did not answer",
            hint="Start them, or deploy all hosts of the group at once, without --limit.",
        )
    return None if name == group.members[0] else group.members[0]


def complaints(group: Group, *, with_sentinel: bool) -> list[str]:
    """What keeps the group from being one healthy master with replicas, in words; empty where nothing does."""
    try:
        master = known_master(group)
    except OpsError as error:
        return [error.message]
    if master is None:
        return ["no member answers"]
    found = []
    for name in group.members:
        server = group.servers.get(name)
        if server is None:
            found.append(f"{name} does not answer")
        elif server.loading:
            found.append(f"{name} is loading its data")
        elif master not in (name, server.follows):
            found.append(f"{name} {_words(server)}; the master is {master}")
        elif name == master and server.follows:
            found.append(f"{name} is to be the master, but follows {server.follows}")
        elif name != master and not server.link_up:
            found.append(f"{name} has lost its link to {master}")
        if with_sentinel:
            found += _doubts(name, group, master)
    return found


def _doubts(name: str, group: Group, master: str) -> list[str]:
    """What the Sentinel on a member does not know yet."""
    opinion = group.opinions.get(name)
    if opinion is None:
        return [f"the Sentinel on {name} does not know the group"]
    if opinion.master != master:
        return [f"the Sentinel on {name} takes {opinion.master} for the master, not {master}"]
    if opinion.is_down:
        return [f"the Sentinel on {name} sees {master} down"]
    others = len(group.members) - 1
    if opinion.replicas < others or opinion.sentinels < others + 1:
        return [f"the Sentinel on {name} sees {opinion.replicas} of {others} replicas, {opinion.sentinels} Sentinels"]
    return []


def parse_conf(text: str) -> dict[str, str]:
    """The settings of a redis.conf. What is not compared is left out: includes, and `save ""`, which only clears."""
    lines = (line.partition(" ") for line in text.splitlines() if line and not line.startswith("#"))
    found = {name: value.strip() for name, _, value in lines if name != "include" and value}
    return {name: "" if value == '""' else value.strip('"') for name, value in found.items()}


def differing(declared: Mapping[str, str], live: Mapping[str, str]) -> dict[str, str]:
    """The declared settings that the running server has otherwise: name -> what it has."""
    return {
        name: live.get(name, "not known to it")
        for name, value in declared.items()
        if name not in live or _plain(live[name]) != _plain(value)
    }


def _plain(value: str) -> str:
    """A size as the number of bytes that Redis shows it as."""
    match = re.fullmatch(r"(\d+)(kb|mb|gb)", value)
    return str(int(match[1]) * _UNITS[match[2]]) if match else value


def readable(name: str, value: str) -> str:
    """A value for a person: memory in the largest unit that it fills."""
    if not name.startswith("maxmemory") or not value.isdigit() or value == "0":
        return value or '""'
    unit, size = next(((u, s) for u, s in reversed(_UNITS.items()) if int(value) % s == 0), ("", 1))
    return f"{int(value) // size}{unit}"


# How much of a password's digest is compared: enough to see a difference, too little to check a guess by.
DIGEST = 8
NOT_DECLARED = "is not declared"


def users(lines: Iterable[str]) -> dict[str, Counter[str]]:
    """ACL lines as user -> rules. Redis prints the commands of a user in any order, and so that it does not matter."""
    found = {}
    for line in lines:
        _, name, *rules = line.split()
        # What is left out is the default, which Redis prints only for users that were set in the running server.
        shown = (rule for rule in rules if rule != "sanitize-payload")
        found[name] = Counter(rule[: DIGEST + 1] if rule.startswith("#") else rule for rule in shown)
    return found


def differing_users(declared: Iterable[str], live: Iterable[str]) -> dict[str, str]:
    """User -> what about it is not as declared. Never says a digest."""
    wanted, found = users(declared), users(live)
    differences = {}
    for name in sorted(wanted.keys() | found.keys()):
        if name not in found:
            differences[name] = "is missing"
        elif name not in wanted:
            differences[name] = NOT_DECLARED
        elif wanted[name] != found[name]:
            differences[name] = _change(found[name] - wanted[name], wanted[name] - found[name])
    return differences


def _change(more: Counter[str], less: Counter[str]) -> str:
    def said(rules: Counter[str]) -> str:
        return " ".join(sorted("<password>" if rule.startswith("#") else rule for rule in rules))

    if not more or not less:
        return f"also has {said(more)}" if more else f"lacks {said(less)}"
    return f"has {said(more)} where {said(less)} is declared"
