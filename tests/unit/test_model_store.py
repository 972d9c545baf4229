"""Models in a store, which a folder of this machine stands in for: what pyarrow does with S3 has its own tests."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from spark_prox import model_store
from spark_prox.errors import InputError, ModelError
from spark_prox.models import model_directory, model_fingerprint, pinned_path
from spark_prox.sources import store_folder
from spark_prox.sources.hadoop_listing import HadoopEntry
from spark_prox.sources.object_store import ObjectStores

URI = "s3a://models/tiny"


class Store(ObjectStores):
    """Gives a folder for every URI, and counts how often it was asked."""

    folder: Path
    asked: int = 0

    def resolve(self, uri: str) -> tuple[object, str]:  # type: ignore[override]
        from pyarrow.fs import LocalFileSystem

        object.__setattr__(self, "asked", self.asked + 1)
        if "bucketless" in uri:
            raise OSError("When listing: AWS Error NO_SUCH_BUCKET during ListObjectsV2 operation: no")
        if "secret" in uri:
            raise OSError("When listing: AWS Error ACCESS_DENIED during ListObjectsV2 operation: no")
        if "wrong-key" in uri:
            raise OSError("When listing: AWS Error INVALID_ACCESS_KEY_ID during ListObjectsV2 operation: no")
        if "away" in uri:
            raise OSError("When listing: AWS Error NETWORK_CONNECTION during ListObjectsV2 operation: curlCode: 7")
        return LocalFileSystem(), str(self.folder / uri.removeprefix("s3a://models/"))


@pytest.fixture
def store(tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    shutil.copytree(tiny_llama, tmp_path / "bucket" / "tiny")
    (tmp_path / "bucket" / "tiny" / "optimizer.pt").write_bytes(b"not ours")
    (tmp_path / "bucket" / "empty").mkdir()
    stores = Store()
    object.__setattr__(stores, "folder", tmp_path / "bucket")
    monkeypatch.setenv("SPARK_PROX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(model_store, "_stores", stores)
    forget()
    yield stores
    forget()


def forget() -> None:
    """As in another process of this host."""
    model_store._cache.cache_clear()
    model_store.stored_directory.cache_clear()


def test_a_folder_of_a_store_is_fetched_once_a_host(store: Store, tiny_llama: Path) -> None:
    pinned = pinned_path(URI)
    folder = model_directory(pinned)
    assert {file.name for file in folder.iterdir()} == {file.name for file in tiny_llama.iterdir()}
    assert model_fingerprint(pinned) == model_fingerprint(str(tiny_llama))  # the revision is that of the files
    asked = store.asked
    forget()
    assert model_directory(pinned) == folder
    assert store.asked == asked


@pytest.mark.usefixtures("store")
def test_of_workers_that_come_at_once_one_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    downloads: list[Path] = []
    download = model_store._download
    monkeypatch.setattr(
        model_store, "_download", lambda model, folder: (downloads.append(folder), download(model, folder))
    )
    model = model_store.pinned_stored_model(model_store.StoredModel(uri=URI))
    alone = model_store.stored_directory.__wrapped__
    threads = [threading.Thread(target=alone, args=(model,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(downloads) == 1
    left = [entry.name for entry in downloads[0].parent.iterdir() if entry.suffix != ".lock"]
    assert left == [downloads[0].name]  # no draft stays


def test_a_served_model_leaves_its_weights_in_the_store(store: Store) -> None:
    folder = model_directory(pinned_path(URI, tokenizer_only=True), weights=False)
    assert not list(folder.glob("*.safetensors"))
    assert store.folder.joinpath("tiny", "model.safetensors").is_file()


def test_a_folder_that_changed_since_is_another_model(store: Store) -> None:
    pinned = pinned_path(URI)
    (store.folder / "tiny" / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="MODEL_CHANGED"):
        model_directory(pinned)
    assert pinned_path(URI) != pinned


def test_each_reason_has_a_code(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("nowhere", "empty", "bucketless"):
        with pytest.raises(ModelError, match="MODEL_NOT_FOUND"):
            pinned_path(f"s3a://models/{name}")
    for name in ("secret", "wrong-key"):
        with pytest.raises(ModelError, match="MODEL_GATED"):
            pinned_path(f"s3a://models/{name}")
    with pytest.raises(ModelError, match=r"MODEL_OFFLINE.*NETWORK_CONNECTION"):
        pinned_path("s3a://models/away")
    pinned = pinned_path(URI)
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
        with pytest.raises(ModelError, match="MODEL_NO_SPACE"):
            model_directory(pinned)
    assert store.asked


@pytest.mark.parametrize(
    ("error", "code", "word"),
    [
        (FileNotFoundError("hdfs://away/models/tiny"), "MODEL_NOT_FOUND", "config.json"),
        (PermissionError("AccessControlException on hdfs://away/models/tiny"), "MODEL_GATED", "permissions"),
        (OSError("UnsupportedFileSystemException on hdfs://away/models/tiny"), "MODEL_OFFLINE", r"\(UnsupportedFile"),
        (InputError("STORE_UNREADABLE", "'x' cannot be read (ConnectException)."), "MODEL_OFFLINE", "ConnectException"),
    ],
)
def test_hdfs_has_the_same_codes(monkeypatch: pytest.MonkeyPatch, error: Exception, code: str, word: str) -> None:
    def fails(uri: str, settings: object) -> list[HadoopEntry]:
        raise error

    monkeypatch.setattr(store_folder, "files_in_folder", fails)
    with pytest.raises(ModelError, match=rf"{code}.*hdfs://away/models/tiny.*{word}"):
        pinned_path("hdfs://away/models/tiny")


def test_a_folder_of_hdfs_is_listed_and_read_by_hadoops_client(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[tuple[str, object]] = []

    def entries(uri: str, settings: object) -> list[HadoopEntry]:
        listed.append((uri, settings))
        files = sorted(tiny_llama.iterdir(), reverse=True)
        return [HadoopEntry(uri=f"{uri}/{f.name}", name=f.name, size=f.stat().st_size, modified=7) for f in files]

    monkeypatch.setattr(store_folder, "files_in_folder", entries)
    monkeypatch.setattr(ObjectStores, "open", lambda _, uri: (tiny_llama / uri.rpartition("/")[2]).open("rb"))
    monkeypatch.setattr(model_store, "_stores", ObjectStores.of({}, {"fs.defaultFS": "hdfs://here"}))
    monkeypatch.setenv("SPARK_PROX_CACHE", str(tmp_path / "cache"))
    forget()
    pinned = pinned_path("hdfs:///models/tiny")
    assert model_fingerprint(pinned) == model_fingerprint(str(tiny_llama))
    assert set(listed) == {("hdfs:///models/tiny", (("fs.defaultFS", "hdfs://here"),))}
    forget()
