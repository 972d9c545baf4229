"""The settings of S3A, read for pyarrow's client; the servers of `tests/cloud` show that both then see one store."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import pyarrow.fs
import pytest

from spark_prox.errors import InputError
from spark_prox.sources.object_store import ObjectStores, store_error
from spark_prox.sources.s3a_settings import S3A_KEYS, S3Access, s3_access
from spark_prox.sources.store_file import BLOCK_BYTES, FIRST_BYTES, StoreFile

KEYS = {"fs.s3a.access.key": "AKID", "fs.s3a.secret.key": "hush-hush"}
PROVIDER = "fs.s3a.aws.credentials.provider"


@pytest.mark.parametrize(
    ("settings", "scheme", "endpoint", "region", "virtual_hosted"),
    [
        ({}, "https", "", "", False),
        ({"endpoint": "s3.amazonaws.com"}, "https", "", "", False),
        ({"endpoint": "s3.eu-west-1.amazonaws.com"}, "https", "", "eu-west-1", False),
        ({"endpoint": "https://s3-us-west-2.amazonaws.com/"}, "https", "", "us-west-2", False),
        ({"endpoint.region": "eu-north-1"}, "https", "", "eu-north-1", False),
        (
            {"endpoint.region": "eu-north-1", "path.style.access": "true"},
            "https",
            "s3.eu-north-1.amazonaws.com",
            "eu-north-1",
            False,
        ),
        ({"endpoint": "minio:9000", "path.style.access": "TRUE"}, "https", "minio:9000", "", False),
        (
            {"endpoint": "minio:9000", "path.style.access": "true", "connection.ssl.enabled": "false"},
            "http",
            "minio:9000",
            "",
            False,
        ),
        ({"endpoint": "http://minio:9000"}, "http", "minio:9000", "", True),
        (
            {"endpoint": "https://0123.r2.cloudflarestorage.com", "endpoint.region": "auto"},
            "https",
            "0123.r2.cloudflarestorage.com",
            "auto",
            True,
        ),
        (
            {"endpoint": "bucket.vpce-1a2b.s3.eu-west-1.vpce.amazonaws.com"},
            "https",
            "bucket.vpce-1a2b.s3.eu-west-1.vpce.amazonaws.com",
            "eu-west-1",
            True,
        ),
    ],
)
def test_an_endpoint_is_read_as_s3a_reads_it(
    settings: dict[str, str], scheme: str, endpoint: str, region: str, virtual_hosted: bool
) -> None:
    access = s3_access({f"fs.s3a.{key}": value for key, value in settings.items()}, "b")
    found = (access.scheme, access.endpoint, access.region, access.virtual_hosted)
    assert found == (scheme, endpoint, region, virtual_hosted)


def test_the_first_provider_that_can_serve_gives_the_credentials() -> None:
    token = {**KEYS, "fs.s3a.session.token": "passing"}
    assert s3_access(KEYS, "b") == S3Access(access_key="AKID", secret_key="hush-hush")
    assert s3_access(token, "b").session_token == "passing"
    simple = {**token, PROVIDER: "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider"}
    assert s3_access(simple, "b") == S3Access(access_key="AKID", secret_key="hush-hush")
    anonymous = {**KEYS, PROVIDER: "org.apache.hadoop.fs.s3a.AnonymousAWSCredentialsProvider"}
    assert s3_access(anonymous, "b") == S3Access(anonymous=True)
    profile = {**KEYS, PROVIDER: "software.amazon.awssdk.auth.credentials.ProfileCredentialsProvider"}
    assert s3_access(profile, "b") == S3Access()
    assert s3_access({}, "b") == S3Access()


def test_a_role_is_assumed_where_s3a_assumes_it() -> None:
    role = {
        PROVIDER: "org.apache.hadoop.fs.s3a.auth.AssumedRoleCredentialProvider",
        "fs.s3a.assumed.role.arn": "arn:aws:iam::1:role/reader",
        "fs.s3a.assumed.role.session.name": "prox",
    }
    assert s3_access(role, "b") == S3Access(role_arn="arn:aws:iam::1:role/reader", session_name="prox")


def test_what_is_said_for_one_bucket_goes_before_what_is_said_for_all() -> None:
    """Common Crawl's public bucket as input, a bucket of one's own as warehouse."""
    settings = {
        **KEYS,
        f"fs.s3a.bucket.commoncrawl.{PROVIDER.removeprefix('fs.s3a.')}": "x.AnonymousCredentialsProvider",
    }
    stores = ObjectStores.of(settings)
    assert s3_access(dict(stores.settings), "commoncrawl").anonymous
    assert s3_access(dict(stores.settings), "mine").access_key == "AKID"


def test_a_proxy_and_the_number_of_attempts_are_taken_over() -> None:
    access = s3_access({"fs.s3a.proxy.host": "p", "fs.s3a.proxy.port": "3128", "fs.s3a.attempts.maximum": "25"}, "b")
    assert (access.proxy_scheme, access.proxy_host, access.proxy_port, access.max_attempts) == ("http", "p", 3128, 25)
    assert s3_access({"fs.s3a.attempts.maximum": "2"}, "b").max_attempts == 10


def test_a_bucket_that_wants_to_be_paid_is_refused_before_anything_is_read() -> None:
    with pytest.raises(InputError, match=r"STORE_REQUESTER_PAYS.*'b'"):
        ObjectStores.of({"fs.s3a.requester.pays.enabled": "true"}).resolve("s3a://b/x")


def test_no_text_of_the_settings_shows_a_secret() -> None:
    secrets = {**KEYS, "fs.s3a.session.token": "passing", "fs.s3a.proxy.password": "proxy-word"}
    assert set(secrets) <= set(S3A_KEYS)
    stores = ObjectStores.of({**secrets, "fs.s3a.proxy.host": "p", "fs.s3a.endpoint": "localhost:1"})
    copy = pickle.loads(pickle.dumps(stores))
    assert copy == stores
    shown = " ".join(map(repr, (copy, s3_access(dict(stores.settings), "b"), copy.resolve("s3a://b/x"))))
    assert not [value for value in secrets.values() if value in shown]


def test_a_key_is_no_uri() -> None:
    stores = ObjectStores.of({**KEYS, "fs.s3a.endpoint": "http://127.0.0.1:1", "fs.s3a.path.style.access": "true"})
    one, path = stores.resolve("s3a://b/a b/k%20y=v/what?#/x.gz")
    assert path == "b/a b/k%20y=v/what?#/x.gz"
    assert stores.resolve("s3a://b/another")[0] is one  # one client, not one for each file


REFUSED = (
    "When reading information for key 'k' in bucket 'b': AWS Error {} during HeadObject operation: No response body."
)


@pytest.mark.parametrize(
    ("error", "is_the_store"),
    [
        (OSError(REFUSED.format("ACCESS_DENIED")), True),
        (OSError(REFUSED.format("SLOW_DOWN (HTTP status 503)")), True),
        (OSError(REFUSED.format("NETWORK_CONNECTION")), True),
        (OSError(REFUSED.format("INVALID_OBJECT_STATE")), False),  # in an archive tier: this object alone
        (OSError(REFUSED.format("NO_SUCH_KEY")), False),
        (OSError(REFUSED.format("UNKNOWN (HTTP status 404)")), False),
        (FileNotFoundError("gone"), False),
        (OSError("not a gzip file"), False),
    ],
)
def test_a_store_that_says_no_is_told_from_an_object_that_is_broken(error: OSError, is_the_store: bool) -> None:
    found = store_error("s3a://b/k", error)
    assert (found is not None) == is_the_store
    assert found is None or (found.code == "STORE_UNREADABLE" and "s3a://b/k" in found.what)


class CountingFile:
    """A file of pyarrow's, and how often it is asked."""

    def __init__(self, path: Path) -> None:
        self.file = pyarrow.fs.LocalFileSystem().open_input_file(str(path))
        self.asked: list[tuple[int, int]] = []

    def size(self) -> int:
        return int(self.file.size())

    def read_at(self, count: int, offset: int) -> bytes:
        self.asked.append((offset, count))
        return bytes(self.file.read_at(count, offset))

    def close(self) -> None:
        self.file.close()


