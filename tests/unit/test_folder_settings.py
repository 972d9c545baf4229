"""A model's folder may say which level it is for, its template and its margins."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from spark_prox.config.run import load_config
from spark_prox.errors import ModelError
from spark_prox.folder_settings import FOLDER_SETTINGS, folder_settings, write_folder_settings
from spark_prox.models import model_fingerprint, recommended_margins
from spark_prox.prompts.templates import template_for
from spark_prox.writers import policy_of


@pytest.fixture
def model(tiny_llama: Path, tmp_path: Path) -> Path:
    """A folder of one's own."""
    return Path(shutil.copytree(tiny_llama, tmp_path / "model"))


def test_a_refiner_is_used_by_its_path_alone(model: Path) -> None:
    write_folder_settings(model, {"chunk": "prox-chunk-bare"}, margins={"min_remove_margin": 0.75})
    config = load_config(None, base={"model.path": str(model), "doc.enabled": False})
    assert template_for(config.chunk.template, "chunk", str(model)).name == "prox-chunk-bare"
    assert policy_of(config).min_remove_margin == 0.75
    assert template_for("prox-chunk", "chunk", str(model)).name == "prox-chunk"  # what the user names counts
    with pytest.raises(ModelError, match=r"MODEL_WRONG_LEVEL.*chunk level, not for doc"):
        template_for("auto", "doc", str(model))


def test_one_model_may_serve_both_levels(model: Path) -> None:
    write_folder_settings(model, {"doc": "prox-doc", "chunk": "smollm2-chunk"})
    assert [template_for("auto", level, str(model)).name for level in ("doc", "chunk")] == ["prox-doc", "smollm2-chunk"]
    assert recommended_margins(str(model)) == {}
    (model / "thresholds.json").write_text('{"min_drop_margin": 2}')
    assert recommended_margins(str(model)) == {"min_drop_margin": 2.0}


def test_settings_change_no_revision(model: Path) -> None:
    before = model_fingerprint(str(model))
    write_folder_settings(model, {"doc": "prox-doc"})
    model_fingerprint.cache_clear()
    assert model_fingerprint(str(model)) == before


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"levels": "doc"}, "has the key 'levels'"),
        ({"level": "page"}, "has level 'page'"),
        ({"level": "both", "template": "page"}, "template that is no name"),
        ({"level": "doc", "template": {"chunk": "page-chunk"}}, "names templates of another"),
        ({"margins": 2}, "margins that are no object"),
        ({"margins": {"min_margin": 2}}, "the margin 'min_margin'"),
        ({"margins": {"min_drop_margin": "2"}}, "min_drop_margin is '2', expected a number"),
    ],
)
def test_what_cannot_be_meant_is_an_error_that_names_it(tmp_path: Path, settings: object, reason: str) -> None:
    (tmp_path / FOLDER_SETTINGS).write_text(json.dumps(settings))
    with pytest.raises(ModelError, match=f"MODEL_BAD_METADATA.*{reason}"):
        folder_settings(tmp_path)


def test_a_name_alone_is_the_template_of_the_one_level(tmp_path: Path) -> None:
    (tmp_path / FOLDER_SETTINGS).write_text('{"level": "chunk", "template": "prox-chunk"}')
    found = folder_settings(tmp_path)
    assert found is not None
    assert found.templates == {"chunk": "prox-chunk"}
    assert folder_settings(tmp_path / "none") is None
