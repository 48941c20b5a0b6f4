"""A real SeaweedFS with TLS, buckets in it, and the two kinds of store."""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ops.config import FolderRepository, Keys, S3Repository
from ops.errors import Unreachable
from ops.model.layout import Layout
from ops.store import open_store
from ops.store.base import Store
from ops.store.repository import Repository, repository_at

from ..waiting import free_port, wait_until

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WEED = Path(sys.executable).parent / "weed"

# The administrator makes buckets. What `ops` uses may not: SeaweedFS would make a misspelt bucket on the fly.
ADMIN = ("admin", "admin-secret")
USER = ("ops-access", "ops-secret-%with-percent")


def repository_in(
    settings: S3Repository | FolderRepository, system_identifier: int, keys: Keys, *, cluster: str = "main"
) -> Repository:
    """The repository that `ops` uses with these settings."""
    layout = Layout(settings.prefix, cluster, system_identifier)
    return repository_at(open_store(settings), layout, settings.encryption, keys)


class Weed:
    """One SeaweedFS on loopback, with its certificate and its data below `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ca_file = directory / "ca.pem"
        self.log = directory / "weed.log"
        self.ports = {name: free_port() for name in ("master", "volume", "filer", "http", "https")}
        self.grpc_ports = {name: free_port() for name in ("master", "volume", "filer", "s3")}
        self.endpoint = f"https://localhost:{self.ports['https']}"
        self._process: subprocess.Popen[bytes] | None = None
        (directory / "data").mkdir()
        _make_certificate(self.ca_file, directory / "key.pem")
        self._write_identities()

    def start(self) -> None:
        """Start it, and return once it answers."""
        assert self._process is None, "it runs already"
        ports, grpc = self.ports, self.grpc_ports
        options = {
            "dir": self.directory / "data",
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "master.port": ports["master"],
            "master.port.grpc": grpc["master"],
            "master.telemetry": "false",
            "master.electionTimeout": "1s",  # a restart waits for it
            "master.volumeSizeLimitMB": 256,
            "volume.port": ports["volume"],
            "volume.port.grpc": grpc["volume"],
            "volume.max": 1000,
            "filer.port": ports["filer"],
            "filer.port.grpc": grpc["filer"],
            "s3.port": ports["http"],
            "s3.port.https": ports["https"],
            "s3.port.grpc": grpc["s3"],
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "s3.cert.file": self.ca_file,
            "s3.key.file": self.directory / "key.pem",
            "s3.config": self.directory / "identities.json",
        }
        command = [str(WEED), "server", "-filer", "-s3", *(f"-{name}={value}" for name, value in options.items())]
        with self.log.open("ab") as log:
            # One volume for each bucket instead of seven, which a run of many small buckets would exhaust.
            env = os.environ | {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1", "WEED_S3_SSE_KEY": "a key of the store's own"}
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=env)
        wait_until("SeaweedFS answers", self._answers, deadline=60, until=lambda problem: not problem)

    @property
    def pid(self) -> int:
        assert self._process is not None, "it does not run"
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL: the outage as it comes, and quicker than a stop with its grace periods. What is stored stays."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None
        for port in (*self.ports.values(), *self.grpc_ports.values()):
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink(missing_ok=True)

    def make_bucket(self, *, lock: bool = False) -> str:
        """A new, empty bucket."""
        name = f"test-{uuid.uuid4().hex[:12]}"
        client = self.admin()
        client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock)
        client.close()
        return name

    def make_locked_bucket(self) -> str:
        """One that keeps versions, each under compliance lock for a day from when it was put."""
        name = self.make_bucket(lock=True)
        client = self.admin()
        client.put_object_lock_configuration(
            Bucket=name,
            ObjectLockConfiguration={
                "ObjectLockEnabled": "Enabled",
                "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}},
            },
        )
        client.close()
        return name

    def deny_deleting(self, bucket: str) -> None:
        """From now on nobody may delete there, nor shorten what a lock keeps."""
        actions = ["DeleteObject", "DeleteObjectVersion", "BypassGovernanceRetention", "PutObjectRetention"]
        statement = {
            "Effect": "Deny", "Principal": "*", "Action": [f"s3:{action}" for action in actions],
            "Resource": f"arn:aws:s3:::{bucket}/*",
        }  # fmt: skip
        client = self.admin()
        client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
        client.close()

    def admin(self) -> S3Client:
        """A client that may do everything."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=ADMIN[0],
            aws_secret_access_key=ADMIN[1],
            verify=str(self.ca_file),
            config=Config(s3={"addressing_style": "path"}, retries={"mode": "standard", "total_max_attempts": 1}),
        )

    def settings(self, bucket: str, *, attempts: int = 2, secret: str = USER[1]) -> S3Repository:
        """A `[repository]` section for `bucket`, with a credentials file of its own."""
        credentials = self.directory / f"credentials-{uuid.uuid4().hex[:8]}"
        credentials.touch(mode=0o600)
        credentials.write_text(f"[default]\naws_access_key_id = {USER[0]}\naws_secret_access_key = {secret}\n")
        return S3Repository(
            type="s3",
            endpoint=self.endpoint,
            bucket=bucket,
            ca_file=self.ca_file,
            credentials_file=credentials,
            connect_timeout=2,
            read_timeout=10,
            attempts=attempts,
        )

    def _answers(self) -> str:
        """What is wrong, empty once it stores objects (its volumes come up after its ports)."""
        assert self._process is not None
        assert self._process.poll() is None, f"SeaweedFS ended: {self.log.read_text(errors='replace')[-2000:]}"
        try:
            bucket = self.make_bucket()
            open_store(self.settings(bucket, attempts=1)).put("probe", b"probe")
        except (BotoCoreError, ClientError, Unreachable) as error:
            return str(error)
        return ""

    def _write_identities(self) -> None:
        def identity(name: str, keys: tuple[str, str], actions: list[str]) -> dict[str, object]:
            credentials = [{"accessKey": keys[0], "secretKey": keys[1]}]
            return {"name": name, "credentials": credentials, "actions": actions}

        identities = [
            identity("admin", ADMIN, ["Admin", "Read", "Write", "List"]),
            identity("ops", USER, ["Read", "Write", "List"]),
        ]
        (self.directory / "identities.json").write_text(json.dumps({"identities": identities}))


