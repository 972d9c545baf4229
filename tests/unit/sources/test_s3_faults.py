"""Texts of exceptions as S3A and py4j give them, and which part each blames."""

from __future__ import annotations

import pytest

from spark_prox.sources.s3_faults import s3_fault

SDK = "software.amazon.awssdk.services.s3.model.S3Exception"


@pytest.mark.parametrize(
    ("text", "part", "word"),
    [
        (
            "An error occurred while calling o1.getFileSystem.\n: java.lang.RuntimeException: "
            "java.lang.ClassNotFoundException: Class org.apache.hadoop.fs.s3a.S3AFileSystem not found",
            "jar",
            "hadoop-aws",
        ),
        ('org.apache.hadoop.fs.UnsupportedFileSystemException: No FileSystem for scheme "s3a"', "jar", "hadoop-aws"),
        ('org.apache.hadoop.fs.UnsupportedFileSystemException: No FileSystem for scheme "s3"', "jar", "is called s3a"),
        (
            "java.lang.NoClassDefFoundError: software/amazon/awssdk/core/exception/SdkException\n\tat "
            "org.apache.hadoop.fs.s3a.S3AFileSystem.<init>",
            "jar",
            "bundle",
        ),
        (
            "java.lang.NoSuchMethodError: 'void x'\n\tat org.apache.hadoop.fs.s3a.S3AFileSystem.initialize",
            "jar",
            "versions",
        ),
        (
            f"java.nio.file.AccessDeniedException: x: Writing Object on x: {SDK}: InvalidAccessKeyId (Service: S3, "
            "Status Code: 403, Request ID: null):InvalidAccessKeyId",
            "credentials",
            "keys are wrong",
        ),
        (
            f"java.nio.file.AccessDeniedException: s3a://refused/x: getFileStatus on s3a://refused/x: {SDK}: Forbidden "
            "(Service: S3, Status Code: 403, Request ID: null):null",
            "credentials",
            "keys are wrong, or",
        ),
        (
            f"java.nio.file.AccessDeniedException: w: {SDK}: ExpiredToken (Service: S3, Status Code: 400)",
            "credentials",
            "token",
        ),
        (
            "org.apache.hadoop.fs.s3a.auth.NoAwsCredentialsException: SimpleAWSCredentialsProvider: No AWS credentials",
            "credentials",
            "no keys",
        ),
        (
            "org.apache.hadoop.fs.s3a.UnknownStoreException: `x': Writing Object on x: "
            "software.amazon.awssdk.services.s3.model.NoSuchBucketException: The specified bucket does not exist",
            "bucket",
            "no such bucket",
        ),
        (
            "java.net.ConnectException: s3a://b: software.amazon.awssdk.core.exception.SdkClientException: Unable to "
            "execute HTTP request: Connect to 127.0.0.1:9 failed: Connection refused",
            "endpoint",
            "nothing answers",
        ),
        ("java.net.UnknownHostException: getFileStatus on s3a://b/x: b.minio", "endpoint", "nothing answers"),
        (
            "org.apache.hadoop.fs.s3a.AWSRedirectException: getFileStatus on s3a://b/x: Received permanent redirect",
            "endpoint",
            "another region",
        ),
        (
            f"org.apache.hadoop.fs.s3a.AWSServiceThrottledException: x: {SDK}: SlowDown (Status Code: 503)",
            "endpoint",
            "busy",
        ),
    ],
)
def test_an_exception_of_s3a_says_what_is_wrong(text: str, part: str, word: str) -> None:
    fault = s3_fault(text)
    assert fault is not None
    assert fault.part == part
    assert word in fault.what
    assert fault.fix.endswith(".")


@pytest.mark.parametrize(
    "text",
    [
        "java.nio.file.AccessDeniedException: /data/w",
        "java.net.ConnectException: Call From a to b:8020 failed: Connection refused",
        "java.io.FileNotFoundException: No such file or directory: s3a://b/x",
    ],
)
def test_other_errors_have_no_fault_of_a_store(text: str) -> None:
    assert s3_fault(text) is None
