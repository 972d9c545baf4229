"""The meaning of Hadoop's S3A settings for pyarrow's S3 client: endpoint, region, addressing, credentials, proxy.

Knows the names of `fs.s3a.*` and the rules by which S3A reads them; opens nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from spark_prox.errors import InputError

__all__ = ["S3A_KEYS", "S3A_SECRETS", "S3Access", "s3_access"]

S3A_SECRETS = ("fs.s3a.access.key", "fs.s3a.secret.key", "fs.s3a.session.token", "fs.s3a.proxy.password")
"""Keys whose values are secret; a Hadoop credential provider may keep them."""

S3A_KEYS = (
    *S3A_SECRETS,
    "fs.s3a.assumed.role.arn",
    "fs.s3a.assumed.role.external.id",
    "fs.s3a.assumed.role.session.name",
    "fs.s3a.attempts.maximum",
    "fs.s3a.aws.credentials.provider",
    "fs.s3a.connection.ssl.enabled",
    "fs.s3a.endpoint",
    "fs.s3a.endpoint.region",
    "fs.s3a.path.style.access",
    "fs.s3a.proxy.host",
    "fs.s3a.proxy.port",
    "fs.s3a.proxy.ssl.enabled",
    "fs.s3a.proxy.username",
    "fs.s3a.requester.pays.enabled",
)
"""The settings of S3A that matter to a reader."""

_CENTRAL = re.compile(r"s3(?:[.-][a-z]{2}(?:-[a-z]+)+-\d)?\.amazonaws\.com(?:\.cn)?")
_REGION = re.compile(r"[.-]([a-z]{2}(?:-[a-z]+)+-\d)\.(?:vpce\.)?amazonaws\.com")
_KEYS = ("TemporaryAWSCredentialsProvider", "SimpleAWSCredentialsProvider")
_ANONYMOUS = ("AnonymousAWSCredentialsProvider", "AnonymousCredentialsProvider")
_LEAST_ATTEMPTS = 10  # pyarrow's default, 3, gives up within a second of throttling


@dataclass(frozen=True, kw_only=True)
class S3Access:
    """The way to a bucket, in the words of `pyarrow.fs.S3FileSystem`.

    Without keys, a role or `anonymous` pyarrow looks for credentials: environment, profile, container, instance.

    Attributes:
        region: "" where the store has to be asked, or the environment says.
        endpoint: `host:port`; "" for AWS.
        virtual_hosted: the bucket is a part of the host name at such an endpoint.
        max_attempts: of one request.
        proxy_host: "" for none.
    """

    anonymous: bool = False
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    role_arn: str = ""
    session_name: str = ""
    external_id: str = field(default="", repr=False)
    region: str = ""
    scheme: str = "https"
    endpoint: str = ""
    virtual_hosted: bool = False
    max_attempts: int = _LEAST_ATTEMPTS
    proxy_scheme: str = "http"
    proxy_host: str = ""
    proxy_port: int = 80
    proxy_user: str = ""
    proxy_password: str = field(default="", repr=False)


def s3_access(settings: Mapping[str, str], bucket: str) -> S3Access:
    """The way on which S3A would reach a bucket: what is said for it alone (`fs.s3a.bucket.NAME.…`) goes first.

    Raises:
        InputError: STORE_REQUESTER_PAYS: pyarrow's client cannot offer to pay.
    """
    prefix = f"fs.s3a.bucket.{bucket}."
    own = {"fs.s3a." + key.removeprefix(prefix): value for key, value in settings.items() if key.startswith(prefix)}
    found = {key: value.strip() for key, value in {**settings, **own}.items() if value.strip()}
    if _is_true(found, "fs.s3a.requester.pays.enabled"):
        raise InputError(
            "STORE_REQUESTER_PAYS",
            f"The bucket {bucket!r} is set to requester pays, which the executors' own reader cannot offer.",
            "Copy its files to a bucket of yours, or read a Delta table there, which S3A alone does.",
        )
    return _with_proxy(_with_credentials(_with_endpoint(found), found), found)


def _with_endpoint(found: Mapping[str, str]) -> S3Access:
    scheme = "https" if _is_true(found, "fs.s3a.connection.ssl.enabled", default="true") else "http"
    endpoint, region = found.get("fs.s3a.endpoint", ""), found.get("fs.s3a.endpoint.region", "")
    path_style = _is_true(found, "fs.s3a.path.style.access")
    if "://" in endpoint:
        parts = urlsplit(endpoint)
        scheme, endpoint = parts.scheme, parts.netloc
    endpoint = endpoint.rstrip("/")
    if not region and (named := _REGION.search(endpoint)):
        region = named[1]
    if _CENTRAL.fullmatch(endpoint):
        endpoint = ""
    if path_style and not endpoint and region:
        endpoint = f"s3.{region}.amazonaws.com"  # pyarrow asks by path at an endpoint that it was given only
    attempts = found.get("fs.s3a.attempts.maximum", "")
    return S3Access(
        scheme=scheme,
        endpoint=endpoint,
        region=region,
        virtual_hosted=bool(endpoint) and not path_style,
        max_attempts=max(_LEAST_ATTEMPTS, int(attempts) if attempts.isdecimal() else 0),
    )


def _with_credentials(access: S3Access, found: Mapping[str, str]) -> S3Access:
    """Add what the first provider of the list gives that can; nothing where pyarrow has to look for itself."""
    key, secret, token = (found.get(name, "") for name in S3A_SECRETS[:3])
    listed = found.get("fs.s3a.aws.credentials.provider", "") or ",".join(_KEYS)
    for name in (provider.strip().rpartition(".")[2] for provider in listed.split(",")):
        if name in _ANONYMOUS:
            return replace(access, anonymous=True)
        if name == _KEYS[0] and key and secret and token:
            return replace(access, access_key=key, secret_key=secret, session_token=token)
        if name == _KEYS[1] and key and secret:
            return replace(access, access_key=key, secret_key=secret)
        if name == "AssumedRoleCredentialProvider":
            return replace(
                access,
                role_arn=found.get("fs.s3a.assumed.role.arn", ""),
                session_name=found.get("fs.s3a.assumed.role.session.name", ""),
                external_id=found.get("fs.s3a.assumed.role.external.id", ""),
            )
        if name and name not in _KEYS:
            break  # environment, profile, container, instance: pyarrow looks in the same places
    return access


def _with_proxy(access: S3Access, found: Mapping[str, str]) -> S3Access:
    host, port = found.get("fs.s3a.proxy.host", ""), found.get("fs.s3a.proxy.port", "")
    if not host:
        return access
    secure = _is_true(found, "fs.s3a.proxy.ssl.enabled")
    return replace(
        access,
        proxy_scheme="https" if secure else "http",
        proxy_host=host,
        proxy_port=int(port) if port.isdecimal() else (443 if secure else 80),
        proxy_user=found.get("fs.s3a.proxy.username", ""),
        proxy_password=found.get("fs.s3a.proxy.password", ""),
    )


def _is_true(found: Mapping[str, str], key: str, default: str = "false") -> bool:
    return found.get(key, default).lower() == "true"