def _make_certificate(certificate_file: Path, key_file: Path) -> None:
    """A self-signed certificate for localhost, which is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ops integration tests")])
    addresses = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.touch(mode=0o600)
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


@pytest.fixture(scope="session")
def weed() -> Iterator[Weed]:
    """The SeaweedFS that the whole run shares. A test that kills it starts it again before it ends."""
    # Not below pytest's own directory, which only root may enter: PostgreSQL's user reads the CA file.
    with tempfile.TemporaryDirectory(prefix="ops-weed-", ignore_cleanup_errors=True) as directory:
        os.chmod(directory, 0o755)  # noqa: PTH101
        server = Weed(Path(directory))
        server.start()
        yield server
        server.kill()


@pytest.fixture
def bucket(weed: Weed) -> str:
    return weed.make_bucket()


@pytest.fixture
def s3_settings(weed: Weed, bucket: str) -> S3Repository:
    """A `[repository]` section for an empty bucket. The credentials file is the caller's own (root's)."""
    return weed.settings(bucket)


@pytest.fixture
def folder_settings(tmp_path: Path) -> FolderRepository:
    """A `[repository]` section for an empty folder."""
    folder = tmp_path / "repository"
    folder.mkdir()
    return FolderRepository(type="folder", path=folder)


@pytest.fixture(params=["s3", "folder"])
def store(request: pytest.FixtureRequest) -> Store:
    """Each kind of store in turn, empty."""
    settings: S3Repository | FolderRepository = request.getfixturevalue(f"{request.param}_settings")
    return open_store(settings)
