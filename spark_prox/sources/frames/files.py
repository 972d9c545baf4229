"""Lists the input files through Hadoop, so that every file system that Spark has works, and checks what they are.

Hidden files (`_SUCCESS`, `.x.crc`) are no input, as in Spark. Runs on the driver; knows nothing of rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pyspark.sql import SparkSession

from spark_prox.config.input import InputSpec
from spark_prox.errors import InputError
from spark_prox.sources.hadoop_listing import files_of_path
from spark_prox.sources.object_store import ObjectStores
from spark_prox.sources.opening import is_web, open_file
from spark_prox.sources.path_lists import MAX_LIST_BYTES, is_path_list, listed_paths, split_paths
from spark_prox.sources.s3_faults import s3_fault
from spark_prox.sources.sniff import SNIFF_BYTES, may_be

__all__ = ["InputFile", "check_format", "list_files", "plain_path"]

LISTED_BYTES = 1 << 30  # a file of a crawl, whose size is not asked for


@dataclass(frozen=True, kw_only=True)
class InputFile:
    """One file: its path (local ones without a scheme), its size in bytes, and when it was changed, in milliseconds."""

    path: str
    size: int
    modified: int = 0


def list_files(spark: SparkSession, spec: InputSpec) -> list[InputFile]:
    """Every file that `spec.path` names, directories searched to the bottom, in order of their paths, each once.

    Raises:
        InputError: INPUT_NOT_FOUND, for a name without files, an empty directory, or a file system that cannot be read.
    """
    found: dict[str, InputFile] = {}
    for name in _names(spark, spec.path):
        try:
            if spec.is_archive and is_path_list(name):
                files = list(_listed(spark, name, spec))
            elif spec.is_archive and is_web(name):
                files = [InputFile(path=name, size=LISTED_BYTES)]
            else:
                files = list(_files(spark, name))
        except InputError:
            raise
        except Exception as error:  # noqa: BLE001 - py4j wraps what Java says: scheme, permission, host
            java = getattr(error, "java_exception", None)
            kind = java.getClass().getSimpleName() if java is not None else type(error).__name__
            fault = s3_fault(str(error))
            why = f"{kind}: {fault.what}" if fault else kind
            todo = fault.fix if fault else "Check path and access."
            raise InputError("INPUT_NOT_FOUND", f"input {name!r} cannot be listed ({why}).", todo) from None
        if not files:
            raise InputError(
                "INPUT_NOT_FOUND", f"input {name!r} names no file.", "Give an existing file, directory or glob."
            )
        found.update((file.path, file) for file in files)
    return [found[path] for path in sorted(found)]


def check_format(spark: SparkSession, spec: InputSpec, files: list[InputFile]) -> None:
    """Refuse an input in which no file has the named format; one is enough, the others become rejects.

    Raises:
        InputError: WRONG_FORMAT.
    """
    filled = [file for file in files if file.size]
    if not filled or any(may_be(spec.format, _first_bytes(spark, file)) for file in filled):
        return
    others = [name for name in ("jsonl", "parquet", "warc") if may_be(name, _first_bytes(spark, filled[0]))]
    hint = f"It looks like {others[0]}." if others else ""
    raise InputError(
        "WRONG_FORMAT",
        f"none of the {len(filled)} files of {spec.path!r} is {spec.format}. {hint}".rstrip(),
        "Check --input-format.",
    )


def plain_path(path: str) -> str:
    """`/data/x` of `file:/data/x`; other schemes stay."""
    return "/" + path[5:].lstrip("/") if path.startswith("file:") else path


def _names(spark: SparkSession, paths: str) -> list[str]:
    """The names of a comma-separated list, or the one name with commas in it."""
    if "," in paths:
        try:
            if _file_system(spark, paths).exists(_hadoop_path(spark, paths)):
                return [paths]
        except Exception:  # noqa: BLE001 - a list is no path to some file systems, and py4j wraps what they say
            return split_paths(paths)
    return split_paths(paths)


def _hadoop_path(spark: SparkSession, name: str) -> Any:
    jvm: Any = spark._jvm
    return jvm.org.apache.hadoop.fs.Path(name)


def _file_system(spark: SparkSession, name: str) -> Any:
    return _hadoop_path(spark, name).getFileSystem(spark._jsc.hadoopConfiguration())


def _files(spark: SparkSession, name: str) -> Iterator[InputFile]:
    for entry in files_of_path(spark._jvm, spark._jsc.hadoopConfiguration(), name):
        yield InputFile(path=plain_path(entry.uri), size=entry.size, modified=entry.modified)


def _listed(spark: SparkSession, name: str, spec: InputSpec) -> Iterator[InputFile]:
    """The files of a list of paths, not looked up: a crawl has 90,000, and the executors say what is missing."""
    if is_web(name):
        with ExitStack() as opened:
            content = open_file(name, opened, ObjectStores()).read(MAX_LIST_BYTES + 1)
    else:
        with _opened(spark, name) as stream:
            content = bytes(stream.readNBytes(MAX_LIST_BYTES + 1))
    where = name if is_web(name) else plain_path(_hadoop_path(spark, name).toString())
    for path in listed_paths(content, where=where, prefix=spec.path_prefix):
        yield InputFile(path=plain_path(path), size=LISTED_BYTES)


@contextmanager
def _opened(spark: SparkSession, name: str) -> Iterator[Any]:
    stream = _file_system(spark, name).open(_hadoop_path(spark, name))
    try:
        yield stream
    finally:
        stream.close()


def _first_bytes(spark: SparkSession, file: InputFile) -> bytes:
    """The beginning of a file; nothing if it cannot be read, which the executors then report."""
    if not urlsplit(file.path).scheme:
        return _read_local(file.path)
    if file.size == LISTED_BYTES:
        return b""  # of a list or of the web: its store may be one that executors alone can reach
    try:
        with _opened(spark, file.path) as stream:
            return bytes(stream.readNBytes(SNIFF_BYTES))
    except Exception:  # noqa: BLE001 - as above
        return b""


def _read_local(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(SNIFF_BYTES)
    except OSError:
        return b""
