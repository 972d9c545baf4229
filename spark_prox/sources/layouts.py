"""Finds the columns of published corpora by name.

| corpus | text | id | url | crawl |
|---|---|---|---|---|
| C4, mC4, OpenWebMath | text | | url | |
| RedPajama-V2 | raw_content | doc_id | url, or in the JSON of meta | cc_segment |
| FineWeb, FineWeb-Edu, FineWeb-2 | text | id | url | dump |
| RefinedWeb | content | | url | dump |
| Dolma | text | id | metadata.url | metadata.cc_segment |
| datatrove | text | id | metadata.url | metadata.dump |
| DCLM baseline, RedPajama-V1 | text | | url, meta.url | |
| Nemotron-CC | text | warc_record_id | url | |
| HPLT v2 | text | id | u | collection |
| tables of this project | text | doc_id | url | crawl |

A name that is given in the configuration is the only candidate. An id that was found and not given is not trusted:
where it is null one is made, and repeated ones are numbered. Knows names and types as text, nothing of Spark.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from spark_prox.config.input import InputSpec
from spark_prox.errors import InputError

__all__ = ["Layout", "find_layout"]

TEXT_NAMES = ("text", "raw_content", "content")
ID_NAMES = ("doc_id", "id", "document_id", "docid", "warc_record_id")
URL_NAMES = ("url", "uri", "u", "metadata.url", "meta.url", "metadata.warc-target-uri", "meta$url", "metadata$url")
CRAWL_NAMES = (
    "crawl", "dump", "snapshot", "collection", "cc_segment", "cc_dump",
    "metadata.dump", "metadata.snapshot", "metadata.cc_segment", "meta.cc_segment",
)  # fmt: skip
NESTED = ("struct", "array", "map", "variant", "binary")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Which columns mean what; a name with dots reaches into structs, one with a dollar into a column of JSON text.

    Attributes:
        text: candidates, the first that is not null counts. More than one only where rows of several layouts mix.
        doc_id: None if ids must be made.
        id_is_explicit: a missing or repeated id is a reject.
        url: candidates, as text.
        crawl: candidates, as text.
        source: a column with the name of the source.
    """

    text: tuple[str, ...]
    doc_id: str | None
    id_is_explicit: bool
    url: tuple[str, ...]
    crawl: tuple[str, ...]
    source: str | None


def find_layout(spec: InputSpec, columns: Mapping[str, str], *, mixed: bool) -> Layout:
    """Choose the columns of a table.

    Args:
        spec: names that were given win.
        columns: type by name; of a struct also its fields, as `struct.field`.
        mixed: rows may follow different layouts (JSON Lines), so every known text and url column may be needed.

    Raises:
        InputError: MISSING_COLUMN, BAD_COLUMN.
    """
    text = _text(spec, columns, mixed)
    given_id = _present([spec.id_column], columns) if spec.id_column else ()
    for name in (*text, *given_id):
        kind = columns[name].partition("<")[0]
        if kind in NESTED:
            raise InputError(
                "BAD_COLUMN", f"column {name!r} is of type {kind}.", "Text and ids must be strings or numbers."
            )
    urls = _url(spec, columns)
    return Layout(
        text=text,
        doc_id=next(iter(given_id or _simple(ID_NAMES, columns)), None),
        id_is_explicit=spec.id_column is not None,
        url=urls if mixed else urls[:1],
        crawl=() if spec.crawl else _simple(CRAWL_NAMES, columns),
        source=None if spec.source else next(iter(_simple(("source",), columns)), None),
    )


def _text(spec: InputSpec, columns: Mapping[str, str], mixed: bool) -> tuple[str, ...]:
    if spec.text_column != "text":
        return _present([spec.text_column], columns)
    found = _simple(TEXT_NAMES, columns)
    if not found:
        return _present(["text"], columns)
    return found if mixed else found[:1]


def _url(spec: InputSpec, columns: Mapping[str, str]) -> tuple[str, ...]:
    if spec.url_column != "url":
        return _present([spec.url_column], columns)
    return _simple(URL_NAMES, columns)


def _simple(names: tuple[str, ...], columns: Mapping[str, str]) -> tuple[str, ...]:
    """The columns with one of these names (in any case) that hold no nested values; `a$b` is member b of JSON in a."""
    by_lower = {name.lower(): name for name in reversed(list(columns))}
    found = (by_lower[name] for name in names if name in by_lower)
    plain = [name for name in found if columns[name].partition("<")[0] not in NESTED]
    for name in names:
        column, member, _ = name.partition("$")
        if member and columns.get(by_lower.get(column, "")) == "string":
            plain.append(by_lower[column] + name[len(column) :])
    return tuple(plain)


def _present(names: list[str | None], columns: Mapping[str, str]) -> tuple[str, ...]:
    """The columns as they are written in the table."""
    found: list[str] = []
    by_lower = {name.lower(): name for name in reversed(list(columns))}
    for name in names:
        assert name is not None
        match = name if name in columns else by_lower.get(name.lower())
        if match is None:
            near = difflib.get_close_matches(name, columns, n=1, cutoff=0.5)
            listed = ", ".join([own for own in columns if "." not in own][:30]) or "none"
            raise InputError(
                "MISSING_COLUMN",
                f"the input has no column {name!r}; it has: {listed}."
                + (f" Did you mean {near[0]!r}?" if near else ""),
                "Use --id-column, --text-column or input.url_column.",
            )
        found.append(match)
    return tuple(found)
