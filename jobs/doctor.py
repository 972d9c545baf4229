"""Check an installation: Java, Spark, Delta, the executors' code, the models, GPUs."""

from __future__ import annotations

import argparse

from spark_prox.doctor import check_environment
from spark_prox.errors import SetupError
from spark_prox.jobkit import config_from_arguments, job_parser, run_job

PARSER = job_parser(
    "doctor",
    "Check Java, Spark, Delta, the executors' code, the models and GPUs; say what is wrong and how to fix it.",
    "spark-submit jobs/doctor.py --config conf/local.yaml",
    reads_input=False,
)
PARSER.add_argument("--no-spark", action="store_true", help="only the checks that need no Spark session")


def doctor(arguments: argparse.Namespace) -> None:
    """One line a check; exit code 2 when something is wrong."""
    config = config_from_arguments(arguments)
    wrong = []
    for finding in check_environment(config, start_spark=not arguments.no_spark):
        mark = {True: "ok   ", False: "WRONG", None: "-    "}[finding.ok]
        print(f"{mark}  {finding.what:<14} {finding.found}", flush=True)
        if finding.ok is False:
            wrong.append(finding.what)
            print(f"       {'':<14} -> {finding.fix}", flush=True)
    if wrong:
        raise SetupError("DOCTOR", f"Not ready: {', '.join(wrong)}.", "See the lines marked WRONG above.")
    print("Everything that a run needs is there.")


if __name__ == "__main__":
    run_job(PARSER, doctor)