def test_a_file_is_read_in_a_few_large_blocks(tmp_path: Path) -> None:
    content = bytes(range(251)) * 40_000  # 10 MB
    path = tmp_path / "file"
    path.write_bytes(content)
    file = CountingFile(path)
    with io.BufferedReader(StoreFile("s3a://b/file", file, 5)) as stream:  # type: ignore[arg-type]
        pieces = list(iter(lambda: stream.read(30_001), b""))
    assert b"".join(pieces) == content[5:]
    rest = len(content) - 5 - FIRST_BYTES
    sizes = [FIRST_BYTES, BLOCK_BYTES, rest - BLOCK_BYTES]
    assert [count for _, count in sorted(file.asked)] == sizes
    assert file.file.closed


def test_a_look_at_the_beginning_is_one_request(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(3 << 20))
    file = CountingFile(path)
    with io.BufferedReader(StoreFile("s3a://b/file", file)) as stream:  # type: ignore[arg-type]
        assert stream.read(8) == bytes(8)
    assert file.asked == [(0, FIRST_BYTES)]


def test_a_store_that_fails_amid_a_file_is_no_broken_file(tmp_path: Path) -> None:
    """Readers of archives take an OSError for the archive's own, and would report what was read as all there is."""

    class Throttled(CountingFile):
        def read_at(self, count: int, offset: int) -> bytes:
            if offset:
                raise OSError(REFUSED.format("SLOW_DOWN (HTTP status 503)"))
            return super().read_at(count, offset)

    path = tmp_path / "file"
    path.write_bytes(bytes(3 << 20))
    with io.BufferedReader(StoreFile("s3a://b/file", Throttled(path))) as stream:  # type: ignore[arg-type]
        assert stream.read(FIRST_BYTES) == bytes(FIRST_BYTES)
        with pytest.raises(InputError, match=r"STORE_UNREADABLE.*SLOW_DOWN, HTTP status 503"):
            stream.read(1)
