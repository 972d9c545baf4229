from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from spark_prox.spark.shipping import build_zip, code_fingerprint


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy so that the checkout stays clean."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repository / name, source / name)
    ignore = shutil.ignore_patterns("__pycache__")
    for package in ("spark_prox", "udfs", "jobs", "tests"):
        shutil.copytree(repository / package, source / package, ignore=ignore)
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--no-deps",
            "--no-build-isolation",
            "-q",
            "-w",
            str(folder),
            str(source),
        ],
        check=True,
        capture_output=True,
    )
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_the_library_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"spark_prox", "udfs"}


def test_the_wheel_holds_the_embedded_refiner(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for file in ("model-00001-of-00002.safetensors", "model.safetensors.index.json", "config.json", "tokenizer.json"):
        assert f"spark_prox/refiners/embedded/{file}" in names


def test_weights_in_the_repository_stay_under_32_mb(repository: Path) -> None:
    weights = [*repository.glob("spark_prox/**/*.safetensors"), *repository.glob("spark_prox/**/*.joblib")]
    assert weights
    assert sum(file.stat().st_size for file in weights) < 32e6


def test_the_zip_for_executors_is_the_same_every_time_and_holds_both_packages(tmp_path: Path) -> None:
    first, second = build_zip(tmp_path / "a.zip"), build_zip(tmp_path / "b.zip")
    assert first.read_bytes() == second.read_bytes()
    names = zipfile.ZipFile(first).namelist()
    assert "spark_prox/generation.py" in names
    assert "udfs/generate.py" in names
    assert "spark_prox/refiners/embedded/model.safetensors.index.json" in names
    assert not any("__pycache__" in name for name in names)


def test_a_zip_has_the_same_fingerprint_as_the_checkout(tmp_path: Path) -> None:
    archive = build_zip(tmp_path / "code.zip")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); "
        "from spark_prox.spark.shipping import *; print(code_fingerprint())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(archive)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.strip() == code_fingerprint()
