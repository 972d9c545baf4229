"""The input formats by name. A format is one module of the Spark half that reads it, and one line here.

Knows names only, so that configuration and command lines can list the formats without Spark.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FORMATS", "InputFormat"]


@dataclass(frozen=True, kw_only=True)
class InputFormat:
    """One format.

    Attributes:
        module, function: what reads it: (spark, spec, file reader of the executors) -> `RawFrame`.
        content: how its files begin, see `spark_prox.sources.sniff`; "" for what is no file or begins with anything.
        has_columns: False where the columns are fixed, so that none can be named.
        is_table: it can be read incrementally, as a Delta table.
    """

    module: str
    function: str
    content: str = ""
    has_columns: bool = True
    is_table: bool = False


_RAW = "spark_prox.sources.frames.raw"

FORMATS: dict[str, InputFormat] = {
    "jsonl": InputFormat(module=_RAW, function="read_json", content="lines"),
    "parquet": InputFormat(module="spark_prox.sources.frames.parquet", function="read_parquet", content="parquet"),
    "delta": InputFormat(module=_RAW, function="read_delta", is_table=True),
    "wet": InputFormat(module=_RAW, function="read_archives", content="archive", has_columns=False),
    "warc": InputFormat(module=_RAW, function="read_archives", content="archive", has_columns=False),
}
