"""A store in a bucket that speaks S3. Conditional writes keep it from ever overwriting an object."""

from __future__ import annotations

import base64
import builtins
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    IncompleteReadError,
    NoCredentialsError,
    ReadTimeoutError,
    ResponseStreamingError,
    SSLError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError
from urllib3.exceptions import HTTPError  # botocore lets it through where the body of an error is cut short

from ops.config import S3Repository
from ops.errors import OpsError, Unreachable
from ops.store.base import AlreadyExists, Forbidden, NotFound, Stored, Traits
from ops.store.credentials import Credentials

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# A body that ends early is not retried by botocore, which hands it out while it still arrives.
_BODY_CUT = (IncompleteReadError, ResponseStreamingError, ReadTimeoutError)
_CONNECTIONS = 64
# The ways in which a host or container learns of its role, by botocore's names.
_ROLES = ("assume-role-with-web-identity", "container-role", "iam-role")


class _RangeError(Exception):
    """The range does not lie within the object."""


class S3Store:
    """Objects in one bucket. Safe to share between threads."""

    def __init__(self, settings: S3Repository) -> None:
        self._settings = settings
        self._bucket = settings.bucket
        self._client = _client(settings)
        self._with_each = _with_each(settings)

    @property
    def name(self) -> str:
        return f"s3://{self._bucket} at {self._settings.endpoint}"

    def put(self, key: str, body: bytes) -> None:
        # When the answer to a PUT is lost, botocore sends it again and meets its own first success: AlreadyExists
        # may therefore mean "by us, just now". Whoever cares compares what is there with what was to be there.
        with self._answering(f"store {key}"):
            self._client.put_object(Bucket=self._bucket, Key=key, Body=body, IfNoneMatch="*", **self._with_each)

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        if length == 0 or (offset < 0 and length is not None):
            # HTTP can say neither an empty range nor one that counts from the end and stops before it.
            size = self.head(key).size
            offset = offset if offset >= 0 else size + offset
            if not 0 <= offset <= size:
                raise ValueError(f"{key} has {size} bytes; asked for {length} from {offset}")
            if length == 0:
                return b""
        try:
            with self._answering(f"read {key}", passing=(_RangeError,)):
                body = self._read(key, _range(offset, length))
        except _RangeError:
            size = self.head(key).size
            if length is None and offset in (size, -size):
                return b""
            raise ValueError(f"{key} has {size} bytes; asked for {length or 'all'} from {offset}") from None
        wanted = -offset if offset < 0 else length
        if wanted is not None and len(body) != wanted:
            raise ValueError(f"{key} has no {wanted} bytes from {offset} on, only {len(body)}")
        return body

    def _read(self, key: str, span: str | None) -> bytes:
        attempt = 1
        while True:
            try:
                if span:
                    answer = self._client.get_object(Bucket=self._bucket, Key=key, Range=span)
                else:
                    answer = self._client.get_object(Bucket=self._bucket, Key=key)
            except ClientError as error:
                if _status(error) == 416:
                    raise _RangeError from None
                raise
            try:
                return answer["Body"].read()
            except _BODY_CUT:
                if attempt == self._settings.attempts:
                    raise
            attempt += 1

    def head(self, key: str) -> Stored:
        try:
            with self._answering(f"look at {key}", passing=(ClientError,)):
                answer = self._client.head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if _status(error) == 404:
                # The answer to HEAD has no body, so that it cannot tell a missing key from a missing bucket.
                with self._answering(f"look at {key}"):
                    found = self._client.get_object(Bucket=self._bucket, Key=key)
                found["Body"].close()  # it came between the two questions
                return Stored(key, found["ContentLength"], found["LastModified"].astimezone(UTC))
            raise self._translate(error, f"look at {key}") from error
        return Stored(key, answer["ContentLength"], answer["LastModified"].astimezone(UTC))

    def list(self, prefix: str) -> Iterator[Stored]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        with self._answering(f"list {prefix}"):
            found = [
                Stored(item["Key"], item["Size"], item["LastModified"].astimezone(UTC))
                for page in pages
                for item in page.get("Contents", [])
                if not item["Key"].endswith("/")  # some stores show folders as empty objects
            ]
        # S3 lists by key; a store on top of a file system goes folder by folder, where "a/b" precedes "a.b".
        yield from sorted(found, key=lambda stored: stored.key)

    def folders(self, prefix: str) -> builtins.list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix, Delimiter="/"
        )
        with self._answering(f"list {prefix}"):
            return sorted(
                item["Prefix"].removeprefix(prefix).rstrip("/")
                for page in pages
                for item in page.get("CommonPrefixes", [])
            )

    def delete(self, key: str) -> None:
        with self._answering(f"delete {key}"):
            self._client.delete_object(Bucket=self._bucket, Key=key)

    def traits(self, key: str) -> Traits:
        return Traits(self._checks(key), self._versioning(), self._object_lock())

    def _checks(self, key: str) -> bool | None:
        """Whether a body that does not have the SHA-256 that came with it is refused."""
        wrong = base64.b64encode(hashlib.sha256(b"other bytes").digest()).decode()
        try:
            with self._answering(f"store {key}", passing=(ClientError,)):
                self._client.put_object(Bucket=self._bucket, Key=key, Body=b"some bytes", ChecksumSHA256=wrong)
        except ClientError as error:
            return True if _status(error) == 400 else None
        with suppress(Unreachable):  # a store that lets nobody delete keeps it
            self.delete(key)
        return False

    def _versioning(self) -> str | None:
        try:
            with self._answering("ask for versioning", passing=(ClientError,)):
                return self._client.get_bucket_versioning(Bucket=self._bucket).get("Status", "off").lower()
        except ClientError:  # not implemented, or not for our eyes
            return None

    def _object_lock(self) -> str | None:
        try:
            with self._answering("ask for Object Lock", passing=(ClientError,)):
                answer = self._client.get_object_lock_configuration(Bucket=self._bucket)
        except ClientError as error:
            known = error.response.get("Error", {}).get("Code") == "ObjectLockConfigurationNotFoundError"
            return "off" if known else None
        found = answer.get("ObjectLockConfiguration", {})
        if found.get("ObjectLockEnabled") != "Enabled":
            return "off"
        default = found.get("Rule", {}).get("DefaultRetention", {})
        if not default:
            return "on"
        period = f"{default['Days']} days" if "Days" in default else f"{default.get('Years')} years"
        return f"on, {default.get('Mode')} for {period}"

    @contextmanager
    def _answering(self, what: str, *, passing: tuple[type[Exception], ...] = ()) -> Iterator[None]:
        """Turns botocore's errors into the store's three answers: yes, no, and no answer."""
        try:
            yield
        except passing:
            raise
        except (BotoCoreError, ClientError, HTTPError, OSError) as error:
            raise self._translate(error, what) from error

    def _translate(self, error: Exception, what: str) -> OpsError:
        if not isinstance(error, ClientError):
            return Unreachable(
                f"could not {what}: {self.name} does not answer", detail=str(error), hint=self._hint(error)
            )
        status = _status(error)
        code = error.response.get("Error", {}).get("Code", "")
        if status == 404 and code in ("NoSuchKey", "404", "NotFound"):
            return NotFound(f"could not {what}: it is not in {self.name}")
        if status in (409, 412):
            return AlreadyExists(f"could not {what}: it is already in {self.name}")
        return (Forbidden if status == 403 else Unreachable)(
            f"could not {what}: {self.name} refused",
            detail=f"HTTP {status}, {code}: {error.response.get('Error', {}).get('Message', '')}",
            hint=self._hint(error),
        )

    def _hint(self, error: Exception) -> str:
        if isinstance(error, SSLError):
            return "Compare repository.ca_file with the authority of the store's certificate, and the names in it."
        if isinstance(error, NoCredentialsError):
            return "Name repository.credentials_file in the configuration, or give this host a role."
        if isinstance(error, BotoConnectionError):
            return "See that the store runs and that this host can reach it."
        status = _status(error) if isinstance(error, ClientError) else 0
        if status in (401, 403):
            return (
                f"Compare {self._settings.credentials_file or 'the role'}, this host's clock, and the bucket's policy: "
                "it must allow listing, else a missing object looks forbidden."
            )
        if status == 404:
            return f"Create the bucket {self._bucket!r}, or correct repository.bucket in the configuration."
        return "See the store's own log."


