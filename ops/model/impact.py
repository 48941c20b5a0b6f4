"""What a change does to a running fleet: the words of `ops plan`, from harmless to final."""

from __future__ import annotations

from enum import StrEnum


class Impact(StrEnum):
    """`switchover` is a restart that includes the primary: replicas first, then one switchover."""

    NONE = "no impact"
    RELOAD = "reload"
    RESTART = "restart"
    SWITCHOVER = "switchover"
    DESTRUCTIVE = "destructive"
