"""Incremental runs: what is new in a Delta table since the last run, one micro-batch after the other.

Spark's checkpoint says how far the table was read. It moves on after a micro-batch is done, so a run that is killed
does its last micro-batch again, and every write of the stages is such that this changes nothing. Knows no stage: a
micro-batch is handed to a function.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from spark_prox.config.names import quoted_name, schema_of
from spark_prox.errors import ConfigError
from spark_prox.sources.frames.delta_stream import DeltaStream, stream_error
from spark_prox.warehouse.scratch import hadoop_path
from spark_prox.warehouse.tables import Warehouse

__all__ = ["backlog", "checkpoint_folder", "run_micro_batches", "version_of_batch"]


def checkpoint_folder(spark: SparkSession, warehouse: Warehouse, source: DeltaStream) -> str:
    """The folder that says how far a source was read: `input.checkpoint`, else beside the tables.

    Raises:
        ConfigError: CHECKPOINT_UNKNOWN for tables of a catalog that does not say where its schema lies.
    """
    if source.spec.checkpoint:
        return source.spec.checkpoint
    place = warehouse.location
    if (schema := schema_of(place)) is not None:
        place = spark.catalog.getDatabase(quoted_name(schema)).locationUri or ""
        if not place:
            raise ConfigError(
                "CHECKPOINT_UNKNOWN",
                "The catalog does not say where the schema lies, so there is no place for the checkpoint.",
                "Set input.checkpoint to a directory or URI that stays.",
            )
    return f"{place.rstrip('/')}/_checkpoints/{source.key}"


def run_micro_batches(source: DeltaStream, checkpoint: str, process: Callable[[DataFrame, int], None]) -> int:
    """Hand on what the source holds now and was not handed on before, then end.

    Args:
        process: is given each micro-batch and its number; may be given the last one of a killed run again.

    Returns:
        The number of micro-batches.

    Raises:
        InputError: SOURCE_CHANGED, SOURCE_SCHEMA, SOURCE_HISTORY, SOURCE_REPLACED.
        Exception: what `process` raised.
    """
    raised: list[Exception] = []
    done = 0

    def batch(frame: DataFrame, number: int) -> None:
        nonlocal done
        try:
            process(frame, number)
        except Exception as error:
            raised.append(error)  # Spark would pass on its text only
            raise
        done += 1

    try:
        stream = source.micro_batches().writeStream.foreachBatch(batch)
        query = stream.option("checkpointLocation", checkpoint).trigger(availableNow=True).start()
        try:
            query.awaitTermination()
        finally:
            query.stop()
    except PySparkException as error:
        cause = raised[0] if raised else error
        # Rows are read when a micro-batch uses them, among those of other tables.
        from_source = cause is error or source.root in str(cause)
        known = stream_error(cause, source, checkpoint) if from_source else None
        raise known or cause from None
    return done


def backlog(spark: SparkSession, source: DeltaStream, checkpoint: str) -> str:
    """The backlog of the source, in words, from its log and the checkpoint; reads none of its rows."""
    offset = _last_offset(spark, checkpoint)
    if offset is None or offset["isStartingVersion"]:
        detail = spark.sql(f"DESCRIBE DETAIL {source.name}").first()
        assert detail is not None
        what = "nothing was read yet" if offset is None else "the first reading did not come to its end"
        return f"{what}: {detail['numFiles']:,} files, {detail['sizeInBytes']:,} bytes"
    # Index -1 is before the first file of a version; after others of its files something of it may be left.
    first = offset["reservoirVersion"] + (offset["index"] >= 0)
    history = spark.sql(f"DESCRIBE HISTORY {source.name}").where(f"version >= {first}").orderBy("version").collect()
    if not history:
        return "nothing new"
    commits = [f"{row['version']} {row['operation']}{_size(row['operationMetrics'])}" for row in history[:20]]
    more = f" and {len(history) - 20} more" if len(history) > 20 else ""
    return f"{len(history):,} commits: {', '.join(commits)}{more}"


def _size(metrics: dict[str, str]) -> str:
    names = ("numOutputRows", "numUpdatedRows", "numDeletedRows", "numAddedFiles", "numFiles")
    known = [f"{name} {metrics[name]}" for name in names if name in metrics]
    return f" ({', '.join(known)})" if known else ""


def _last_offset(spark: SparkSession, checkpoint: str) -> dict[str, int] | None:
    """Delta's offset behind the last micro-batch that was done; None before the first."""
    files, done = hadoop_path(spark, f"{checkpoint}/commits")
    names = [status.getPath().getName() for status in files.listStatus(done)] if files.exists(done) else []
    numbers = [int(name) for name in names if name.isdigit()]
    return _offset(spark, checkpoint, max(numbers)) if numbers else None


def version_of_batch(spark: SparkSession, checkpoint: str, number: int) -> int:
    """The version of the source in which the rows of a micro-batch are as they were handed on."""
    offset = _offset(spark, checkpoint, number)
    before_its_files = offset["index"] < 0 and not offset["isStartingVersion"]
    return offset["reservoirVersion"] - before_its_files


def _offset(spark: SparkSession, checkpoint: str, number: int) -> dict[str, int]:
    """Delta's offset behind a micro-batch."""
    files, path = hadoop_path(spark, f"{checkpoint}/offsets/{number}")
    stream = files.open(path)
    try:
        text = bytes(stream.readAllBytes()).decode()
    finally:
        stream.close()
    offset: dict[str, int] = json.loads(text.rstrip().rsplit("\n", 1)[1])
    return offset
