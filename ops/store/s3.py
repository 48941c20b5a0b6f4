"""A store in a bucket that speaks S3. Conditional writes keep it from ever overwriting an object."""

from __future__ import annotations

import builtins
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from typing import TYPE_CHECKING, cast

import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
    SSLError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from ops.config import S3Repository
from ops.errors import OpsError, Unreachable
from ops.store.base import AlreadyExists, NotFound, Stored
from ops.store.credentials import Credentials

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# A body that ends early is not retried by botocore, which hands it out while it still arrives.
_BODY_CUT = (IncompleteReadError, ResponseStreamingError, ReadTimeoutError)
_CONNECTIONS = 64


class _RangeError(Exception):
    """The range does not lie within the object."""


class S3Store:
    """Objects in one bucket. Safe to share between threads."""

    def __init__(self, settings: S3Repository) -> None:
        self._settings = settings
        self._bucket = settings.bucket
        self._client = _client(settings)

    @property
    def name(self) -> str:
        return f"s3://{self._bucket} at {self._settings.endpoint}"

    def put(self, key: str, body: bytes) -> None:
        # When the answer to a PUT is lost, botocore sends it again and meets its own first success: AlreadyExists
        # may therefore mean "by us, just now". Whoever cares compares what is there with what was to be there.
        with self._answering(f"store {key}"):
            self._client.put_object(Bucket=self._bucket, Key=key, Body=body, IfNoneMatch="*")

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
                    self._client.get_object(Bucket=self._bucket, Key=key)["Body"].close()
                raise Unreachable(f"{self.name} both has and has not {key}") from error
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

    @contextmanager
    def _answering(self, what: str, *, passing: tuple[type[Exception], ...] = ()) -> Iterator[None]:
        """Turns botocore's errors into the store's three answers: yes, no, and no answer."""
        try:
            yield
        except passing:
            raise
        except (BotoCoreError, ClientError, OSError) as error:
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
        return Unreachable(
            f"could not {what}: {self.name} refused",
            detail=f"HTTP {status}, {code}: {error.response.get('Error', {}).get('Message', '')}",
            hint=self._hint(error),
        )

    def _hint(self, error: Exception) -> str:
        if isinstance(error, SSLError):
            return "Compare repository.ca_file with the authority of the store's certificate, and the names in it."
        if isinstance(error, BotoConnectionError):
            return "See that the store runs and that this host can reach it."
        status = _status(error) if isinstance(error, ClientError) else 0
        if status in (401, 403):
            return (
                f"Compare the keys in {self._settings.credentials_file}, this host's clock, and the bucket's policy: "
                "it must allow listing, else a missing object looks forbidden."
            )
        if status == 404:
            return f"Create the bucket {self._bucket!r}, or correct repository.bucket in the configuration."
        return "See the store's own log."


def _client(settings: S3Repository) -> S3Client:
    credentials = Credentials.read(settings.credentials_file)
    # Only our own settings count: not the AWS profile of whoever started PostgreSQL or ran this by hand.
    nowhere = (None, None, os.devnull, None)
    variables = {"profile": (None, None, None, None), "config_file": nowhere, "credentials_file": nowhere}
    # Without boto3 on top, which adds resources that nobody here uses, and 20 ms to each WAL segment.
    client = botocore.session.Session(session_vars=variables).create_client(
        "s3",
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        aws_session_token=credentials.session_token,
        region_name=settings.region,
        endpoint_url=settings.endpoint,
        verify=str(settings.ca_file) if settings.ca_file else None,
        config=Config(
            connect_timeout=settings.connect_timeout,
            read_timeout=settings.read_timeout,
            retries={"mode": "standard", "total_max_attempts": settings.attempts},
            s3={"addressing_style": "path" if settings.path_style else "virtual"},
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
