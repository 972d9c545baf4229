"""Names errors of the Java side, in a word or a line; PySpark wraps some of it and py4j the rest."""

from __future__ import annotations

from spark_prox.errors import TableError
from spark_prox.sources.s3_faults import s3_fault

__all__ = ["java_name", "reason_of", "unwritable"]


def reason_of(error: Exception) -> str:
    """The first line of what the Java side raised."""
    return str(getattr(error, "java_exception", "") or type(error).__name__).split("\n", maxsplit=1)[0][:160]


def java_name(error: Exception) -> str:
    """The class of an exception, whether PySpark has one of its own for it or wraps the Java one."""
    java = getattr(error, "java_exception", None)
    return type(error).__name__ if java is None else str(java.getClass().getSimpleName())


def unwritable(what: str, reason: str, error: Exception) -> TableError:
    """The error of a warehouse that cannot be used; an object store's fault is named, with what to do."""
    fault = s3_fault(str(error))
    if fault is not None:
        return TableError("WAREHOUSE_UNWRITABLE", f"{what} ({reason}: {fault.what}).", fault.fix)
    todo = "Use a directory that may be written, or a URI whose file system is on Spark's class path."
    return TableError("WAREHOUSE_UNWRITABLE", f"{what} ({reason}).", todo)
