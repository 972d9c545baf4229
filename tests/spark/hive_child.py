"""A run into a Hive metastore, in an interpreter of its own: a session has one catalog, from its start.

Arguments: a model folder, a source of JSON lines, a free folder. Prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from spark_prox import connect
from spark_prox.spark.session import build_session
from tests.quick_spark import QUICK_JVM, QUICK_SESSION
from tests.spark import runs


def main(model: str, source: str, folder: str) -> None:
    """Refine twice, by a name of three levels and by one of two; read it as a person does."""
    spark = build_session(
        "hive",
        extra={
            **QUICK_SESSION,
            "spark.master": "local[1]",
            "spark.driver.memory": "1g",
            "spark.sql.catalogImplementation": "hive",
            "spark.sql.warehouse.dir": f"{folder}/tables",
            "spark.hadoop.javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={folder}/metastore;create=true",
            "spark.driver.extraJavaOptions": f"{QUICK_JVM} -Dderby.stream.error.file={folder}/derby.log",
        },
    )
    spark.sql("CREATE SCHEMA corpus")
    lease = f"lease.path={folder}/lease"
    said: dict[str, object] = {}
    for name in ("catalog:spark_catalog.corpus", "catalog:corpus"):
        pipe = runs.pipeline(name, source, *runs.scripted(Path(model)), lease, id_column="id")
        said[name] = len(runs.refine(pipe))
        said[f"{name} ingested"] = runs.figures(pipe)["ingest"]
    said["tables"] = sorted(row["tableName"] for row in spark.sql("SHOW TABLES IN corpus").collect())
    (provider,) = spark.sql("DESCRIBE EXTENDED corpus.refined").where("col_name = 'Provider'").collect()
    said["provider"] = provider["data_type"]
    said["outcomes"] = [list(row)[:3] for row in connect("catalog:spark_catalog.corpus").outcomes().collect()]
    said["mine"] = [row["n"] for row in connect("catalog:corpus").refined.orderBy("n").collect()]
    spark.stop()
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
