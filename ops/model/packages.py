"""Versions of Debian packages against the pin of an inventory, and how a host knows when it read their index."""

from __future__ import annotations

import re

# Its time is when a host last read the index, whose files have the archive's; who clears them away takes it along.
INDEX_READ = "/var/lib/apt/lists/pend-ops-read"


def expression(pin: str) -> str:
    """`pin` as the regular expression that apt's preferences take between slashes.

    A pin without `*` also takes what a distribution hangs on a release: 2.28.1 is 2.28.1~debian12 too.
    """
    escaped = re.sub(r"[.+]", r"\\\g<0>", pin).replace("*", ".*")
    return f"^{escaped}$" if "*" in pin else f"^{escaped}([~+-].*)?$"


def satisfies(version: str | None, pin: str) -> bool:
    """Whether an installed version is what the pin asks for; every one is where there is no pin, and None never."""
    return version is not None and (not pin or re.match(expression(pin), version) is not None)


def numbers(version: str) -> tuple[int, ...]:
    """The leading numbers: 2.28.1~debian12 -> (2, 28, 1), and of the pin 2.28.* (2, 28)."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def is_behind(pin: str, version: str) -> bool:
    """Whether the pin asks for something older than `version`."""
    wanted = numbers(pin)
    return numbers(version)[: len(wanted)] > wanted
