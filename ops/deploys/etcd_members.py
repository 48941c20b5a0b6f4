"""The place of a host among etcd's members: a new cluster on empty disks, or one more member of the one there is.

Who the members are is asked of etcd itself, from this host and with its certificate, when the deploy gets here:
other hosts join in the same run, and a run that was killed has left some of it done.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from io import StringIO

from pyinfra import host
from pyinfra.api.command import FileUploadCommand
from pyinfra.api.exceptions import DeployError, OperationError
from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation

from ops.deploys.base import CA_FILE
from ops.deploys.marks import mark, preparing
from ops.deploys.operations import Commands, render, start_command
from ops.errors import OpsError
from ops.model import etcd as model
from ops.model.etcd import Entry, Member, Membership
from ops.model.impact import Impact

UNIT = "etcd.service"
CLIENT_PORT, PEER_PORT = 2379, 2380
CERTIFICATE, KEY = "/etc/ops/pki/etcd.crt", "/etc/ops/pki/etcd.key"
INITIAL = "/etc/default/etcd-initial"
DATA = "/var/lib/etcd/default/member/wal/*.wal"  # without it etcd takes itself for new, whatever else is there

_CURL = f"curl -sS --max-time 3 --cacert {CA_FILE} --cert {CERTIFICATE} --key {KEY}"

# The hosts of this run that have no data. Only a run that sees all of them empty may begin a new cluster.
_empty: set[str] = set()


class LocalState(FactBase[set[str]]):
    """Which of `data`, `active` and `begun` holds: begun means that it was told to found a cluster and has not yet."""

    default = set

    def command(self) -> str:
        return (
            f"ls {DATA} >/dev/null 2>&1 && echo data; systemctl is-active -q {UNIT} && echo active; "
            f"grep -qsx ETCD_INITIAL_CLUSTER_STATE=new {INITIAL} && echo begun; true"
        )

    def process(self, output: list[str]) -> set[str]:
        return set(output)


class Healthy(FactBase[set[str]]):
    """Those of some client addresses whose member answers for a majority."""

    default = set

    def command(self, urls: list[str]) -> str:
        return (
            f"for url in {shlex.join(urls)}; do {_CURL} $url/health 2>&1 | grep -q '\"true\"' && echo $url; done; true"
        )

    def process(self, output: list[str]) -> set[str]:
        return set(output)


class Members(FactBase[tuple[Member, ...]]):
    """The members as the one at `url` has them registered."""

    default = tuple

    def command(self, url: str) -> str:
        return f"{_CURL} -d '{{}}' {url}/v3/cluster/member/list"

    def process(self, output: list[str]) -> tuple[Member, ...]:
        return model.parse_members(json.loads("\n".join(output)))


def client_url(name: str) -> str:
    return f"https://{name}:{CLIENT_PORT}"


def look_for_data(name: str) -> None:
    """Called for every etcd host while the deploy is prepared: `admitted` must know of all before it acts on one."""
    if "data" in host.get_fact(LocalState):
        _empty.discard(name)
    else:
        _empty.add(name)


@operation()
def admitted(member: str, peers: Mapping[str, str], site: str) -> Commands:
    """This host's etcd has data, or has been given what it needs to be started without. One host after the other.

    One that joins is started here: while it is not, etcd takes in no other. Those that found a cluster start together.
    """
    local = host.get_fact(LocalState)
    if {"data", "active"} <= local:
        host.noop(f"etcd runs on {member}")
        return
    if "data" not in local:
        mark(Impact.NONE, what=f"Make {member} a member of etcd")
    if preparing():
        yield "true"  # what it takes is seen when the hosts before this one are done
        return
    everybody_is_new = "begun" in local or _empty >= peers.keys()
    try:
        reached, membership = _survey(peers)
        if "data" in local:
            model.refuse_stranger(member, peers, membership)
            return  # it was stopped, and is started with all the others
        entry = model.entry(member, peers, membership, everybody_is_new=everybody_is_new)
    except OpsError as error:
        raise OperationError("\n".join(filter(None, (error.message, error.detail, error.hint)))) from error
    yield from _make_room(entry, reached, peers[member])
    text = render(
        "etcd/etcd-initial.j2",
        cluster=model.initial_cluster(entry.initial),
        state="existing" if entry.joins else "new",
        site=site,
    )
    yield FileUploadCommand(StringIO(text), INITIAL)
    if entry.joins:
        yield start_command(UNIT)
        healthy = f"{_CURL} -f https://127.0.0.1:{CLIENT_PORT}/health >/dev/null"
        yield f"for i in $(seq 60); do {healthy} && exit; sleep 0.5; done; exit 1"


def _make_room(entry: Entry, url: str, peer_url: str) -> Iterable[str]:
    """The requests that register this host, and before that take its former self off the list."""
    # For five seconds after one has joined etcd says 503 to the next: it wants to see that all hold together.
    post = f"{_CURL} --max-time 15 --fail-with-body --retry 30 --retry-delay 1"
    if entry.remove is not None:
        yield f"{post} -d '{json.dumps({'ID': str(entry.remove)})}' {url}/v3/cluster/member/remove"
    if entry.add:
        yield f"{post} -d '{json.dumps({'peerURLs': [peer_url]})}' {url}/v3/cluster/member/add"


def _survey(peers: Mapping[str, str]) -> tuple[str, Membership | None]:
    """A member that answers, and what it knows; only one that speaks for a majority is believed."""
    urls = [client_url(peer) for peer in peers]
    healthy: set[str] = host.get_fact(Healthy, urls=urls)
    if not healthy:
        return "", None
    reached = next(url for url in urls if url in healthy)
    members = host.get_fact(Members, url=reached)
    if not members:
        raise DeployError(f"etcd at {reached} did not say who its members are")
    strangers = [url for one in members for url in one.client_urls if url not in urls]
    if strangers:
        others: set[str] = host.get_fact(Healthy, urls=strangers)
        healthy |= others
    return reached, Membership(members, model.of_ids(members, healthy))
