"""Exceptions with stable codes, and the codes that rows carry.

ProxError                 anything this project raises on purpose
|- ConfigError            a configuration file, key or value
|- InputError             the documents that a job was pointed at
|- ModelError             a model directory, tokenizer, template or engine
|- TableError             a Delta table or the warehouse it lives in
|- GuardError             a run that drifts beyond a limit
`- SetupError       Java, Spark, Delta, shipped code, GPU

Spark passes only an exception's text from executor to driver, so the code is part of the text. No message ever
contains document text: documents are hostile and may be private. This module knows nothing of Spark.
"""

from __future__ import annotations

import re
from enum import Enum

__all__ = [
    "CODE_PATTERN",
    "ConfigError",
    "GuardError",
    "InputError",
    "ModelError",
    "ProxError",
    "RejectCode",
    "SetupError",
    "TableError",
    "code_in",
    "reason_of",
]

CODE_PATTERN = re.compile(r"\[SPARK_PROX\.([A-Z0-9_]+)\]")


class ProxError(Exception):
    """An error with a stable code: `[SPARK_PROX.CODE] what happened. What to do.`

    Args:
        code: upper-case identifier, stable across versions.
        what: what happened, with the offending value; never document text.
        todo: what the user can do about it.
    """

    def __init__(self, code: str, what: str, todo: str = "") -> None:
        self.code = code
        self.what = what
        self.todo = todo
        super().__init__(f"[SPARK_PROX.{code}] {what}" + (f" {todo}" if todo else ""))

    def __reduce__(self) -> tuple[type[ProxError], tuple[str, str, str]]:
        """Keep code, what and todo when the error is pickled (Exception would pass the text alone)."""
        return (type(self), (self.code, self.what, self.todo))


class ConfigError(ProxError):
    """A configuration file, key or value is wrong."""


class InputError(ProxError):
    """The input path, its format or its columns are wrong."""


class ModelError(ProxError):
    """A model directory, tokenizer, template or engine cannot be used."""


class TableError(ProxError):
    """A Delta table or the warehouse cannot be used."""


class GuardError(ProxError):
    """A run drifted beyond a limit and was stopped."""


class SetupError(ProxError):
    """Java, Spark, Delta, the shipped code or a GPU is missing or wrong."""


class RejectCode(str, Enum):
    """Why a document or a record is in `rejects`. The value is the code that the table stores."""

    # A record of an archive or a row of a table that is not a document.
    ARCHIVE_UNREADABLE = "ARCHIVE_UNREADABLE"  # the file cannot be opened or is not an archive at all
    ARCHIVE_TRUNCATED = "ARCHIVE_TRUNCATED"  # the file ends inside a record or a gzip member
    ARCHIVE_CORRUPT = "ARCHIVE_CORRUPT"  # bytes between records that no reader can place
    RECORD_BAD_HEADER = "RECORD_BAD_HEADER"  # the record's own header cannot be read
    RECORD_NOT_TEXT = "RECORD_NOT_TEXT"  # a response whose payload is not HTML or text
    RECORD_REVISIT = "RECORD_REVISIT"  # a revisit record: its payload is in another archive
    RECORD_HTTP_ERROR = "RECORD_HTTP_ERROR"  # a response without payload or with an unreadable HTTP head
    RECORD_UNREADABLE = "RECORD_UNREADABLE"  # the payload cannot be decompressed, dechunked or decoded
    RECORD_HTTP_STATUS = "RECORD_HTTP_STATUS"  # a redirect or an error page: the HTTP status is not 2xx
    RECORD_BAD_LENGTH = "RECORD_BAD_LENGTH"  # the record is shorter or longer than its Content-Length says
    RECORD_TOO_LARGE = "RECORD_TOO_LARGE"  # the payload is over the reader's cap, as stored or decompressed
    FILE_UNREADABLE = "FILE_UNREADABLE"  # a Parquet or JSON file that cannot be opened or ends in broken bytes
    BAD_ROW = "BAD_ROW"  # a line of a JSON file that is not an object, or a row the format cannot give
    # A document that cannot be refined.
    MISSING_ID = "MISSING_ID"  # --id-column was given and is null here
    DUPLICATE_ID = "DUPLICATE_ID"  # another document of this table has the same id
    MISSING_TEXT = "MISSING_TEXT"  # the text is null
    EMPTY_TEXT = "EMPTY_TEXT"  # the text has no character but white space
    TEXT_TOO_LARGE = "TEXT_TOO_LARGE"  # more characters than input.max_text_chars

    def __str__(self) -> str:
        return self.value


def code_in(text: str) -> str | None:
    """The first `[SPARK_PROX.CODE]` in a message, as an exception from an executor carries it; None without one."""
    found = CODE_PATTERN.search(text)
    return found.group(1) if found else None


def reason_of(error: BaseException, *, most: int = 300) -> str:
    """The words of another library's error, on one line: its type, then at most so many characters of its text.

    For errors of loading and setting up; those met while a document is worked on may quote it.
    """
    text = "".join(c if c.isprintable() else " " for c in str(error)[: 4 * most])
    text = " ".join(text.split())
    return f"{type(error).__name__}: {text[:most]}" if text else type(error).__name__
