"""Marker files: how a later job knows that a scratch folder was made by this code, and by nobody else.

A marker lies beside the folder, is called like it with `.spark_prox` behind, and is written before it. What has no
marker stays; so does what is a link, or lies behind one, or has a name that this code gives to nothing. Knows no table.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import Any

from pyspark.sql import SparkSession

__all__ = ["Marks", "hadoop_path", "is_link"]

_SUFFIX = ".spark_prox"


class Marks:
    """The markers in one folder; none where the folder is not known.

    Args:
        folder: path or URI, "" if unknown.
        prefix: what all names in the folder begin with.
    """

    def __init__(self, spark: SparkSession, folder: str, prefix: str = "") -> None:
        self._spark = spark
        self._ours = re.compile(re.escape(prefix) + r"[a-z][a-z_-]*[-_][0-9a-f]{12}")
        self._folder = folder

    def set(self, name: str) -> None:
        """Say that what will be called so is made by this code."""
        if not self._folder:
            return
        files, path = hadoop_path(self._spark, f"{self._folder}/{name}{_SUFFIX}")
        stream = files.create(path, True)
        try:
            stream.write(bytearray(_content(name)))
        finally:
            stream.close()

    def remove(self, name: str) -> None:
        """Take the marker away."""
        if self._folder:
            files, path = hadoop_path(self._spark, f"{self._folder}/{name}{_SUFFIX}")
            files.delete(path, False)

    def found(self) -> list[tuple[str, float]]:
        """Marked names, and when each was marked, in seconds since 1970; nothing where the folder is behind a link."""
        if not self._folder or is_link(self._spark, self._folder):
            return []
        files, path = hadoop_path(self._spark, self._folder)
        if not files.exists(path):
            return []
        found = []
        for status in files.listStatus(path):
            file = str(status.getPath().getName())
            name = file.removesuffix(_SUFFIX)
            if file == name or not self._ours.fullmatch(name) or is_link(self._spark, f"{self._folder}/{file}"):
                continue
            if status.isFile() and status.getLen() == len(_content(name)) and self._says(files, status.getPath(), name):
                found.append((name, status.getModificationTime() / 1000))
        return found

    def delete_marked(self, name: str) -> None:
        """Delete what is marked, and then its marker; a link stays, and so does what it points to."""
        place = f"{self._folder}/{name}"
        if not is_link(self._spark, place):
            files, path = hadoop_path(self._spark, place)
            files.delete(path, True)
        self.remove(name)

    def _says(self, files: Any, path: Any, name: str) -> bool:
        jvm: Any = self._spark._jvm
        stream = files.open(path)
        try:
            return bytes(jvm.org.apache.commons.io.IOUtils.toByteArray(stream)) == _content(name)
        finally:
            stream.close()


def _content(name: str) -> bytes:
    return f"spark_prox made {name} and may delete it\n".encode()


def hadoop_path(spark: SparkSession, text: str) -> tuple[Any, Any]:
    """A path's file system and the path, as Java objects."""
    jvm = spark._jvm
    assert jvm is not None
    path = jvm.org.apache.hadoop.fs.Path(text)
    return path.getFileSystem(spark._jsc.hadoopConfiguration()), path


def is_link(spark: SparkSession, text: str) -> bool:
    """True if a path is a symbolic link, in file systems that have any."""
    files, path = hadoop_path(spark, text)
    path = files.makeQualified(path)
    if files.getScheme() == "file":
        return os.path.islink(path.toUri().getPath())  # noqa: PTH114 - a text, as Java gives it
    with suppress(Exception):  # object stores have no links and may not implement the question
        return bool(files.getFileLinkStatus(path).isSymlink())
    return False
