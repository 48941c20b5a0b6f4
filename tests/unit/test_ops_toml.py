"""What the deploy writes as /etc/ops/ops.toml is what `ops` on the host accepts, whatever the inventory says."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

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


def test_main_is_what_the_first_repository_is_called() -> None:
    config = written(others={"offsite": PLAIN})
    assert config.at(None) is config.at("main") is config
    with pytest.raises(UsageError, match="no repository 'offsit'"):
        config.at("offsit")
    with pytest.raises(UsageError, match="mistake"):
        written(others={"main": PLAIN})
