"""The parts that all jobs share: command line, configuration, one clear line and an exit code when something is wrong.

Exit codes: 0 done, 2 the user's input, configuration or environment is wrong, 1 anything else. Knows no stage.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any

from spark_prox.config.run import RunConfig, load_config
from spark_prox.errors import ConfigError, ProxError, code_in
from spark_prox.sources.formats import FORMATS
from spark_prox.spark.failures import fixable_failure
from spark_prox.terminal import shown

__all__ = ["add_retry", "config_from_arguments", "job_parser", "require_input", "run", "run_job"]

_LINE_WIDTH = 4_000
EXPORT_OPTIONS = ("corpus", "to", "format", "tokenizer", "eos", "seed", "shards", "holdout", "push_to")
"""Options of jobs/export.py that are keys of the section `export`."""
_QUOTE_VALUES = ("SQLQueryContextLogger", "DataFrameQueryContextLogger")
"""Loggers of PySpark that write an error's message, which may quote a document, whoever handles the error."""


class _Parser(argparse.ArgumentParser):
    """Reports a wrong command line as every other error: one line with a code."""

    def error(self, message: str) -> Any:
        raise ConfigError("USAGE", f"{message}.", f"See {self.prog} --help.")


def job_parser(name: str, description: str, example: str, *, reads_input: bool) -> argparse.ArgumentParser:
    """The command line of a job that works on a warehouse."""
    parser = _Parser(
        prog=f"{name}.py",
        description=description,
        epilog=f"Example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", metavar="FILE", help="YAML configuration, for example conf/local.yaml")
    parser.add_argument("--warehouse", metavar="W", help="directory or URI of the tables, or catalog:SCHEMA")
    if reads_input:
        parser.add_argument("--input", metavar="PATH", help="file, directory or glob to read")
        parser.add_argument("--input-format", choices=tuple(FORMATS), help="what the input is")
        parser.add_argument("--id-column", metavar="C", help="column that identifies a document")
        parser.add_argument("--text-column", metavar="C", help="column that holds the text")
    parser.add_argument(
        "--set",
        dest="overrides",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="override a configuration key, for example --set doc.enabled=false; may be repeated",
    )
    parser.add_argument("--debug", action="store_true", help="show log messages, and a stack trace on an error")
    return parser


def add_retry(parser: argparse.ArgumentParser) -> None:
    """The option of jobs that generate: ask again for what failed."""
    parser.add_argument(
        "--retry",
        metavar="CODES",
        help="only ask again for programs that failed: FAILED for all, or codes of programs.status or programs.detail",
    )


def config_from_arguments(arguments: argparse.Namespace) -> RunConfig:
    """The configuration file with the command line over it."""
    base = {"warehouse": arguments.warehouse}
    for option, key in (
        ("input", "input.path"),
        ("input_format", "input.format"),
        ("id_column", "input.id_column"),
        ("text_column", "input.text_column"),
        ("incremental", "input.incremental"),
        *((option, f"export.{option}") for option in EXPORT_OPTIONS if hasattr(arguments, "corpus")),
    ):
        base[key] = getattr(arguments, option, None)
    return load_config(
        arguments.config,
        arguments.overrides,
        {key: value for key, value in base.items() if value is not None},
    )


def require_input(config: RunConfig) -> RunConfig:
    """Raise CONFIG_MISSING_KEY unless an input is configured."""
    if config.input is None:
        raise ConfigError(
            "CONFIG_MISSING_KEY",
            "No input is given.",
            "Use --input PATH --input-format FORMAT, or set input in the configuration.",
        )
    return config


def run_job(parser: argparse.ArgumentParser, job: Callable[[argparse.Namespace], None]) -> None:
    """Parse, run, and end the process: a `ProxError` is one line on standard error and exit code 2."""
    code = run(parser, job, sys.argv[1:])
    _stop_session()
    sys.exit(code)


def run(parser: argparse.ArgumentParser, job: Callable[[argparse.Namespace], None], arguments: Sequence[str]) -> int:
    """Run a job in this process and return its exit code."""
    debug = "--debug" in arguments
    logging.basicConfig(
        level=logging.INFO if debug else logging.ERROR,
        format="%(asctime)s %(name)s %(levelname)s %(message)s",
    )
    for name in () if debug else _QUOTE_VALUES:
        logging.getLogger(name).disabled = True
    try:
        job(parser.parse_args(arguments))
    except KeyboardInterrupt:
        sys.stderr.write("[SPARK_PROX.INTERRUPTED] Stopped. What was stored stays; run the same command to go on.\n")
        return 130
    except Exception as error:
        if debug:
            raise
        error = fixable_failure(str(error)) or error
        sys.stderr.write(shown(_line(error), _LINE_WIDTH) + "\n")
        return 2 if isinstance(error, ProxError) or code_in(str(error)) else 1
    return 0


def _line(error: Exception) -> str:
    if isinstance(error, ProxError):
        return " ".join(str(error).split())
    text = str(error)
    if code_in(text):  # raised on an executor: Spark wrapped it into pages of Java
        found = next(line for line in text.splitlines() if code_in(line))
        return " ".join(found[found.index("[SPARK_PROX.") :].split())
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return f"[SPARK_PROX.INTERNAL] {type(error).__name__}: {first[:300]} Run again with --debug for the stack trace."


def _stop_session() -> None:
    """End Spark quietly, whatever state it is in."""
    if "pyspark" in sys.modules:
        from pyspark.sql import SparkSession

        with contextlib.suppress(Exception):
            session = SparkSession.getActiveSession()
            if session is not None:
                session.stop()
