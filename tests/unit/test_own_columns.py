"""Which names the tables give to the user's columns. The plans that carry them are tested with Spark."""

from __future__ import annotations

from pyspark.sql.types import ArrayType, LongType, MapType, StringType, StructField, StructType

from spark_prox.stages.own_columns import OwnColumns, _stored_fields
from spark_prox.warehouse.columns import needs_mapping

LONG = LongType()
OURS = ("doc_hash", "outcome", "url")


def stored(*names: str) -> list[str]:
    return [field.name for field in _stored_fields([StructField(name, LONG) for name in names], OURS)]


def test_a_name_that_a_table_can_have_stays_as_it_is() -> None:
    names = [
        "a b",
        "a,b",
        "a=b",
        "a\nb",
        "a.b",
        "ünï",
        "*",
        "__prox_row",
        "known_hash",
        "doc_program",
        "own",
        "c0",
    ]
    assert stored(*names) == names


def test_names_that_are_alike_but_for_case_are_numbered() -> None:
    assert stored("Case", "case", "CASE", "case_2") == ["Case", "case_2", "CASE_3", "case_2_2"]
    assert stored("", " ", "unnamed") == ["unnamed", "unnamed_2", "unnamed_3"]


def test_a_backtick_becomes_an_apostrophe_because_a_merge_fails_on_it() -> None:
    assert stored("a`b", "a'b", "`") == ["a'b", "a'b_2", "'"]


def test_names_of_the_tables_and_of_delta_get_another_one() -> None:
    assert stored("_change_type", "DOC_HASH", "outcome") == ["input__change_type", "input_DOC_HASH", "input_outcome"]
    assert stored("URL", "input_url", "Input_Input_URL") == ["input_input_input_URL", "input_url", "Input_Input_URL"]


def test_names_inside_a_column_are_told_apart_too() -> None:
    inner = StructType([StructField("A", LONG), StructField("a", LONG), StructField("", LONG)])
    kinds = [inner, ArrayType(inner), MapType(StringType(), inner)]
    for field in _stored_fields([StructField(f"f{n}", kind) for n, kind in enumerate(kinds)], OURS):
        assert '"A"' in field.json()
        assert '"a_2"' in field.json()
        assert '"unnamed"' in field.json()


def test_in_a_plan_all_names_are_plain_down_to_the_last_level() -> None:
    inner = StructType([StructField("x y", LONG), StructField("p.q", ArrayType(StructType([StructField("`", LONG)])))])
    own = OwnColumns([StructField("a b", inner), StructField("m", MapType(StringType(), inner))])
    (packed,) = own.packed_fields
    assert packed.name == "own"
    assert not needs_mapping(packed)
    assert own.carried() == ["own"]
    assert OwnColumns([]).packed_fields == []
    assert OwnColumns([]).carried() == []


def test_a_name_that_parquet_refuses_or_that_misleads_readers_is_mapped() -> None:
    for name in ("a b", "a.b", "a`b", "a=b", "ü", ""):
        assert needs_mapping(StructField(name, LONG))
    assert not needs_mapping(StructField("plain_Name1", LONG))
