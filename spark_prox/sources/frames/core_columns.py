"""Gives rows their core columns by a layout, and a code to those that cannot become documents.

Ids that are made are `sha256:` and half a SHA-256 of url and text, so that they are the same in every run. Knows
nothing of files, and nothing of duplicates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, DoubleType, FloatType, StructType

from spark_prox.config.input import InputSpec
from spark_prox.config.names import quoted
from spark_prox.sources.frames.places import CODE, DETAIL, PATH, PLACES, POSITION
from spark_prox.sources.layouts import Layout
from spark_prox.warehouse.schemas import DOCUMENTS, REFINED, REJECTS

__all__ = ["CORE_COLUMNS", "with_core_columns"]

CORE_COLUMNS = ("doc_id", "url", "text", "source", "crawl", "path", "position", "html_extract")
VERDICT = ("reject_code", "reject_detail")
CRAWL_IN_TEXT = r"CC-(?:MAIN|NEWS)-\d{4}-\d{2}"


def with_core_columns(
    rows: DataFrame,
    spec: InputSpec,
    layout: Layout,
    *,
    keep: Sequence[str] = (),
    spellings: Mapping[str, str] | None = None,
    together: frozenset[str] = frozenset(),
) -> DataFrame:
    """Core columns, the user's own, `reject_code` and `reject_detail`, and the columns `keep` as they are.

    Args:
        spellings, together: as in `RawFrame`.
    """
    types = {field.name: field.dataType for field in rows.schema.fields if field.name not in keep}
    texts = [_column(name, types).cast("string") for name in layout.text]
    text = F.coalesce(*texts)
    url = _first(layout.url, types)
    ids = (layout.doc_id, *layout.other_ids) if layout.doc_id else ()
    given = F.coalesce(F.lit(None).cast("string"), *(_id_text(name, types) for name in ids))
    made = F.concat(
        F.lit("sha256:"), F.substring(F.sha2(F.concat_ws("\n", F.coalesce(url, F.lit("")), text), 256), 1, 32)
    )
    named = F.when(F.length(F.trim(given)) > 0, given)
    doc_id = named if layout.id_is_explicit else F.coalesce(named, made)
    code, detail = _verdict(text, named, spec, layout)
    consumed = {layout.text[0], layout.doc_id, layout.source, *layout.url[:1], *layout.crawl[:1]}
    core = [
        doc_id.alias("doc_id"),
        url.alias("url"),
        F.when(code.isNull(), text).alias("text"),
        _source(spec, layout, types).alias("source"),
        _crawl(spec, layout, types).alias("crawl"),
        F.col(PATH).alias("path"),
        F.col(POSITION).alias("position"),
        (F.col("html_extract") if spec.is_archive else F.lit(None).cast("string")).alias("html_extract"),
    ]
    if spec.is_archive:
        consumed.add("html_extract")
    left = {}
    for names in (layout.text, ids, layout.url, layout.crawl):
        for name, value in _unused(names, types, spellings or {}).items():
            if (spellings or {}).get(name, name).lower() in together:
                left[name] = value
            else:
                consumed.add(name)
    own = _own_columns(types, consumed, left)
    return rows.select(*core, *own, code.alias("reject_code"), detail.alias("reject_detail"), *keep)


def _verdict(text: Column, named: Column, spec: InputSpec, layout: Layout) -> tuple[Column, Column]:
    read = F.col(CODE).isNull()
    too_large = F.char_length(text) > spec.max_text_chars
    reasons = [
        (F.lit(layout.id_is_explicit) & named.isNull(), "MISSING_ID", F.lit(f"{layout.doc_id} is null or blank")),
        (text.isNull(), "MISSING_TEXT", F.lit(f"{layout.text[0]} is null")),
        (too_large, "TEXT_TOO_LARGE", F.concat(F.char_length(text).cast("string"), F.lit(" characters"))),
        (~text.rlike(r"(?U)\S"), "EMPTY_TEXT", F.lit("white space only")),
    ]
    code, detail = F.col(CODE), F.col(DETAIL)
    for condition, name, words in reversed(reasons):
        code = F.when(read & condition, F.lit(name)).otherwise(code)
        detail = F.when(read & condition, words).otherwise(detail)
    return code, detail


def _source(spec: InputSpec, layout: Layout, types: dict[str, DataType]) -> Column:
    if spec.source is not None:
        return F.lit(spec.source)
    column = _column(layout.source, types).cast("string") if layout.source else F.lit(None).cast("string")
    return F.coalesce(column, F.lit(spec.format))


def _crawl(spec: InputSpec, layout: Layout, types: dict[str, DataType]) -> Column:
    """The configured name, else a column's (of a path in it only the crawl), else one in the file's path."""
    if spec.crawl is not None:
        return F.lit(spec.crawl)
    values = [_column(name, types).cast("string") for name in layout.crawl]
    candidates = [F.coalesce(_crawl_in(value), F.when(~value.contains("/"), value)) for value in values]
    return F.coalesce(*candidates, _crawl_in(F.col(PATH)))


def _crawl_in(value: Column) -> Column:
    found = F.regexp_extract(value, f"({CRAWL_IN_TEXT})", 1)
    return F.when(found != "", found)


def _first(names: tuple[str, ...], types: dict[str, DataType]) -> Column:
    return F.coalesce(F.lit(None).cast("string"), *(_column(name, types).cast("string") for name in names))


def _id_text(name: str, types: dict[str, DataType]) -> Column:
    """An id as text. A float that is whole is written as the integer that it stands for: an integer column with a null
    in it comes out of pandas as floats."""
    column = _column(name, types)
    text = column.cast("string")
    if not isinstance(_type_of(name, types), (FloatType, DoubleType)):
        return text
    is_whole = (column == F.floor(column)) & (F.abs(column) < F.lit(float(1 << 63)))
    return F.when(is_whole, column.cast("decimal(20,0)").cast("string")).otherwise(text)


def _type_of(name: str, types: dict[str, DataType]) -> DataType | None:
    if name in types:
        return types[name]
    outer, _, inner = name.partition(".")
    struct = types.get(outer)
    known = {field.name: field.dataType for field in struct.fields} if isinstance(struct, StructType) else {}
    return known.get(inner)


def _column(name: str, types: dict[str, DataType]) -> Column:
    """A top-level column, also one with a dot in its name, a field of a struct, or a member of JSON text."""
    if name in types:
        return F.col(quoted(name))
    outer, member, inner = name.partition("$")
    if member and outer in types:
        return F.get_json_object(_column(outer, types), f"$.{inner}")
    outer, _, inner = name.partition(".")
    return F.col(quoted(outer)).getField(inner)


@cache
def _reserved() -> frozenset[str]:
    """Names that the tables have for themselves, in lower case."""
    names = [name for table in (DOCUMENTS, REFINED, REJECTS) for name in table.schema.fieldNames()]
    return frozenset(name.lower() for name in (*names, *CORE_COLUMNS, *VERDICT))


def _unused(names: tuple[str, ...], types: dict[str, DataType], spellings: Mapping[str, str]) -> dict[str, Column]:
    """Of further spellings of a name the values that a row did not use, because an earlier one is there."""
    unused: dict[str, Column] = {}
    before: dict[str, list[Column]] = {}
    for name in names:
        if name in types:
            earlier = before.setdefault(spellings.get(name, name).lower(), [])
            column = _column(name, types)
            if earlier:
                unused[name] = F.when(F.coalesce(*earlier).isNotNull(), column)
            earlier.append(column.cast("string"))
    return unused


def _own_columns(types: dict[str, DataType], consumed: set[str | None], changed: Mapping[str, Column]) -> list[Column]:
    """The columns that were not used, under their names, or `input_<name>` where the tables have that name already.

    Args:
        changed: what stands in such a column instead of its value.
    """
    taken = _reserved() | {name.lower() for name in types}
    own = []
    for name in types:
        if name in consumed or name in PLACES:
            continue
        new = name
        if name.lower() in _reserved():
            new = f"input_{name}"
            while new.lower() in taken:
                new = f"input_{new}"
            taken |= {new.lower()}
        own.append(changed.get(name, _column(name, types)).alias(new))
    return own
