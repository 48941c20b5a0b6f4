"""The format is what docs/repository-format.md says: the reader in it, which has none of our code, reads a backup."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.config import Encryption, FolderRepository

from .fix_postgres import USER, Host

pytestmark = pytest.mark.integration

PAGE = Path(__file__).parents[2] / "docs/repository-format.md"


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("encryption", ["aes-256-gcm", "none"])
def test_the_reader_in_the_documentation_reads_a_backup(
    hosts: Callable[[str], Host], workspace: Path, encryption: Encryption
) -> None:
    repository = FolderRepository(type="folder", path=workspace / "repository", encryption=encryption)
    repository.path.mkdir()
    shutil.chown(repository.path, USER, USER)
    host = hosts("primary")
    host.initdb()
    host.write_config(repository)
    host.archive()
    host.start()
    host.sql("create table incompressible as select sha512(i::text::bytea) from generate_series(1, 10000) i")
    assert host.ops("backup", "create").returncode == 0

    found = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found, f"no reader in {PAGE}"
    script = workspace / "reader.py"
    script.write_text(found[1])
    (cluster,) = repository.path.glob("pend/main/*")
    (manifest,) = cluster.glob("backups/*/manifest")
    by_reader, by_us = workspace / "by_reader", workspace / "by_us"
    command = [sys.executable, "-I", str(script), str(cluster), manifest.parent.name, str(by_reader)]
    if encryption != "none":
        command.append(str(host.keys.directory))
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
    assert host.ops("backup", "restore", "latest", "--to", by_us).returncode == 0
    assert files(by_reader) == files(by_us)
