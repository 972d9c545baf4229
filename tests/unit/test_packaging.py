from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

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


def test_what_users_install_has_lower_bounds_and_fits_what_was_tested(wheel: Path, repository: Path) -> None:
    """Without a bound a resolver may go back years: `[gpu]` was once vLLM 0.2.5."""
    metadata = next(name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".dist-info/METADATA"))
    lines = zipfile.ZipFile(wheel).read(metadata).decode().split("\n\n")[0].splitlines()
    asked = [Requirement(line.removeprefix("Requires-Dist: ")) for line in lines if line.startswith("Requires-Dist")]
    asked = [one for one in asked if 'extra == "test"' not in str(one.marker)]
    assert {"pyspark", "torch", "vllm", "peft", "grpcio"} <= {one.name for one in asked}
    pinned = (repository / "requirements.txt").read_text().splitlines()
    dockerfile = (repository / "docker" / "Dockerfile").read_text()
    vllm = re.search(r"^ARG GPU_PACKAGES=(\S+)$", dockerfile, flags=re.MULTILINE)
    assert vllm is not None
    pins: dict[str, list[str]] = {}
    for line in [*(line for line in pinned if "==" in line), vllm[1]]:
        found = Requirement(line.partition(" #")[0])
        pins.setdefault(found.name.replace("_", "-"), []).append(str(found.specifier).removeprefix("=="))
    for one in asked:
        assert any(part.operator in (">=", "==", "~=") for part in one.specifier), one
        for version in pins[one.name.replace("_", "-")]:
            assert version in one.specifier, one


def test_the_wheel_holds_the_refiners(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for file in ("model-00001-of-00002.safetensors", "model.safetensors.index.json", "config.json", "tokenizer.json"):
        assert f"spark_prox/refiners/embedded/{file}" in names
    for file in ("adapter_config.json", "adapter_model.safetensors", "README.md"):
        assert f"spark_prox/refiners/smollm2/{file}" in names


@pytest.mark.parametrize(("refiner", "most"), [("embedded", 32e6), ("smollm2", 10e6)])
def test_weights_in_the_repository_stay_small(repository: Path, refiner: str, most: float) -> None:
    folder = repository / "spark_prox" / "refiners"
    every = {*repository.glob("spark_prox/**/*.safetensors"), *repository.glob("spark_prox/**/*.joblib")}
    weights = {*(folder / refiner).glob("*.safetensors"), *(folder / refiner).glob("*.joblib")}
    assert 0 < sum(file.stat().st_size for file in weights) < most
    assert {file.parent.name for file in every} == {"embedded", "smollm2"}


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


def test_the_pins_lie_in_the_ranges_that_users_get(wheel: Path, repository: Path) -> None:
    from packaging.metadata import Metadata
    from packaging.requirements import Requirement

    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Metadata.from_email(archive.read(name), validate=False)
    assert set(metadata.provides_extra or ()) >= {"train", "gpu", "s3", "connect"}
    pins = {}
    for line in (repository / "requirements.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            pin = Requirement(line.partition("#")[0])
            if pin.marker is None or pin.marker.evaluate():
                pins[pin.name.lower().replace("_", "-")] = pin
    for wanted in metadata.requires_dist or ():
        marker = wanted.marker
        if marker is not None and not any(
            marker.evaluate({"extra": extra}) for extra in ("", "train", "s3", "connect")
        ):
            continue  # vLLM is not pinned here: its CPU build stands in for it
        pin = pins[wanted.name.lower().replace("_", "-")]
        (version,) = [each.version for each in pin.specifier]
        assert wanted.specifier.contains(version), f"{pin} is outside {wanted}"


def test_an_installed_wheel_needs_neither_the_checkout_nor_torch_to_be_imported(wheel: Path, tmp_path: Path) -> None:
    """The wheel unpacked where pip puts it, in an interpreter that has the other packages and no checkout."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = """
import sys
heavy = ("torch", "transformers", "pyspark", "pandas", "pyarrow", "numpy", "huggingface_hub")
import spark_prox
assert not [name for name in heavy if name in sys.modules], sys.modules.keys()
spark_prox.refine, spark_prox.connect
assert not [name for name in heavy if name in sys.modules], sys.modules.keys()
from spark_prox.models import model_directory, recommended_margins
import udfs.functions
assert "torch" not in sys.modules and "huggingface_hub" not in sys.modules
print(spark_prox.__file__, model_directory("embedded"), recommended_margins("embedded"))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(str(tmp_path / "site")) == 2
