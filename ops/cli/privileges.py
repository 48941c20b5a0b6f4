"""Host-side commands run as the user that PostgreSQL runs as; an administrator may call them as root."""

from __future__ import annotations

import os
import pwd

from ops.errors import UsageError


def become(user: str) -> None:
    """Drop from root to `user`, for good. Nothing happens for anybody but root; UsageError for an unknown user."""
    if os.geteuid() != 0:
        return
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        raise UsageError(
            f"there is no user {user!r} on this host",
            hint="Set postgres.user in the configuration to the user that PostgreSQL runs as.",
        ) from None
    os.initgroups(user, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    os.environ.update(HOME=account.pw_dir, USER=user, LOGNAME=user)
    os.umask(0o077)
