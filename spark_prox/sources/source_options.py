"""The options of the Spark data sources `warc` and `wet`, read from strings and held against their limits.

Knows no Spark: a data source gets its options as a mapping of strings, and Spark tells their case apart nowhere.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spark_prox.errors import InputError
from spark_prox.sources.extraction import EXTRACTS
from spark_prox.sources.path_lists import split_paths
from spark_prox.sources.warc.contents import MAX_PAYLOAD_BYTES
from spark_prox.sources.warc.record_rows import RecordRow

__all__ = ["SourceOptions"]

COLUMNS = RecordRow._fields
COSTLY = ("payload", "warc_headers", "http_headers")
NOT_IN_WET = (*COSTLY, "http_status", "charset")
NAMES = (
    *("path", "paths", "prefix", "max_files", "columns", "extract", "split_bytes", "max_text_chars"),
    *("max_payload_bytes", "page_timeout_s"),
)


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """The options of a query about the archives that it reads.

    Attributes:
        paths: files, folders, globs, lists of paths; several are separated by commas.
        prefix: stands before the relative paths of a list; "" for a local list whose paths are relative to the
            working directory. None: the host or bucket that the list is from, or its folder.
        max_files: read only so many files.
        columns: the columns of the frame, where the query gives no schema of its own.
        extract: how pages become text, see `extraction`.
        split_bytes: files that can be divided are read in ranges of so many bytes, each a task; 0: a file is a task.
        max_text_chars, max_payload_bytes: see `ContentReader`.
        page_timeout_s: most seconds for the text of one page.
    """

    paths: tuple[str, ...]
    prefix: str | None = None
    max_files: int | None = None
    columns: tuple[str, ...]
    extract: str = "all"
    split_bytes: int = 0
    max_text_chars: int = 20_000_000
    max_payload_bytes: int = MAX_PAYLOAD_BYTES
    page_timeout_s: float = 30.0

    @classmethod
    def of(cls, given: Mapping[str, str], format_name: str) -> SourceOptions:
        """Read options.

        Args:
            given: names in any case.
            format_name: warc or wet: they differ in the columns that they give by default.

        Raises:
            InputError: INPUT_NOT_FOUND without a path, UNKNOWN_OPTION, INPUT_BAD_VALUE, MISSING_COLUMN.
        """
        options = {name.lower(): str(value) for name, value in given.items()}
        for name in options:
            if name not in NAMES and "." not in name:
                near = difflib.get_close_matches(name, NAMES, 1)
                hint = f"Did you mean {near[0]}?" if near else f"Use {', '.join(NAMES)}."
                raise InputError("UNKNOWN_OPTION", f"{format_name} has no option {name!r}.", hint)
        extract = options.get("extract", "all").strip().lower()
        if extract not in EXTRACTS:
            raise InputError("INPUT_BAD_VALUE", f"extract is {extract!r}.", f"Use one of {', '.join(EXTRACTS)}.")
        return cls(
            paths=_paths(options, format_name),
            prefix=options.get("prefix"),
            max_files=_number(options, "max_files", 1),
            columns=_columns(options.get("columns", ""), format_name),
            extract=extract,
            split_bytes=_number(options, "split_bytes", 0) or 0,
            max_text_chars=_number(options, "max_text_chars", 1) or 20_000_000,
            max_payload_bytes=_number(options, "max_payload_bytes", 1) or MAX_PAYLOAD_BYTES,
            page_timeout_s=float(_number(options, "page_timeout_s", 1) or 30),
        )


def _paths(options: Mapping[str, str], format_name: str) -> tuple[str, ...]:
    """The paths of `load(path)`, or of `load([path, path])`, which Spark passes as a list in JSON."""
    named: Sequence[object] = []
    if "paths" in options:
        try:
            loaded = json.loads(options["paths"])
            named = loaded if isinstance(loaded, list) else [options["paths"]]
        except ValueError:
            named = [options["paths"]]
    paths = [path for text in (*named, options.get("path", "")) for path in split_paths(str(text))]
    if not paths:
        raise InputError(
            "INPUT_NOT_FOUND", f"{format_name} needs a path.", "Use load(path), or the option path in SQL."
        )
    return tuple(paths)


def _columns(written: str, format_name: str) -> tuple[str, ...]:
    names = [name.strip().lower() for name in written.split(",") if name.strip()]
    if names == ["*"]:
        return COLUMNS
    for name in names:
        if name not in COLUMNS:
            raise InputError("MISSING_COLUMN", f"archives have no column {name!r}.", f"They have {', '.join(COLUMNS)}.")
    left_out = NOT_IN_WET if format_name == "wet" else COSTLY
    return tuple(dict.fromkeys(names)) or tuple(name for name in COLUMNS if name not in left_out)


def _number(options: Mapping[str, str], name: str, least: int) -> int | None:
    written = options.get(name)
    if written is None:
        return None
    if not written.strip().isdecimal() or int(written) < least:
        raise InputError("INPUT_BAD_VALUE", f"{name} is {written!r}.", f"Give a whole number from {least} on.")
    return int(written)
