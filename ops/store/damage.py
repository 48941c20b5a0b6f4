"""What is wrong with a stored object when it is there and cannot be believed."""

from __future__ import annotations

from ops.errors import OpsError


class Damaged(OpsError):
    """A stored object is not what was put there."""


class Foreign(OpsError):
    """A stored object belongs to another cluster: its system identifier is not ours."""
