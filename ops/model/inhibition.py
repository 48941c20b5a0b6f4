"""Which alerts say nothing while another one says it. Pure.

An alert of templates/prometheus/rules says by its label `explained_by` what makes it needless. Two bear none and are
spared by everything: two servers that accept writes, and a hole in the archive. Of these somebody hears in any case.
"""

from __future__ import annotations

from dataclasses import dataclass

SPARED = ("SplitBrain", "WalGap")
_NOT_SPARED = f'alertname!~"{"|".join(SPARED)}"'


@dataclass(frozen=True)
class Inhibition:
    """While an alert that `source` matches fires, nobody is told of those that `target` matches and that have the same
    `equal` labels. Matchers as Alertmanager reads them; to it, two alerts that both lack a label agree in it."""

    why: str
    source: tuple[str, ...]
    target: tuple[str, ...]
    equal: tuple[str, ...]


INHIBITIONS = (
    Inhibition(
        "A host that is gone explains all that is wrong on it.",
        source=('alertname="InstanceDown"', 'instance!=""'),
        target=(f'alertname!~"InstanceDown|{"|".join(SPARED)}"',),
        equal=("instance",),
    ),
    Inhibition(
        "A member that is away explains what its cluster lacks.",
        source=('alertname=~"InstanceDown|PostgresDown"', 'cluster!=""'),
        target=('explained_by="member"',),
        equal=("cluster",),
    ),
    Inhibition(
        "Nobody streams from a primary that is not there.",
        source=('alertname="NoPrimary"', 'cluster!=""'),
        target=('explained_by="primary"',),
        equal=("cluster",),
    ),
    Inhibition(
        "Who does not stream falls behind.",
        source=('alertname="ReplicaDisconnected"', 'instance!=""'),
        target=('explained_by="stream"',),
        equal=("cluster", "instance"),
    ),
    Inhibition(
        "What cannot be archived waits.",
        source=('alertname="ArchiverFailing"', 'cluster!=""'),
        target=('explained_by="archiver"',),
        equal=("cluster",),
    ),
    Inhibition(
        "What is wrong with the cluster as a whole follows from what is wrong with a part of it.",
        source=('severity="page"', 'alertname!="FailoverNotReady"', 'cluster!=""'),
        target=('explained_by="page"',),
        equal=("cluster",),
    ),
    Inhibition(
        "Who was woken needs no ticket for the same.",
        source=('severity="page"',),
        target=('severity="ticket"', _NOT_SPARED),
        equal=("alertname", "cluster", "instance", "database", "service", "target", "repository", "sequence", "route"),
    ),
)
