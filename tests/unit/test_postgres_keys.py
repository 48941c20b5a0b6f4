"""What an inventory may say about a PostgreSQL cluster, and what becomes of it on the way to the hosts."""

from __future__ import annotations

import pytest

from ops.config import validate
from ops.deploys.postgres import dynamic_configuration
from ops.deploys.settings.postgres import Patroni, Postgres
from ops.errors import UsageError


@pytest.mark.parametrize("pin", ["15.20", "15.20-0+deb12u1", "15.20-1.pgdg120+1", ""])
def test_a_release_of_the_version_can_be_pinned(pin: str) -> None:
    assert validate(Postgres, {"version": 15, "package_version": pin}, "here").package_version == pin


@pytest.mark.parametrize(("pin", "words"), [("16.4", "is no release of version 15"), ("newest", "pattern")])
def test_another_version_or_no_version_at_all_is_refused(pin: str, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        validate(Postgres, {"version": 15, "package_version": pin}, "here")
    assert words in str(refused.value.detail)


def test_a_switch_reaches_patroni_as_postgresql_writes_it() -> None:
    postgres = Postgres(settings={"log_connections": True, "jit": False, "work_mem": "8MB"})
    parameters = dynamic_configuration(postgres, Patroni())["postgresql"]["parameters"]
    assert (parameters["log_connections"], parameters["jit"], parameters["work_mem"]) == ("on", "off", "8MB")
    assert not any(isinstance(value, bool) for value in parameters.values()), "Patroni takes True for a change of on"
