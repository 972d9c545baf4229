from __future__ import annotations

import argparse

import pytest

from spark_prox.errors import InputError
from spark_prox.jobkit import config_from_arguments, job_parser, run


def parser() -> argparse.ArgumentParser:
    return job_parser("refine", "Refine.", "spark-submit jobs/refine.py", reads_input=True)


def failing(error: Exception):  # type: ignore[no-untyped-def]
    def job(arguments: argparse.Namespace) -> None:
        raise error

    return job


def test_an_error_of_ours_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(parser(), failing(InputError("INPUT_NOT_FOUND", "There is no 'x'.", "Check it.")), []) == 2
    assert capsys.readouterr().err == "[SPARK_PROX.INPUT_NOT_FOUND] There is no 'x'. Check it.\n"


def test_an_executors_error_is_found_in_sparks_text(capsys: pytest.CaptureFixture[str]) -> None:
    text = "An error\n  at java.X\n  spark_prox.errors.ModelError: [SPARK_PROX.MODEL_NO_WEIGHTS] 'm' has none.\n at"
    assert run(parser(), failing(RuntimeError(text)), []) == 2
    assert capsys.readouterr().err == "[SPARK_PROX.MODEL_NO_WEIGHTS] 'm' has none.\n"


def test_any_other_error_is_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(parser(), failing(ValueError("first\nsecond")), []) == 1
    err = capsys.readouterr().err
    assert err.startswith("[SPARK_PROX.INTERNAL] ValueError: first ")
    assert err.count("\n") == 1


def test_debug_shows_the_stack() -> None:
    with pytest.raises(ValueError, match="first"):
        run(parser(), failing(ValueError("first")), ["--debug"])


def test_an_interrupted_job_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    def job(arguments: argparse.Namespace) -> None:
        raise KeyboardInterrupt

    assert run(parser(), job, []) == 130
    assert "INTERRUPTED" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--nonsense"], ["--input-format", "csv"], ["--input"]])
def test_a_wrong_command_line_is_one_line_with_a_code(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(parser(), failing(AssertionError()), arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("[SPARK_PROX.USAGE]")
    assert err.count("\n") == 1


def test_the_command_line_becomes_configuration() -> None:
    arguments = parser().parse_args(
        [
            "--input",
            "p",
            "--input-format",
            "wet",
            "--warehouse",
            "w",
            "--text-column",
            "t",
            "--set",
            "doc.enabled=false",
        ]
    )
    config = config_from_arguments(arguments)
    assert config.input is not None
    assert (config.input.path, config.input.format, config.input.text_column) == ("p", "wet", "t")
    assert config.warehouse == "w"
    assert config.doc.enabled is False


def test_spark_does_not_quote_values_on_standard_error_before_the_jobs_own_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """PySpark logs the message of an error of SQL, a document's text in it, even if the error is handled."""

    def job(_: argparse.Namespace) -> None:
        from pyspark.logger import PySparkLogger

        for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
            PySparkLogger.getLogger(name).exception("The value 'words of a page' cannot be cast.", errorClass="CAST")

    assert run(argparse.ArgumentParser(), job, []) == 0
    assert capsys.readouterr().err == ""
