"""Starts a small JVM with Hadoop's client in it, which this process asks for what only Hadoop's file systems know.

pyarrow needs a native libhdfs and a class path that executors rarely have. What they have is a JVM with Spark's jars:
the process that started this one. py4j, which Spark brings, starts a second JVM on its class path; that one ends with
this process. Kerberos tickets and a container's tokens are found as by any Hadoop client.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from spark_prox.errors import InputError

__all__ = ["HadoopSettings", "hadoop", "java_errors"]

HadoopSettings = tuple[tuple[str, str], ...]
_JVM = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_UNREACHABLE = ("ConnectException", "UnknownHostException", "SocketTimeoutException", "StandbyException")


@contextmanager
def java_errors(uri: str) -> Iterator[None]:
    """Errors of Java as Python's; those of the file system itself, not of this file, as the error of a job."""
    from py4j.protocol import Py4JError, Py4JJavaError

    try:
        yield
    except Py4JJavaError as error:
        name = str(error.java_exception.getClass().getSimpleName())
        if name in _UNREACHABLE:
            raise _unreadable(uri, name) from None
        if name == "FileNotFoundException":
            raise FileNotFoundError(uri) from None
        raise (PermissionError if name == "AccessControlException" else OSError)(f"{name} on {uri}") from None
    except Py4JError as error:  # its JVM is gone
        hadoop.cache_clear()
        raise _unreadable(uri, type(error).__name__) from None


def _unreadable(uri: str, name: str) -> InputError:
    return InputError(
        "STORE_UNREADABLE",
        f"{uri!r} cannot be read ({name}).",
        "Check that the file system answers from every machine; run the same command again when it does.",
    )


@lru_cache(maxsize=4)
def hadoop(settings: HadoopSettings) -> tuple[Any, Any]:
    """The JVM of this process and a configuration in it."""
    from py4j.java_gateway import GatewayParameters, JavaGateway, launch_gateway

    java, class_path = _parent_jvm()
    if user := os.environ.get("SPARK_USER"):
        os.environ.setdefault("HADOOP_USER_NAME", user)  # who the executor reads as, where nobody has to prove it
    try:
        port, token = launch_gateway(
            jarpath=_py4j_jar(class_path),
            classpath=class_path,
            javaopts=list(_JVM),
            java_path=java,
            die_on_exit=True,
            enable_auth=True,
        )
    except (OSError, ValueError) as error:  # no java to be run, or one that ended at once
        raise InputError(
            "STORE_UNREADABLE",
            f"The JVM that reads what only Hadoop knows did not start ({type(error).__name__}).",
            "Check that Java is on the PATH, and spark.executor.memoryOverhead: it takes up to 256 MB.",
        ) from None
    gateway = JavaGateway(gateway_parameters=GatewayParameters(port=port, auth_token=token, auto_convert=True))
    configuration = gateway.jvm.org.apache.hadoop.conf.Configuration()
    for key, value in settings:
        configuration.set(key, value)
    return gateway.jvm, configuration


def _py4j_jar(class_path: str) -> str:
    """The Java half of py4j, among Spark's jars: in a zip, as executors have it, py4j does not find it."""
    for entry in class_path.split(os.pathsep):
        place = Path(entry)
        for jar in place.parent.glob("py4j-*.jar") if place.name == "*" else [place]:
            if jar.name.startswith("py4j-") and jar.is_file():
                return str(jar)
    return ""


def _parent_jvm() -> tuple[str, str]:
    """Java and the class path of the executor that this process belongs to, else of the Spark that is installed."""
    pid = os.getppid()
    for _ in range(4):  # the worker's parent is the daemon, and its parent the executor
        with suppress(OSError, ValueError, IndexError):
            words = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
            if words[0].rpartition("/")[2] == "java":
                given = next((words[at + 1] for at, word in enumerate(words) if word in ("-cp", "-classpath")), "")
                return words[0], given or os.environ.get("CLASSPATH", "")
            pid = int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    spec = find_spec("pyspark")
    jars = Path(spec.origin).parent / "jars" if spec is not None and spec.origin else Path()
    return "", f"{jars}/*"