def _with_each(settings: S3Repository) -> Any:
    """What is said with every object that is put: how the store is to encrypt, keep and tag it."""
    said = {
        "ServerSideEncryption": settings.sse,
        "SSEKMSKeyId": settings.kms_key,
        "StorageClass": settings.storage_class,
        "Tagging": urlencode(settings.tags),
    }
    return {name: value for name, value in said.items() if value}


def _session(settings: S3Repository) -> botocore.session.Session:
    """botocore with our own credentials, or those of the role that this host or container has, and nobody else's."""
    # Only our own settings count: not the AWS profile of whoever started PostgreSQL or ran this by hand.
    nowhere = (None, None, os.devnull, None)
    variables = {"profile": (None, None, None, None), "config_file": nowhere, "credentials_file": nowhere}
    session = botocore.session.Session(session_vars=variables)
    if settings.credentials_file is not None:
        own = Credentials.read(settings.credentials_file, settings.profile)
        session.set_credentials(own.access_key, own.secret_key, own.session_token)
        return session
    chain = session.get_component("credential_provider")
    chain.providers = [provider for provider in chain.providers if provider.METHOD in _ROLES]
    return session


def _client(settings: S3Repository) -> S3Client:
    # Without boto3 on top, which adds resources that nobody here uses, and 20 ms to each WAL segment.
    client = _session(settings).create_client(
        "s3",
        region_name=settings.region,
        endpoint_url=settings.endpoint,
        verify=str(settings.ca_file) if settings.ca_file else None,
        config=Config(
            connect_timeout=settings.connect_timeout,
            read_timeout=settings.read_timeout,
            retries={"mode": "standard", "total_max_attempts": settings.attempts},
            s3={
                "addressing_style": "path" if settings.path_style else "virtual",
                # TLS keeps a body whole on its way. Its SHA-256 in the signature would cost us and the store as much
                # as sealing it did; what a reader believes is the digest inside of the object.
                "payload_signing_enabled": not settings.endpoint.startswith("https:"),
            },
            # The checksums that boto3 adds of its own accord since 1.36 are refused by some stores.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            max_pool_connections=_CONNECTIONS,
            tcp_keepalive=True,
        ),
    )
    return cast("S3Client", client)


def _range(offset: int, length: int | None) -> str | None:
    """The HTTP range header for `length` bytes from `offset`; None for everything."""
    if offset < 0:
        return f"bytes={offset}"
    if length is not None:
        return f"bytes={offset}-{offset + length - 1}"
    return f"bytes={offset}-" if offset else None


def _status(error: ClientError) -> int:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
