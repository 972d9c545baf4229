"""What a user can get wrong: one clear line with a code, a non-zero exit, nothing half written."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spark_prox.config.placement import PlacementConfig
from spark_prox.errors import SetupError
from spark_prox.spark.placement import generation_profile
from tests.spark.runs import run_job

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (["--set", "chunk.max_tokns=3"], "CONFIG_UNKNOWN_KEY"),
        (["--set", "placement.batch_documents=none"], "CONFIG_BAD_VALUE"),
        (["--config", "nowhere.yaml"], "CONFIG_NOT_FOUND"),
        (["--input", "{tmp}/nowhere.jsonl"], "INPUT_NOT_FOUND"),
        (["--input-format", "parquet"], "WRONG_FORMAT"),
        (["--input-format", "wet"], "WRONG_FORMAT"),
        (["--input-format", "delta"], "WRONG_FORMAT"),
        (["--text-column", "body"], "MISSING_COLUMN"),
        (["--id-column", "key"], "MISSING_COLUMN"),
        (["--set", "model.path={tmp}/nowhere"], "MODEL_NOT_FOUND"),
        (["--set", "model.path={tmp}/weightless"], "MODEL_NO_WEIGHTS"),
        (["--set", "doc.template=nonsense"], "TEMPLATE_UNKNOWN"),
        (["--set", "doc.template=prox-chunk"], "TEMPLATE_WRONG_STAGE"),
        (["--set", "policy.name=lenient"], "POLICY_UNKNOWN"),
        (["--set", "policy.overrides={max_erors: 3}"], "POLICY_UNKNOWN_FIELD"),
        (["--set", "placement.gpus_per_task=1"], "GPU_LOCAL_MASTER"),
        (["--warehouse", "{tmp}/file/w"], "WAREHOUSE_UNWRITABLE"),
        (["--warehouse", "catalog:nowhere"], "WAREHOUSE_NO_SCHEMA"),
        (["--warehouse", "{tmp}/other"], "TABLE_SCHEMA"),
    ],
)
def test_a_mistake_is_one_line_with_a_code_and_writes_nothing(
    spark: SparkSession,
    tiny_llama: Path,
    tmp_path: Path,
    change: list[str],
    code: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "pages.jsonl").write_text('{"text": "Some text of a page.", "url": "https://a.example/"}\n')
    (tmp_path / "file").write_text("")
    shutil.copytree(tiny_llama, tmp_path / "weightless", ignore=shutil.ignore_patterns("*.safetensors"))
    if code == "TABLE_SCHEMA":
        spark.range(3).write.format("delta").save(str(tmp_path / "other" / "programs"))
    arguments = [
        *("--input", f"{tmp_path}/pages.jsonl", "--input-format", "jsonl", "--warehouse", f"{tmp_path}/w"),
        *("--set", f"model.path={tiny_llama}", "--set", "model.engine=scripted"),
        *(word.replace("{tmp}", str(tmp_path)) for word in change),
    ]
    assert run_job("refine", *arguments) == 2
    err = [line for line in capsys.readouterr().err.splitlines() if line.startswith("[SPARK_PROX.")]
    assert len(err) == 1
    assert err[0].startswith(f"[SPARK_PROX.{code}]")
    written = [path for path in tmp_path.glob("w/**/*.parquet") if "runs" not in path.parts]
    assert not written


def test_a_run_without_input_says_how_to_give_one(spark: SparkSession, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_job("refine") == 2
    assert "[SPARK_PROX.CONFIG_MISSING_KEY] No input is given. Use --input" in capsys.readouterr().err


def test_a_local_session_gives_no_gpus(spark: SparkSession) -> None:
    with pytest.raises(SetupError, match=r"GPU_LOCAL_MASTER.*'local\[2\]'"):
        generation_profile(spark, PlacementConfig(gpus_per_task=1))
