"""The executors' own reader on a store, without Spark: `fs.s3a.*` as data, blocks, retries, refusals."""

from __future__ import annotations

import io
import os
import pickle

import pytest

from spark_prox.errors import InputError
from spark_prox.sources import s3a_settings
from spark_prox.sources.object_store import ObjectStores
from spark_prox.sources.store_file import FIRST_BYTES, StoreFile
from tests.cloud.store import KEY, SECRET, Store

ANONYMOUS = "org.apache.hadoop.fs.s3a.AnonymousAWSCredentialsProvider"


def stores(store: Store, **more: str) -> ObjectStores:
    given = {"endpoint": store.url, "path.style.access": "true", "access.key": KEY, "secret.key": SECRET}
    given |= {key.replace("_", "."): value for key, value in more.items()}
    made = ObjectStores.of({f"fs.s3a.{key}": value for key, value in given.items()})
    return pickle.loads(pickle.dumps(made))  # as it comes to an executor


def content(made: ObjectStores, uri: str) -> bytes:
    with io.BufferedReader(StoreFile(uri, made.open(uri))) as stream:
        return stream.read()


def test_a_large_object_is_read_in_a_few_requests(store: Store) -> None:
    data = os.urandom(FIRST_BYTES + (9 << 20))
    store.put("crawl", "reader/large", data)
    before = len(store.asked)
    assert content(stores(store), "s3a://crawl/reader/large") == data
    assert store.counts(before) == {"HEAD": 1, "GET": 3}


def test_a_key_may_hold_any_character(store: Store) -> None:
    store.put("crawl", "reader/a%20b%25c/%C3%A9%2B%23%3F", b"odd")
    assert content(stores(store), "s3a://crawl/reader/a b%c/é+#?") == b"odd"


def test_a_public_object_is_read_without_a_signature(store: Store) -> None:
    store.put("public", "reader/open", b"for all")
    with pytest.raises(InputError, match=r"STORE_UNREADABLE.*s3a://crawl/x.*ACCESS_DENIED"):
        content(stores(store, aws_credentials_provider=ANONYMOUS), "s3a://crawl/x")
    made = stores(store, access_key="AKIANOBODY", bucket_public_aws_credentials_provider=ANONYMOUS)
    assert content(made, "s3a://public/reader/open") == b"for all"


def test_a_busy_store_is_asked_again(store: Store) -> None:
    data = os.urandom(12 << 20)
    store.put("crawl", "reader/busy", data)
    store.throttle_every = 2
    before = len(store.asked)
    assert content(stores(store), "s3a://crawl/reader/busy") == data
    assert {asked.status for asked in store.asked[before:]} >= {503}


def test_a_store_that_stays_busy_is_the_jobs_error(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3a_settings, "_LEAST_ATTEMPTS", 3)  # ten take a minute and a half
    store.put("crawl", "reader/closed", b"x")
    store.throttle_every = 1
    with pytest.raises(InputError, match=r"STORE_UNREADABLE"):
        content(stores(store, attempts_maximum="1"), "s3a://crawl/reader/closed")


def test_a_missing_object_is_no_error_of_the_store(store: Store) -> None:
    with pytest.raises(FileNotFoundError):
        content(stores(store), "s3a://crawl/reader/none")
