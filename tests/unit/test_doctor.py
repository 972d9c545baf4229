from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from spark_prox.config.run import load_config
from spark_prox.doctor import check_environment, check_java, check_models, check_python


def test_this_environment_is_found_sound() -> None:
    findings = list(check_environment(load_config(None), start_spark=False))
    assert [finding.what for finding in findings if finding.ok is False] == []
    assert {"Python", "Java", "pyspark", "torch", "doc model", "chunk model"} <= {finding.what for finding in findings}


def test_a_missing_java_is_found_and_how_to_mend_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    finding = check_java()
    assert (finding.ok, finding.found) == (False, "not found")
    assert "17 or 21" in finding.fix


def test_a_java_too_old_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    finding = check_java()
    assert finding.ok is False
    assert "11.0.2" in finding.found


def test_a_model_without_weights_is_found_for_its_stage(tiny_llama: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_llama, tmp_path / "m", ignore=shutil.ignore_patterns("*.safetensors"))
    findings = {f.what: f for f in check_models(load_config(None, [f"chunk.model.path={tmp_path / 'm'}"]))}
    assert findings["doc model"].ok is True
    assert findings["chunk model"].ok is False
    assert "MODEL_NO_WEIGHTS" in findings["chunk model"].found


def test_an_interpreter_that_is_not_there_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYSPARK_PYTHON", "/nowhere/python3")
    assert check_python().ok is False
