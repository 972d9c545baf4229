"""Settings of sessions on the test store: the shipped `conf/spark-s3.conf`, and what says where the store is."""

from __future__ import annotations

from tests.cloud.processes import CLOUD, ROOT
from tests.cloud.store import KEY, SECRET, Store
from tests.quick_spark import QUICK_JVM, QUICK_SESSION

__all__ = ["S3_CONF", "properties", "s3_session"]

S3_CONF = ROOT / "conf" / "spark-s3.conf"
_ANONYMOUS = "org.apache.hadoop.fs.s3a.AnonymousAWSCredentialsProvider"


def properties() -> dict[str, str]:
    """What the shipped file sets."""
    lines = [line for line in S3_CONF.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return {key: value.strip() for key, value in (line.split(None, 1) for line in lines)}


def s3_session(store: Store) -> dict[str, str]:
    """Settings of a session.

    The bucket `refused` is asked with keys that nobody gave, `public` without any, `nowhere` where no store is.
    """
    s3a = {
        "endpoint": store.url,
        "path.style.access": "true",  # no name server knows the buckets
        "access.key": KEY,
        "secret.key": SECRET,
        "bucket.refused.access.key": "AKIANOBODY",
        "bucket.public.aws.credentials.provider": _ANONYMOUS,
        "bucket.nowhere.endpoint": "http://127.0.0.1:9",  # nobody listens on the port for discarding
        "bucket.nowhere.attempts.maximum": "1",
        "bucket.nowhere.retry.limit": "1",
        # A bucket that is not there is known at once; only busy ones are asked again and again.
        "retry.interval": "50ms",
        "retry.throttle.interval": "50ms",
    }
    return {
        **QUICK_SESSION,
        **properties(),
        **{f"spark.hadoop.fs.s3a.{name}": value for name, value in s3a.items()},
        "spark.driver.extraClassPath": f"{CLOUD / 'jars' / 's3a'}/*",
        "spark.driver.memory": "1g",
        "spark.buffer.pageSize": "2m",
        "spark.default.parallelism": "1",
        "spark.driver.extraJavaOptions": QUICK_JVM,
    }
