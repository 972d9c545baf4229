"""The files in `conf/` are read and give a reason for each line. `tests/spark` asks Spark whether it knows the keys."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spark_prox.config.run import load_config
from spark_prox.prompts.templates import TEMPLATES
from spark_prox.spark.session import DELTA_SETTINGS
from spark_prox.warehouse.views import shell_command

ROOT = Path(__file__).parent.parent.parent
GPU_FILES = sorted((ROOT / "conf").glob("spark-*-gpu.conf"))


def settings(file: Path) -> dict[str, str]:
    """Keys and values of a properties file; each line one of them."""
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return dict(line.split(None, 1) for line in lines)


@pytest.mark.parametrize("file", [*GPU_FILES, ROOT / "conf" / "spark-s3.conf"], ids=lambda file: file.name)
def test_every_line_of_a_properties_file_has_its_reason(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        # mount.path and mount.readOnly continue the volume that the line above began.
        if line.startswith("spark.") and ".mount." not in line and "serviceAccountName" not in line:
            assert number == 0 or lines[number - 1].startswith("#"), f"{file.name}:{number + 1}"


@pytest.mark.parametrize("file", GPU_FILES, ids=lambda file: file.name)
def test_gpu_files_give_each_executor_one_gpu_and_leave_tasks_to_the_profile(file: Path) -> None:
    found = settings(file)
    assert found["spark.executor.resource.gpu.amount"] == "1"
    assert not [key for key in found if key.startswith("spark.task.resource")]
    assert "spark.executor.pyspark.memory" not in found
    assert found["spark.dynamicAllocation.enabled"] == "false"
    assert found["spark.speculation"] == "false"
    assert any(value.endswith("gpus.sh") for value in found.values())
    timeout, beat = (int(found[key][:-1]) for key in ("spark.network.timeout", "spark.executor.heartbeatInterval"))
    assert beat * 10 <= timeout


def test_the_sql_shell_gets_what_delta_needs() -> None:
    found = settings(ROOT / "conf" / "spark-local.conf")
    assert {key: found[key] for key in DELTA_SETTINGS} == DELTA_SETTINGS
    command = shell_command("/data/my out/views.sql")
    assert command.endswith(" -i '/data/my out/views.sql'")
    assert all(f"--conf {key}={value}" in command for key, value in DELTA_SETTINGS.items())


def test_the_cluster_configuration_is_for_the_released_refiners_on_gpus() -> None:
    config = load_config(ROOT / "conf" / "refine.yaml")
    assert config.placement.gpus_per_task == 1
    # The engines of both stages stay in one worker, on one GPU.
    assert sum(config.stage_model(stage).gpu_memory_share for stage in ("doc", "chunk")) <= 0.95
    for stage in ("doc", "chunk"):
        model = config.stage_model(stage)
        assert (model.engine, model.device) == ("vllm", "cuda")
        assert model.path.endswith(f"web-{stage}-refining-lm")
        assert TEMPLATES[config.stage(stage).template].stage == stage


def test_every_setting_of_the_cluster_configuration_has_its_reason() -> None:
    lines = (ROOT / "conf" / "refine.yaml").read_text(encoding="utf-8").splitlines()
    for above, line in zip(["", *lines], lines, strict=False):
        if line and not line.startswith("#") and not line.endswith(":"):
            assert "#" in line or above.startswith("#"), line


def test_jobs_and_errors_name_configuration_files_that_exist() -> None:
    conf = [file for file in (ROOT / "conf").rglob("*") if file.is_file()]
    for file in [*(ROOT / "jobs").glob("*.py"), *(ROOT / "spark_prox").rglob("*.py"), *conf]:
        for name in re.findall(r"(?<![\w./])(?:conf|docker|docs)/[\w.-]+\w", file.read_text(encoding="utf-8")):
            assert (ROOT / name).exists(), f"{file.name} names {name}"
