"""The program language as SQL functions: apply a stored program to a text column, explain a program as rows.

    SELECT doc_id, prox_refine(text, program) FROM documents JOIN programs USING (doc_id)
    SELECT * FROM prox_explain('some text', 'remove_lines(start=0, end=0)')
    SELECT p.doc_id, e.* FROM p, LATERAL prox_explain(p.text, p.program) e WHERE e.status <> 'applied'

Both take a policy and a dialect as optional third and fourth arguments. The functions themselves come as arguments:
they live in `udfs`, which executors import. Knows nothing of the language.
"""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql import SparkSession
from pyspark.sql.functions import udf, udtf
from pyspark.sql.udtf import UserDefinedTableFunction

__all__ = ["register_functions"]


def register_functions(
    spark: SparkSession,
    *,
    refine: Callable[..., str | None],
    explain: type,
    explain_columns: str,
    refine_name: str = "prox_refine",
    explain_name: str = "prox_explain",
) -> None:
    """Register both functions in a session, replacing earlier ones of the same names.

    Args:
        refine: (text, program[, policy[, dialect]]) -> text, as `udfs.sql.refine_column`.
        explain: a table function class with the same parameters, as `udfs.sql.ExplainProgram`.
        explain_columns: Spark DDL of its rows.
        refine_name: what SQL calls the one.
        explain_name: what SQL calls the other.
    """
    spark.udf.register(refine_name, udf(refine, returnType="string", useArrow=True))
    table_function = udtf(explain, returnType=explain_columns)
    assert isinstance(table_function, UserDefinedTableFunction)  # and no decorator: `explain` was given
    spark.udtf.register(explain_name, table_function)
