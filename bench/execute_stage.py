"""Compare the execute stage in Spark with the same work in plain Python, per core, in one run.

Documents of realistic length with stored programs are in memory. Spark reads them from its cache and writes to nothing,
so only the stage's own path is measured: JVM to Arrow to Python and back. Prints MB of text a second and the ratio.

    python bench/execute_stage.py --documents 40000
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.measured import ratios, spread, write_result
from spark_prox.execution import StoredChunk, execute_stored
from spark_prox.programs import policy_for
from spark_prox.report.run_report import table
from spark_prox.spark.session import build_session
from spark_prox.stages.execute import RUN_COLUMNS
from spark_prox.warehouse.schemas import REFINED
from udfs.execute import ExecutePrograms

LINES = 70
PROGRAM = (
    "remove_lines(line_start=0, line_end=0)\nremove_lines(line_start=8, line_end=9)\n"
    "remove_lines(line_start=40, line_end=44)"
)


def page(number: int) -> str:
    """A page of about 4 KB: every fourth line a menu entry."""
    return "\n".join(
        f"menu {i}" if i % 4 == 0 else f"Sentence {i} of page {number}, about nothing in particular, with some words."
        for i in range(LINES)
    )


def main() -> None:
    """Measure both ways and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="where the figures go as JSON")
    arguments = parser.parse_args()
    pages = [page(number) for number in range(arguments.documents)]
    megabytes = sum(len(text) for text in pages) / 1e6
    settings = {"spark.master": "local[1]", "spark.ui.enabled": "false", "spark.driver.memory": "4g"}
    spark = build_session("bench", extra=settings)
    documents = _documents(spark, arguments.documents)
    turns = [(_plain(pages), _in_spark(documents)) for _ in range(arguments.rounds)]
    spark.stop()
    alone, staged = ([turn[way] for turn in turns] for way in (0, 1))
    plain, in_spark = min(alone), min(staged)
    write_result(
        arguments.output,
        "execute_stage",
        {"documents": arguments.documents, "MB": megabytes},
        [
            {
                "what": name,
                "MB/s": spread([megabytes / one for one in taken]),
                "share of plain Python": ratios(alone, taken),
            }
            for name, taken in (("plain Python with every record, one core", alone), ("execute stage in Spark", staged))
        ],
    )
    print(
        table(
            ["one core", "s", "MB/s", "share"],
            [
                ["plain Python", round(plain, 2), round(megabytes / plain, 1), "100%"],
                ["Spark stage", round(in_spark, 2), round(megabytes / in_spark, 1), f"{plain / in_spark:.0%}"],
            ],
        )
    )


def _plain(pages: list[str]) -> float:
    chunk = StoredChunk(
        chunk_index=0, chunk_count=1, first_line=0, line_count=LINES, program=PROGRAM, status="OK", line_margins=None
    )
    policy = policy_for("default")
    started = time.perf_counter()
    for text in pages:
        execute_stored(
            text,
            doc_program="keep_doc()",
            doc_status="OK",
            doc_margin=1.0,
            chunks=[chunk],
            policy=policy,
            dialect="prox",
        )
    return time.perf_counter() - started


def _documents(spark: SparkSession, count: int) -> DataFrame:
    """The same pages as `page` makes, made by Spark: handed over from here they would fill the driver."""
    chunks = (
        f"array(named_struct('chunk_index', 0, 'chunk_count', 1, 'first_line', 0, 'line_count', {LINES}, 'program', "
        "program, 'status', 'OK', 'line_margins', cast(null as array<float>)))"
    )
    line = (
        "if(i % 4 = 0, concat('menu ', i), "
        "concat('Sentence ', i, ' of page ', id, ', about nothing in particular, with some words.'))"
    )
    rows = spark.range(count).selectExpr(
        "cast(id AS string) AS doc_id", f"array_join(transform(sequence(0, {LINES - 1}), i -> {line}), '\\n') AS text"
    )
    assert rows.first() == ("0", page(0))
    documents = rows.withColumn("program", F.lit(PROGRAM)).selectExpr(
        *("doc_id", "sha2(text, 256) AS doc_hash", "cast(null as string) AS url", "text", "'bench' AS source"),
        *("cast(null as string) AS crawl", "'keep_doc()' AS doc_program", "'OK' AS doc_status"),
        *("cast(1.0 as double) AS doc_margin", f"{chunks} AS chunks"),
    )
    documents = documents.repartition(4).cache()
    documents.count()
    return documents


def _in_spark(documents: DataFrame) -> float:
    schema = StructType([field for field in REFINED.schema.fields if field.name not in RUN_COLUMNS])
    execute = ExecutePrograms(policy=policy_for("default"), dialect="prox", tokenizer=None)
    started = time.perf_counter()
    documents.mapInArrow(execute, schema).write.format("noop").mode("overwrite").save()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
