"""Puts the views of `spark_prox.warehouse.accounting` where a person finds them.

In a catalog they are views beside the tables. A warehouse that is a folder has no catalog to keep a view: there they
are statements in `views.sql`, which `spark-sql -i` runs first, and temporary views of a session.
"""

from __future__ import annotations

import shlex

from pyspark.sql import SparkSession

from spark_prox.config.names import CATALOG_PREFIX
from spark_prox.spark.session import DELTA_SETTINGS
from spark_prox.warehouse.accounting import VIEWS, cost_sql, programs_sql, token_flow_sql
from spark_prox.warehouse.scratch import hadoop_path
from spark_prox.warehouse.tables import Warehouse

__all__ = ["VIEWS_FILE", "create_views", "shell_command", "view_statements", "write_views_file"]

VIEWS_FILE = "views.sql"


def view_statements(warehouse: Warehouse) -> dict[str, str]:
    """The statements that create the views, by name, in an order that works; those whose tables are not there lack."""
    in_catalog = _in_catalog(warehouse)
    name = {table: warehouse.name(table) for tables in VIEWS.values() for table in tables}
    view = {found: warehouse.name(found) if in_catalog else found for found in VIEWS}
    queries = {
        "v_token_flow": token_flow_sql(name["documents"], name["refined"]),
        "v_programs": programs_sql(name["programs"]),
        "v_cost": cost_sql(view["v_token_flow"], name["runs"]),
    }
    kind = "VIEW" if in_catalog else "TEMPORARY VIEW"
    return {
        found: f"CREATE OR REPLACE {kind} {view[found]} AS\n{queries[found]}"
        for found, tables in VIEWS.items()
        if all(warehouse.exists(table) for table in tables)
    }


def create_views(spark: SparkSession, warehouse: Warehouse) -> list[str]:
    """Create the views: in the catalog, or for this session; gives their names as SQL takes them."""
    statements = view_statements(warehouse)
    for statement in statements.values():
        spark.sql(statement)
    return [warehouse.name(found) if _in_catalog(warehouse) else found for found in statements]


def write_views_file(spark: SparkSession, warehouse: Warehouse) -> str | None:
    """Write the statements beside the tables of a folder; gives the file's place, None for a catalog."""
    if _in_catalog(warehouse):
        return None
    statements = view_statements(warehouse)
    text = "".join(f"{statement};\n\n" for statement in statements.values())
    place = f"{warehouse.location}/{VIEWS_FILE}"
    files, path = hadoop_path(spark, place)
    stream = files.create(path, True)
    try:
        stream.write(bytearray(f"-- {shell_command(place)}\n{text}".encode()))
    finally:
        stream.close()
    return place


def shell_command(place: str) -> str:
    """The command that starts Spark's SQL shell with the views of a file."""
    settings = " ".join(f"--conf {name}={value}" for name, value in DELTA_SETTINGS.items())
    return f"spark-sql {settings} -i {shlex.quote(place)}"


def _in_catalog(warehouse: Warehouse) -> bool:
    return warehouse.location.startswith(CATALOG_PREFIX)
