"""What is wrong with a configuration is found when it is read, not after generation was paid for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spark_prox.config.apart import TABLE_NAMES, check_apart
from spark_prox.config.names import quoted, quoted_name, schema_of
from spark_prox.config.run import load_config
from spark_prox.errors import ProxError
from spark_prox.stages.retry import parse_codes
from spark_prox.warehouse.schemas import TABLES


@pytest.mark.parametrize(
    ("setting", "code"),
    [
        ("dialect=klingon", "DIALECT_UNKNOWN"),
        ("dialect=", "CONFIG_BAD_VALUE"),
        ("policy.name=strict", "POLICY_UNKNOWN"),
        ("policy.overrides={max_calls: -1}", "POLICY_BAD_VALUE"),
        ("policy.overrides={max_growth: -0.5}", "POLICY_BAD_VALUE"),
        ("policy.overrides={max_text_chars: -1}", "POLICY_BAD_VALUE"),
        ("policy.overrides={max_work_chars: -1}", "POLICY_BAD_VALUE"),
        ("policy.overrides={min_remove_margin: x}", "POLICY_BAD_VALUE"),
        ("policy.overrides={1: 2}", "POLICY_UNKNOWN_FIELD"),
        ("policy.overrides.min_drop_margin=.nan", "CONFIG_BAD_VALUE"),
        ("guard.min_keep_rate=.nan", "CONFIG_BAD_VALUE"),
        ("guard.min_keep_rate=-0.1", "CONFIG_BAD_VALUE"),
        ("guard.min_documents=0", "CONFIG_BAD_VALUE"),
        ("lease.expire_s=-1", "CONFIG_BAD_VALUE"),
        ("lease.heartbeat_s=0", "CONFIG_BAD_VALUE"),
        ("lease.expire_s=1e300", "CONFIG_BAD_VALUE"),
        ("placement.partitions=-1", "CONFIG_BAD_VALUE"),
        ("placement.arrow_batch_rows=0", "CONFIG_BAD_VALUE"),
        ("placement.arrow_batch_rows=3000000000", "CONFIG_BAD_VALUE"),
        ("placement.arrow_batch_bytes=-5", "CONFIG_BAD_VALUE"),
        ("placement.gpus_per_task=-1", "CONFIG_BAD_VALUE"),
        ("model.max_in_flight=0", "CONFIG_BAD_VALUE"),
        ("model.threads=-1", "CONFIG_BAD_VALUE"),
        ("model.gpu_memory_share=1.5", "CONFIG_BAD_VALUE"),
        ("model.timeout_s=-1", "CONFIG_BAD_VALUE"),
        ("doc.model={max_batch_tokens: -1}", "CONFIG_BAD_VALUE"),
        ("chunk.max_chunk_tokens=0", "CONFIG_BAD_VALUE"),
        ("doc.max_new_tokens=-8", "CONFIG_BAD_VALUE"),
        ("annotate.max_removed_share=2", "CONFIG_BAD_VALUE"),
        ("annotate.max_documents=-1", "CONFIG_BAD_VALUE"),
        ("spark={spark.sql.shuffle.partitions: [1]}", "CONFIG_BAD_VALUE"),
        ("spark={spark.sql.shuffle.partitions: {a: b}}", "CONFIG_BAD_VALUE"),
        ("spark={spark.sql.shuffle.partitions: null}", "CONFIG_BAD_VALUE"),
        ("spark={sql.shuffle.partitions: 1}", "CONFIG_BAD_VALUE"),
        ("spark={1: 1}", "CONFIG_BAD_VALUE"),
        ("spark=local", "CONFIG_BAD_VALUE"),
        ('warehouse=""', "CONFIG_BAD_VALUE"),
        ("warehouse='  '", "CONFIG_BAD_VALUE"),
        ("warehouse='catalog:'", "WAREHOUSE_BAD_NAME"),
        ("warehouse='catalog:a..b'", "WAREHOUSE_BAD_NAME"),
        ("warehouse='catalog:.'", "WAREHOUSE_BAD_NAME"),
        ("warehouse='catalog:`a'", "WAREHOUSE_BAD_NAME"),
        ("warehouse='catalog:`a`b'", "WAREHOUSE_BAD_NAME"),
        ("input={path: x, id_column: ''}", "INPUT_BAD_VALUE"),
        ("input={path: x, max_text_chars: -1}", "INPUT_BAD_VALUE"),
    ],
)
def test_a_wrong_setting_is_one_error_with_a_code(setting: str, code: str) -> None:
    with pytest.raises(ProxError) as caught:
        load_config(None, [setting])
    assert caught.value.code == code


@pytest.mark.parametrize("codes", ["", " ", ",", "FAILED,", "OK", "a b"])
def test_a_retry_of_nothing_is_refused(codes: str) -> None:
    with pytest.raises(ProxError, match="RETRY_BAD_CODE"):
        parse_codes(codes)


def test_a_job_takes_an_empty_retry_for_a_mistake_and_not_for_no_retry(repository: Path) -> None:
    for job in ("generate", "refine"):
        source = (repository / "jobs" / f"{job}.py").read_text()
        assert "parse_codes(arguments.retry) if arguments.retry is not None" in source


@pytest.mark.parametrize(
    ("read", "warehouse"),
    [
        ("data", "data/out"),
        ("data", "data"),
        ("data/", "./data/deep/out"),
        ("data/*", "data/out"),
        ("data/**", "data/out"),
        ("*/out", "data/out"),
        ("other,data", "data/out"),
        ("{other,data}/*", "data/out"),
        ("data/out/refined", "data/out"),
        ("data/out/documents/*.parquet", "data/out"),
        ("data/*/*/*.parquet", "data/out"),
        ("file:data", "data/out"),
        ("s3a://b/data", "s3a://b/data/out"),
        ("s3://b/data/*", "s3a://b/data/out"),
        ("hdfs:///data", "hdfs:///data/./out"),
        ("/", "out"),
        ("link", "data/out"),
    ],
)
def test_a_warehouse_inside_its_own_input_is_refused(
    read: str, warehouse: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "data")
    with pytest.raises(ProxError, match="WAREHOUSE_IN_INPUT"):
        load_config(None, ["input.format=parquet"], {"warehouse": warehouse, "input.path": read})


@pytest.mark.parametrize(
    ("read", "warehouse"),
    [
        ("data", "out"),
        ("data", "data-out"),
        ("data/*.jsonl", "data/out"),
        ("pages.jsonl", "."),
        ("./*.jsonl.gz", "."),
        ("data/in", "data/out"),
        ("data/{a,b}/*.jsonl", "data/out"),
        ("s3a://a/data", "s3a://b/data/out"),
        ("s3a://b/data", "data/out"),
        ("data", "catalog:data"),
        ("schema.table", "schema"),
        (f"{os.sep}data", "data/out"),
    ],
)
def test_a_warehouse_beside_its_input_is_taken(
    read: str, warehouse: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    check_apart(read, warehouse)


def test_the_tables_of_a_warehouse_are_those_that_it_has() -> None:
    assert set(TABLE_NAMES) == set(TABLES)


def test_every_name_is_quoted() -> None:
    assert quoted("a`b") == "`a``b`"
    assert quoted_name(("my schema", "x; DROP TABLE y", "t")) == "`my schema`.`x; DROP TABLE y`.`t`"
    assert schema_of("/data/out") is None
    assert schema_of("catalog:main.web") == ("main", "web")
    assert schema_of("catalog:my schema") == ("my schema",)
    assert schema_of("catalog:`a.b``c`.d") == ("a.b`c", "d")
