from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TEXT = "Home | News\nThe river rose two metres overnight.\nShare this page"


@pytest.fixture(scope="module")
def sql(spark: SparkSession) -> SparkSession:
    from spark_prox.spark.sql import register_functions
    from udfs.sql import EXPLAIN_COLUMNS, ExplainProgram, refine_column

    register_functions(spark, refine=refine_column, explain=ExplainProgram, explain_columns=EXPLAIN_COLUMNS)
    rows = [
        ("edited", TEXT, "remove_lines(start=0, end=0)"),
        ("kept", TEXT, "keep_chunk()"),
        ("no program", TEXT, None),
        ("no text", None, "keep_chunk()"),
        ("garbage", TEXT, "\x00 ((("),
    ]
    spark.createDataFrame(rows, "id string, text string, program string").createOrReplaceTempView("stored")
    return spark


def test_a_stored_program_is_applied_to_a_text_column_in_sql(sql: SparkSession) -> None:
    rows = sql.sql("SELECT id, prox_refine(text, program) AS refined FROM stored").collect()
    assert {row.id: row.refined for row in rows} == {
        "edited": TEXT.partition("\n")[2],
        "kept": TEXT,
        "no program": TEXT,
        "no text": None,
        "garbage": TEXT,
    }


def test_sql_can_name_the_policy_and_the_dialect(sql: SparkSession) -> None:
    row = sql.sql(
        "SELECT prox_refine('too few words', program, 'compat') AS compat,"
        " prox_refine(text, 'remove_lines(1, 1)', 'default', 'ultrax') AS ultrax FROM stored WHERE id = 'kept'"
    ).first()
    assert row is not None
    assert row.compat is None  # upstream drops what has ten words or fewer
    assert row.ultrax == TEXT.partition("\n")[2]  # which counts lines from 1


def test_the_table_function_explains_a_program_call_by_call(sql: SparkSession) -> None:
    rows = sql.sql(
        "SELECT * FROM prox_explain('a b\\nc d e\\nf', 'remove_lines(0, 0)\\nremove_lines(9, 9) because\\n')"
    ).collect()
    assert [(row.call, row.line, row.status, row.code, row["count"]) for row in rows] == [
        (0, 0, "applied", None, 1),
        (1, 1, "out of range", "OUT_OF_RANGE", 0),
        (None, 1, None, "STRAY_TEXT", 0),
    ]
    assert {row.outcome for row in rows} == {"EDITED"}


def test_the_table_function_runs_beside_every_row_of_a_table(sql: SparkSession) -> None:
    rows = sql.sql(
        "SELECT s.id, e.name, e.status FROM stored s, LATERAL prox_explain(s.text, s.program) e ORDER BY s.id, e.call"
    ).collect()
    assert [tuple(row) for row in rows] == [
        ("edited", "remove_lines", "applied"),
        ("garbage", "", None),
        ("kept", "keep_chunk", "applied"),
    ]
