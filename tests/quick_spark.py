"""What makes Spark quick for a few rows, in every tier that starts it; a reason beside each setting."""

from __future__ import annotations

__all__ = ["QUICK_JVM", "QUICK_SESSION"]

QUICK_JVM = " ".join(
    (
        "-XX:TieredStopAtLevel=1",  # code that runs for seconds: no compiler that optimises
        "-XX:ReservedCodeCacheSize=240m",  # 48 MB without that compiler, which Spark fills: it would be compiled again
        "-XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote",  # a sixth of a start
        "-XX:+UseSerialGC",  # no threads for garbage
        "-Djdk.lang.Process.launchMechanism=VFORK",  # Hadoop starts a chmod for every file: one process, not two
    )
)
"""Options of a JVM of minutes."""

QUICK_SESSION = {
    "spark.sql.codegen.wholeStage": "false",  # to interpret a few rows takes less than to compile code for them
    # The same, for single expressions. It cannot make the objects of spark.catalog.listTables: ask SHOW TABLES.
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",  # plans a query stage by stage, a job each; a test of it switches it on
    "spark.sql.shuffle.partitions": "2",  # more partitions are empty tasks
    "spark.databricks.delta.snapshotPartitions": "1",  # the same, for Delta's log
    "spark.ui.enabled": "false",  # no port, no thread
    "spark.ui.showConsoleProgress": "false",  # keeps test output readable
    "spark.log.level": "ERROR",  # the same
}
