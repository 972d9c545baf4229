"""Opens remote files under the settings of Spark's own Hadoop, so that both readers see one store.

Object stores are read by pyarrow, HDFS and others by Hadoop's clients (`hadoop_files`). What `fs.s3a.*` says travels to
executors as an `ObjectStores`, and becomes the arguments of pyarrow's own client there.
Knows no Spark: `spark_prox.spark.hadoop_settings` asks a session for the settings.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from spark_prox.errors import InputError
from spark_prox.sources.hadoop_files import HadoopFile
from spark_prox.sources.hadoop_system import hadoop_system
from spark_prox.sources.s3a_settings import S3Access, s3_access

if TYPE_CHECKING:
    from pyarrow import NativeFile
    from pyarrow.fs import FileSystem

__all__ = ["ObjectStores", "read_by_hadoop", "store_error"]

_SCHEMES = ("s3", "s3a", "s3n")
_OF_PYARROW = ("gs", "gcs", "abfs", "abfss", "file")
# Where pyarrow itself learns of another store, or of a region.
_VARIABLES = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION")
_FAILURE = re.compile(r"AWS Error ([A-Z][A-Z_ ]*?)(?: \(HTTP status (\d+)\))? during (\w+) operation")
_OF_ONE_OBJECT = ("NO_SUCH_KEY", "INVALID_OBJECT_STATE")


@dataclass(frozen=True, kw_only=True)
class ObjectStores:
    """The settings of S3A, as data. Its text shows none of them: there are secrets among them.

    Attributes:
        settings: keys of `S3A_KEYS`, and the same for single buckets (`fs.s3a.bucket.NAME.…`), in order.
        hadoop: what else Hadoop was told, for the file systems that its own clients read.
    """

    settings: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    hadoop: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, settings: Mapping[str, str], hadoop: Mapping[str, str] | None = None) -> ObjectStores:
        """The settings, empty ones left out."""
        found = (
            sorted((key, value) for key, value in some.items() if value.strip()) for some in (settings, hadoop or {})
        )
        return cls(settings=tuple(next(found)), hadoop=tuple(next(found)))

    def open(self, uri: str) -> NativeFile | HadoopFile:
        """A file for random access.

        Raises:
            InputError: STORE_REQUESTER_PAYS, STORE_UNREADABLE.
            OSError, ValueError: it cannot be opened.
        """
        if read_by_hadoop(uri):
            return HadoopFile(uri, self.hadoop)
        system, path = self.resolve(uri)
        try:
            return system.open_input_file(path)
        except OSError as error:
            raise store_error(uri, error) or error from None

    def resolve(self, uri: str) -> tuple[FileSystem, str]:
        """The file system of a URI and the path in it: s3a:// (s3://, s3n://) and Hadoop's by these settings.

        Raises:
            InputError: STORE_REQUESTER_PAYS.
            OSError, ValueError: there is no such file system, or it cannot be reached.
        """
        from pyarrow.fs import FileSystem

        scheme, _, path = uri.partition("://")
        if read_by_hadoop(uri):
            authority, slash, path = path.partition("/")
            return hadoop_system(f"{scheme}://{authority}", self.hadoop), (slash + path).rstrip("/")
        if scheme not in _SCHEMES:
            system, path = FileSystem.from_uri(uri)
            return system, path
        # The path is taken as it is: the key may hold characters that mean something in a URI.
        bucket = path.partition("/")[0]
        access = s3_access(dict(self.settings), bucket)
        knows = access.region or access.endpoint or any(os.environ.get(name) for name in _VARIABLES)
        region = access.region or ("us-east-1" if access.endpoint else "" if knows else _region_of(bucket))
        return _connect(access, region), path.rstrip("/")


def read_by_hadoop(uri: str) -> bool:
    """True for file systems that only Hadoop's own client reads: hdfs://, viewfs:// and others."""
    scheme, found, _ = uri.partition("://")
    return bool(found) and scheme not in (*_SCHEMES, *_OF_PYARROW)


def store_error(uri: str, error: OSError) -> InputError | None:
    """The error of a job, where a store says no for a reason that lies in no single object: credentials, throttling.

    Args:
        error: what pyarrow raised.
    """
    said = _FAILURE.search(str(error))
    if said is None or isinstance(error, FileNotFoundError) or said[1] in _OF_ONE_OBJECT or said[2] == "404":
        return None
    status = f", HTTP status {said[2]}" if said[2] else ""
    return InputError(
        "STORE_UNREADABLE",
        f"The store refused {uri!r} to the executors' reader ({said[1]}{status}, {said[3]}).",
        "Check fs.s3a.* and the credentials of the executors with jobs/doctor.py; run again when the store answers.",
    )


@lru_cache(maxsize=64)
def _connect(access: S3Access, region: str) -> FileSystem:
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

    given: dict[str, Any] = {
        "access_key": access.access_key,
        "secret_key": access.secret_key,
        "session_token": access.session_token,
        "role_arn": access.role_arn,
        "session_name": access.session_name,
        "external_id": access.external_id,
        "region": region,
        "endpoint_override": access.endpoint,
    }
    if access.proxy_host:
        proxy = {
            "scheme": access.proxy_scheme,
            "host": access.proxy_host,
            "port": access.proxy_port,
            "username": access.proxy_user,
            "password": access.proxy_password,
        }
        given["proxy_options"] = {name: value for name, value in proxy.items() if value}
    return S3FileSystem(
        **{name: value for name, value in given.items() if value},
        anonymous=access.anonymous,
        scheme=access.scheme,
        force_virtual_addressing=access.virtual_hosted,
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=access.max_attempts),
    )


@lru_cache(maxsize=64)
def _region_of(bucket: str) -> str:
    """The region in which AWS keeps a bucket; S3A finds it out too. A request that needs no credentials."""
    from pyarrow.fs import resolve_s3_region

    try:
        return str(resolve_s3_region(bucket))
    except OSError:
        return "us-east-1"
