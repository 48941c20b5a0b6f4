"""What the deploy writes as /etc/ops/ops.toml is what `ops` on the host accepts, whatever the inventory says."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from pathlib import Path

import pytest

from ops.backup.expire import policy_of
from ops.config import Config, S3Repository, validate
from ops.deploys.operations import render
from ops.deploys.settings import Postgres, Repository
from ops.errors import UsageError

PLAIN = {"endpoint": "https://s3.example", "bucket": "pend-backups"}


def written(**settings: object) -> Config:
    repository = Repository.model_validate(PLAIN | settings)
    names = ["", *repository.others]
    text = render(
        "ops/ops.toml.j2",
        cluster="pg_main",
        repository=repository,
        ca_files={name: f"/ca-{name}" for name in names},
        credentials={name: f"/credentials-{name}" for name in names},
        key_directory="/etc/ops/keys",
        postgres=Postgres(),
        bin_dir="/usr/lib/postgresql/15/bin",
        data_dir=None,
        patroni_url=None,
        drill=None,
    )
    return validate(Config, tomllib.loads(text), "ops.toml")


def test_one_bucket_is_encrypted_unless_somebody_says_otherwise() -> None:
    config = written(keys=["new", "old"])
    assert (config.repository.encryption, config.keys.current) == ("aes-256-gcm", "new")
    assert config.repositories == {}
    assert written(encryption="none").repository.encryption == "none"


def test_all_that_a_site_says_of_a_bucket_arrives() -> None:
    said = {
        "tags": {"team": "pend data", "quoted": 'a "b"'}, "storage_class": "STANDARD_IA", "sse": "aws:kms",
        "kms_key": "alias/pend", "bandwidth": 10_000_000,
    }  # fmt: skip
    found = written(**said).repository
    assert isinstance(found, S3Repository)
    assert {name: getattr(found, name) for name in said} == said


def test_other_buckets_have_files_of_their_own_and_a_policy() -> None:
    config = written(others={"offsite": PLAIN | {"credentials": "role"}, "vault": PLAIN}, policy="all")
    offsite, vault = config.at("offsite").repository, config.at("vault").repository
    assert isinstance(offsite, S3Repository)
    assert isinstance(vault, S3Repository)
    assert (offsite.credentials_file, offsite.ca_file) == (None, Path("/ca-offsite"))
    assert vault.credentials_file == Path("/credentials-vault")
    assert config.wal.policy == "all"


def test_what_a_bucket_keeps_is_its_own_and_has_the_defaults_of_its_kind() -> None:
    offsite = PLAIN | {"retention": {"days": 120, "count": 5}}
    config = written(retention={"monthly_years": 0, "grace_hours": 48}, others={"offsite": offsite, "vault": PLAIN})
    main, far = policy_of(config.repository.retention, offsite=False), config.at("offsite").repository.retention
    assert (main.days, main.count, main.monthly_years, main.grace) == (30, 2, 0, timedelta(hours=48))
    assert (policy_of(far, offsite=True).days, policy_of(far, offsite=True).count) == (120, 5)
    plain = policy_of(config.at("vault").repository.retention, offsite=True)
    assert (plain.days, plain.count, plain.monthly_years, plain.grace) == (90, 2, 7, timedelta(hours=24))


def test_main_is_what_the_first_repository_is_called() -> None:
    config = written(others={"offsite": PLAIN})
    assert config.at(None) is config.at("main") is config
    with pytest.raises(UsageError, match="no repository 'offsit'"):
        config.at("offsit")
    with pytest.raises(UsageError, match="mistake"):
        written(others={"main": PLAIN})
