"""Executors run the driver's code, as a zip, or the job does not start."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from spark_prox.config.placement import PlacementConfig
from spark_prox.errors import SetupError
from spark_prox.sources.frames.archive_source import register_sources
from spark_prox.spark.placement import generation_profile
from spark_prox.spark.shipping import build_zip, check_executors
from tests.cluster.conftest import ClusterSession
from tests.unit.sources.archive_builder import html, packed, response, wet

TWO_CORES = {"spark.cores.max": "2", "spark.executor.cores": "1"}


def test_executors_run_what_the_driver_ships(cluster_session: ClusterSession, tmp_path: Path) -> None:
    """So does the data source of archives; executors without GPUs are one error for a placement that needs one."""
    archive = tmp_path / "a.warc.gz"
    archive.write_bytes(packed([response(html("shipped")), *wet(2)]))
    with cluster_session(TWO_CORES) as spark:
        assert check_executors(spark) == spark.sparkContext.defaultParallelism
        register_sources(spark)
        pages = spark.read.format("warc").load(str(archive)).where("type = 'response'")
        assert [row.text for row in pages.collect()] == ["shipped\nText of shipped."]
        with pytest.raises(SetupError, match=r"GPU_NOT_CONFIGURED.*announce no GPU.*spark-standalone-gpu.conf"):
            generation_profile(spark, PlacementConfig(gpus_per_task=1))


def test_code_that_is_not_shipped_is_found_missing_and_a_stale_zip_is_found_different(
    cluster_session: ClusterSession, tmp_path: Path
) -> None:
    with cluster_session(TWO_CORES, ship=False) as spark:
        with pytest.raises(SetupError, match=r"CODE_NOT_SHIPPED.*cannot import spark_prox"):
            check_executors(spark)
        spark.sparkContext.addPyFile(str(_stale_zip(tmp_path)))
        with pytest.raises(SetupError, match="CODE_DIFFERS"):
            check_executors(spark)


def _stale_zip(folder: Path) -> Path:
    """The same packages with one comment more."""
    stale = folder / "stale.zip"
    with zipfile.ZipFile(build_zip(folder / "now.zip")) as now, zipfile.ZipFile(stale, "w") as then:
        for name in now.namelist():
            content = now.read(name)
            then.writestr(name, content + b"\n# yesterday\n" if name == "udfs/generate.py" else content)
    return stale
