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
import re
from collections.abc import Mapping
from dataclasses import dataclass

from spark_prox.config.input import InputSpec
from spark_prox.errors import InputError

__all__ = ["KNOWN_NAMES", "Layout", "find_layout"]

TEXT_NAMES = ("text", "raw_content", "content")
ID_NAMES = ("doc_id", "id", "document_id", "docid", "warc_record_id")
URL_NAMES = ("url", "uri", "u", "metadata.url", "meta.url", "metadata.warc-target-uri", "meta$url", "metadata$url")
CRAWL_NAMES = (
    "crawl", "dump", "snapshot", "collection", "cc_segment", "cc_dump",
    "metadata.dump", "metadata.snapshot", "metadata.cc_segment", "meta.cc_segment",
)  # fmt: skip
KNOWN_NAMES = tuple(re.split(r"[.$]", name)[0] for name in (*TEXT_NAMES, *ID_NAMES, *URL_NAMES, *CRAWL_NAMES, "source"))
"""Columns that a layout may mean."""

NESTED = ("struct", "array", "map", "variant", "binary")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Which columns mean what; a name with dots reaches into structs, one with a dollar into a column of JSON text.

    Attributes:
        text: candidates, the first that is not null counts. More than one only where rows of several layouts mix.
        doc_id: None if ids must be made.
        other_ids: further spellings of that name, for rows that have no `doc_id`.
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
    other_ids: tuple[str, ...] = ()


class _Columns:
    """The columns of a table by name: the exact spelling before others, one before a nested one."""

    def __init__(self, types: Mapping[str, str], spellings: Mapping[str, str], *, mixed: bool) -> None:
        self.types = types
        self.mixed = mixed
        self._written = {name: spellings.get(name, name) for name in types}
        self._by_lower: dict[str, list[str]] = {}
        for name, written in self._written.items():
            self._by_lower.setdefault(written.lower(), []).append(name)

    def named(self, name: str) -> tuple[str, ...]:
        """Every spelling of a name where rows mix, else the best one."""
        found = sorted(self._by_lower.get(name.lower(), []), key=lambda own: self._written[own] != name)
        return tuple(found if self.mixed else found[:1])

    def is_plain(self, name: str) -> bool:
        """True if a column holds no nested values."""
        return self.types[name].partition("<")[0] not in NESTED

    def members(self, name: str) -> tuple[str, ...]:
        """`a$b` for member b of JSON text in a, where a column a holds text."""
        column, _, member = name.partition("$")
        return tuple(f"{own}${member}" for own in self.named(column) if self.types[own] == "string")

    def written(self) -> list[str]:
        """The columns of the table as its rows write them, without fields of structs."""
        return [self._written[name] for name in self.types if "." not in name]


def find_layout(
    spec: InputSpec, columns: Mapping[str, str], *, mixed: bool, spellings: Mapping[str, str] | None = None
) -> Layout:
    """Choose the columns of a table.

    Args:
        spec: names that were given win.
        columns: type by name; of a struct also its fields, as `struct.field`.
        mixed: rows may follow different layouts (JSON Lines), so every known text and url column may be needed, in
            every spelling.
        spellings: what rows call a column, where that is not its name.

    Raises:
        InputError: MISSING_COLUMN, BAD_COLUMN.
    """
    table = _Columns(columns, spellings or {}, mixed=mixed)
    text = _text(spec, table)
    given_id = _present(spec.id_column, table) if spec.id_column else ()
    for name in (*text, *given_id):
        if "$" not in name and not table.is_plain(name):
            kind = columns[name].partition("<")[0]
            raise InputError(
                "BAD_COLUMN", f"column {name!r} is of type {kind}.", "Text and ids must be strings or numbers."
            )
    ids = given_id or _first_id(table)
    urls = _present(spec.url_column, table) if spec.url_column != "url" else _simple(URL_NAMES, table)
    return Layout(
        text=text if mixed else text[:1],
        doc_id=next(iter(ids), None),
        other_ids=ids[1:],
        id_is_explicit=spec.id_column is not None,
        url=urls if mixed else urls[:1],
        crawl=() if spec.crawl else _simple(CRAWL_NAMES, table),
        source=None if spec.source else next(iter(_simple(("source",), table)), None),
    )


def _text(spec: InputSpec, table: _Columns) -> tuple[str, ...]:
    if spec.text_column != "text":
        return _present(spec.text_column, table)
    return _simple(TEXT_NAMES, table) or _present("text", table)


def _first_id(table: _Columns) -> tuple[str, ...]:
    """Every spelling of the first name for ids that is there."""
    return next((found for name in ID_NAMES if (found := _simple((name,), table))), ())


def _simple(names: tuple[str, ...], table: _Columns) -> tuple[str, ...]:
    """The columns with one of these names (in any case) that hold no nested values; `a$b` is member b of JSON in a."""
    plain = [own for name in names for own in table.named(name) if table.is_plain(own)]
    return (*plain, *(own for name in names if "$" in name for own in table.members(name)))


def _present(name: str, table: _Columns) -> tuple[str, ...]:
    """The columns that a given name means, as they are called in the table."""
    found = table.named(name)
    if not found and "." in name:
        found = table.members(name.replace(".", "$", 1)) if table.mixed else ()
    if not found:
        near = difflib.get_close_matches(name, table.types, n=1, cutoff=0.5)
        listed = ", ".join(table.written()[:30]) or "none"
        raise InputError(
            "MISSING_COLUMN",
            f"the input has no column {name!r}; it has: {listed}." + (f" Did you mean {near[0]!r}?" if near else ""),
            "Use --id-column, --text-column or input.url_column.",
        )
    return found
