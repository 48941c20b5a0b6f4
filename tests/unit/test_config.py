"""The configuration: every mistake is named by file, key and the nearest valid name."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from ops.config import Config, FolderRepository, S3Repository, load, nearest
from ops.errors import UsageError

S3 = """
cluster = "main"

[repository]
type = "s3"
endpoint = "https://s3.example:8333"
bucket = "wal"
credentials_file = "/etc/ops/s3"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ops.toml"
    path.write_text(S3)
    return path


def mistakes(path: Path, text: str) -> str:
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        load(path)
    assert str(path) in caught.value.message
    return str(caught.value.detail)


def test_what_is_not_said_has_a_default(file: Path) -> None:
    config = load(file)
    assert isinstance(config.repository, S3Repository)
    assert config.repository.prefix == "pend"
    assert config.postgres.user == "postgres"
    assert config.wal.compression_level == 1


def test_a_folder_needs_only_its_path(file: Path) -> None:
    file.write_text('cluster = "main"\n[repository]\ntype = "folder"\npath = "/srv/pend"\n')
    assert load(file).repository == FolderRepository(type="folder", path=Path("/srv/pend"))


def test_the_environment_names_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_CONFIG", str(file))
    assert load().cluster == "main"


def test_the_configuration_cannot_be_changed(file: Path) -> None:
    config = load(file)
    with pytest.raises(ValidationError):
        config.cluster = "other"  # type: ignore[misc]
    assert isinstance(config, Config)


@pytest.mark.parametrize(
    ("text", "key", "guess"),
    [
        (S3 + 'buckett = "x"\n', "repository.buckett", "bucket"),
        (S3 + "[wal]\ncompresion_level = 3\n", "wal.compresion_level", "compression_level"),
        (S3 + "[postgress]\nport = 1\n", "postgress", "postgres"),
        (S3 + "[drill]\nrto_second = 1\n", "drill.rto_second", "rto_seconds"),
    ],
)
def test_a_misspelt_key_is_named_with_the_one_that_was_meant(file: Path, text: str, key: str, guess: str) -> None:
    detail = mistakes(file, text)
    assert f"{key}: unknown key" in detail
    assert repr(guess) in detail


def test_all_mistakes_are_named_at_once(file: Path) -> None:
    detail = mistakes(file, S3.replace('"wal"', '"x"') + "[wal]\nlevel = 3\nstandby_patience = 0\n")
    assert [line.partition(":")[0] for line in detail.splitlines()] == [
        "repository.bucket",
        "wal.standby_patience",
        "wal.level",
    ]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (S3.replace('"main"', '"Main!"'), "cluster"),
        (S3.replace("bucket", "#bucket"), "repository.bucket"),
        (S3.replace('"s3"', '"ftp"'), "repository"),
        ("", "cluster"),
    ],
)
def test_a_value_that_cannot_be_is_named_by_its_key(file: Path, text: str, key: str) -> None:
    assert f"{key}: " in mistakes(file, text)


def test_a_file_that_is_no_toml_or_not_there_is_a_usage_error(file: Path, tmp_path: Path) -> None:
    file.write_text("cluster = main")
    with pytest.raises(UsageError, match="not valid TOML"):
        load(file)
    with pytest.raises(UsageError, match="there is no configuration"):
        load(tmp_path / "absent.toml")


def test_a_secret_in_the_wrong_place_is_not_repeated(file: Path) -> None:
    assert "hunter2" not in mistakes(file, S3 + 'secret_key = "hunter2"\n')


def test_the_nearest_name_is_none_when_nothing_is_near() -> None:
    assert nearest("buckett", ["bucket", "prefix"]) == "bucket"
    assert nearest("zzz", ["bucket", "prefix"]) is None
