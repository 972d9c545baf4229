"""Reads from an exception of S3A which of jar, credentials, endpoint or bucket is wrong.

S3A reports all of them as an AccessDeniedException or an IOException with a page of Java behind it; the reason is a
word somewhere in that page. Knows no pyspark: an exception's text holds the whole chain of its causes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["S3Fault", "s3_fault"]


@dataclass(frozen=True, kw_only=True)
class S3Fault:
    """One thing that is wrong.

    Attributes:
        part: jar, credentials, endpoint or bucket.
        what: a clause for the middle of a sentence.
        fix: what to do.
    """

    part: str
    what: str
    fix: str


_JAR = (
    "See docs/cluster.md: hadoop-aws in the version of Spark's Hadoop, and the AWS SDK bundle that it was built with."
)
_KEYS = "Give keys of this store: fs.s3a.access.key and fs.s3a.secret.key, a profile or a role. See docs/cluster.md."
_ENDPOINT = "Check fs.s3a.endpoint, fs.s3a.path.style.access and fs.s3a.connection.ssl.enabled."
_RULES = (
    ("jar", r"No FileSystem for scheme \"?s3n?\b",
     "it begins with s3://, and Spark's client of S3 is called s3a", "Write s3a://BUCKET/... instead."),
    ("jar", r"No FileSystem for scheme \"?s3a\"?|Class org\.apache\.hadoop\.fs\.s3a\.S3AFileSystem not found",
     "S3A's jar, hadoop-aws, is not on Spark's class path", _JAR),
    ("jar", r"NoClassDefFoundError: (?:software/amazon|com/amazonaws)|ClassNotFoundException: software\.amazon",
     "the AWS SDK's jar, bundle, is not on Spark's class path", _JAR),
    ("jar", r"(?:NoSuchMethodError|AbstractMethodError|IncompatibleClassChangeError|NoSuchFieldError)\b",
     "the versions of hadoop-aws, the AWS SDK bundle and Spark's Hadoop do not fit together", _JAR),
    ("bucket", r"UnknownStoreException|NoSuchBucket|The specified bucket does not exist|Bucket does not exist",
     "there is no such bucket at this endpoint",
     "Create the bucket, or check its name and fs.s3a.endpoint: no job creates one."),
    ("credentials", r"ExpiredToken|TokenRefreshRequired|InvalidToken",
     "the session token is no longer valid", "Get new temporary keys, or use a provider that renews them."),
    ("credentials", r"InvalidAccessKeyId|SignatureDoesNotMatch|AuthFailure", "the keys are wrong", _KEYS),
    ("credentials", r"NoAwsCredentials|NoAuthWithAWSException|Unable to load credentials|No AWS Credentials",
     "no keys were found", _KEYS),
    ("endpoint", r"AWSRedirectException|AuthorizationHeaderMalformed|PermanentRedirect|IllegalLocationConstraint",
     "the bucket is in another region", "Set fs.s3a.endpoint.region, or fs.s3a.bucket.NAME.endpoint.region, to it."),
    ("endpoint", r"UnknownHostException|ConnectException|Connection refused|NoRouteToHost|ConnectTimeout|connect timed",
     "nothing answers at the endpoint", _ENDPOINT),
    ("endpoint", r"SSLException|SSLHandshakeException|Unsupported or unrecognized SSL message|NoHttpResponseException",
     "what answers at the endpoint speaks another protocol", _ENDPOINT),
    ("endpoint", r"SlowDown|Status Code: 503|AWSServiceThrottled", "the store is too busy",
     "Run again later; more patience is fs.s3a.retry.throttle.limit and fs.s3a.attempts.maximum."),
    ("credentials", r"AccessDeniedException|Status Code: 403", "the keys are wrong, or may not do this",
     "Let them list the bucket, and read, write and delete its objects; anonymous access can only read."),
)  # fmt: skip


def s3_fault(text: str) -> S3Fault | None:
    """The fault that an exception's text tells of; None where it tells of none, or is no S3A's.

    Args:
        text: with its causes, as py4j gives it.
    """
    if not re.search(r"s3a|S3AFileSystem|awssdk|scheme \"?s3", text):
        return None
    for part, pattern, what, fix in _RULES:
        if re.search(pattern, text):
            return S3Fault(part=part, what=what, fix=fix)
    return None
