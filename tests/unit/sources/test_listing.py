"""Which files paths name, without Spark: folders, globs, lists of paths, and addresses of the web."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest

from spark_prox.errors import InputError
from spark_prox.sources import hadoop_listing
from spark_prox.sources.http_file import HttpFile, HttpFileError
from spark_prox.sources.listing import ListedFile, file_size, list_paths
from spark_prox.sources.object_store import ObjectStores
from spark_prox.sources.opening import open_file
from spark_prox.sources.path_lists import listed_paths

CONTENT = bytes(range(256)) * 4_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a/1.warc.gz", "a/2.warc.gz", "b/3.warc.gz", "b/_SUCCESS", "b/.4.warc.gz", "b/{5}.warc.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * 10)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("a", ["1.warc.gz", "2.warc.gz"]),
        ("a/1.warc.gz", ["1.warc.gz"]),
        ("*/[13].warc.gz", ["1.warc.gz", "3.warc.gz"]),
        ("{b,a}/*.warc.gz", ["3.warc.gz", "{5}.warc.gz", "1.warc.gz", "2.warc.gz"]),
        ("b/{5}.warc.gz", ["{5}.warc.gz"]),
    ],
)
def test_paths_name_files(folder: Path, path: str, names: list[str]) -> None:
    for given in (f"{folder}/{path}", f"file://{folder}/{path}"):
        found = list_paths([given])
        assert [Path(file.path).name for file in found] == names
        assert {file.size for file in found} == {10}


class Named:
    """A path of Hadoop's, on this machine's own files."""

    def __init__(self, place: str) -> None:
        self.place = Path(place.removeprefix("hdfs://host"))

    def getFileSystem(self, _: object) -> Files:  # noqa: N802 - Hadoop's names from here on
        return Files()

    def getName(self) -> str:  # noqa: N802
        return self.place.name

    def toString(self) -> str:  # noqa: N802
        return f"hdfs://host{self.place}"


class Status:
    def __init__(self, place: Path) -> None:
        self.place = place

    def getPath(self) -> Named:  # noqa: N802
        return Named(str(self.place))

    def isDirectory(self) -> bool:  # noqa: N802
        return self.place.is_dir()

    def getLen(self) -> int:  # noqa: N802
        return self.place.stat().st_size

    def getModificationTime(self) -> int:  # noqa: N802
        return 7


class Files:
    def exists(self, path: Named) -> bool:
        return path.place.exists()

    def getFileStatus(self, path: Named) -> Status:  # noqa: N802
        return Status(path.place)

    def listStatus(self, path: Named) -> list[Status]:  # noqa: N802
        return [Status(place) for place in path.place.iterdir()]

    def globStatus(self, path: Named) -> list[Status] | None:  # noqa: N802
        return [Status(place) for place in Path("/").glob(str(path.place.relative_to("/")))] or None


def test_a_file_system_of_hadoop_is_listed_as_the_local_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jvm = SimpleNamespace(
        org=SimpleNamespace(apache=SimpleNamespace(hadoop=SimpleNamespace(fs=SimpleNamespace(Path=Named))))
    )
    monkeypatch.setattr(hadoop_listing, "hadoop", lambda settings: (jvm, settings))
    for path in ("a", "a/1.warc.gz", "*/[13].warc.gz", "{b,a}/*.warc.gz", "?/1*", "b/_SUCCESS"):
        local = list_paths([f"{folder}/{path}"])
        found = list_paths([f"hdfs://host{folder}/{path}"])
        assert [Path(file.path).name for file in found] == [Path(file.path).name for file in local]
        assert {file.size for file in found} == {file.size for file in local}
    with pytest.raises(InputError, match="INPUT_NOT_FOUND"):
        list_paths([f"hdfs://host{folder}/none*"])


def test_a_file_system_of_pyarrow_is_listed_as_the_local_one(folder: Path) -> None:
    from pyarrow.fs import FileSystem, LocalFileSystem

    class Stores(ObjectStores):
        def resolve(self, uri: str) -> tuple[FileSystem, str]:
            return LocalFileSystem(), uri.removeprefix("s3a:/")

    for path in ("a", "a/1.warc.gz", "*/[13].warc.gz", "?/1*"):
        local = list_paths([f"{folder}/{path}"])
        found = list_paths([f"s3a:/{folder}/{path}"], stores=Stores())
        assert [Path(file.path).name for file in found] == [Path(file.path).name for file in local]
    with ExitStack() as opened:
        stream = open_file(f"s3a:/{folder}/a/1.warc.gz", opened, Stores(), 3)
        assert (stream.read(4), stream.seek(8), stream.read()) == (b"xxxx", 8, b"xx")


def test_what_names_no_file_is_an_error(folder: Path) -> None:
    for path in (f"{folder}/nothing", f"{folder}/*.arc", f"{folder}/no.paths.gz"):
        with pytest.raises(InputError, match="INPUT_NOT_FOUND"):
            list_paths([path])


def test_a_list_of_paths_gets_its_prefix(folder: Path) -> None:
    listed = folder / "warc.paths.gz"
    listed.write_bytes(gzip.compress(b"crawl-data/1.warc.gz\n\n# note\ncrawl-data/2.warc.gz\ns3://other/3.warc.gz\n"))
    found = list_paths([str(listed)], prefix="https://data.example.org")
    assert [file.path for file in found] == [
        "https://data.example.org/crawl-data/1.warc.gz",
        "https://data.example.org/crawl-data/2.warc.gz",
        "s3://other/3.warc.gz",
    ]
    assert list_paths([str(listed)], max_files=1) == [ListedFile(path=f"{folder}/crawl-data/1.warc.gz")]


@pytest.mark.parametrize(
    ("where", "path"),
    [
        ("https://data.example.org/crawl-data/X/warc.paths.gz", "https://data.example.org/crawl-data/1.warc.gz"),
        ("s3a://commoncrawl/crawl-data/X/warc.paths", "s3a://commoncrawl/crawl-data/1.warc.gz"),
        ("/lists/warc.paths", "/lists/crawl-data/1.warc.gz"),
    ],
)
def test_without_a_prefix_paths_are_relative_to_where_the_list_is_from(where: str, path: str) -> None:
    assert listed_paths(b"crawl-data/1.warc.gz\n", where=where, prefix=None) == [path]


@pytest.mark.parametrize("content", [b"\x1f\x8bbroken", b"\xff\xfe\n"])
def test_a_list_that_is_none_is_an_error(content: bytes) -> None:
    with pytest.raises(InputError, match="WRONG_FORMAT"):
        listed_paths(content, where="x.paths.gz", prefix=None)


class Server(BaseHTTPRequestHandler):
    """Gives CONTENT in pieces that break off, and is busy once."""

    requests: ClassVar[list[str | None]] = []
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.requests.append(wanted)
        self.close_connection = True
        if self.path == "/missing":
            self.send_error(404)
        elif self.path == "/busy" and len(self.requests) < 3:
            self.send_error(503)
        else:
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.path != "/whole" else 0
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(CONTENT) - start))
            self.end_headers()
            end = start + 300_000 if self.path == "/breaks" else len(CONTENT)
            self.wfile.write(CONTENT[start:end])

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Server.requests = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def read(file: HttpFile) -> bytes:
    found = b""
    while piece := file.read(70_000):
        found += piece
    file.close()
    return found


@pytest.mark.parametrize("name", ["plain", "breaks", "busy", "whole"])
def test_a_file_is_read_over_http_whatever_the_connection_does(server: str, name: str) -> None:
    file = HttpFile(f"{server}/{name}", pause_s=0.0)
    assert read(file) == CONTENT
    file.seek(1_000_000)
    assert read(file) == CONTENT[1_000_000:]
    assert len(Server.requests) == {"plain": 2, "breaks": 5, "busy": 4, "whole": 2}[name]


def test_a_missing_file_is_an_error_and_an_absent_server_too(server: str) -> None:
    with pytest.raises(HttpFileError, match="HTTP status 404"):
        HttpFile(f"{server}/missing").read(1)
    with pytest.raises(HttpFileError, match="2 requests failed"):
        HttpFile("http://127.0.0.1:9/x", attempts=2, pause_s=0.0).read(1)


def test_the_size_of_a_web_file_is_asked_for(server: str) -> None:
    assert file_size(ListedFile(path=f"{server}/plain")) == len(CONTENT)
    assert file_size(ListedFile(path="http://127.0.0.1:9/x")) is None
    with ExitStack() as opened:
        assert open_file(f"{server}/plain", opened, ObjectStores(), 500).read(10) == CONTENT[500:510]
