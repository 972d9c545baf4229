"""The registries name what is there: an engine, a kind of prompt, an input format is one module and one line."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

from spark_prox.config.model import ModelSpec
from spark_prox.config.run import load_config
from spark_prox.engines.registry import ENGINE_NAMES, ENGINES
from spark_prox.errors import ConfigError
from spark_prox.prompts.builder import KINDS
from spark_prox.prompts.templates import TEMPLATES
from spark_prox.sources.formats import FORMATS


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_is_made_of_a_model_spec_alone(name: str) -> None:
    parameters = inspect.signature(ENGINES[name].maker()).parameters
    assert list(parameters) == ["spec"]


def test_the_configuration_takes_the_engines_that_are_registered() -> None:
    assert {ModelSpec(engine=name).engine for name in ENGINE_NAMES} == {"auto", "author", *ENGINES}
    with pytest.raises(ConfigError, match=r"CONFIG_BAD_VALUE.*'magic'.*scripted"):
        load_config(None, ["model.engine=magic"])


def test_every_template_is_of_a_kind_that_is_registered() -> None:
    assert {template.kind for template in TEMPLATES.values()} <= set(KINDS)


def test_every_format_names_a_function_of_the_spark_half(repository: Path) -> None:
    for found in FORMATS.values():
        file = repository / f"{found.module.replace('.', '/')}.py"
        defined = {node.name for node in ast.parse(file.read_text()).body if isinstance(node, ast.FunctionDef)}
        assert found.function in defined


def test_what_is_no_language_model_is_told_from_one_in_one_place(repository: Path) -> None:
    asks = [
        file.relative_to(repository).as_posix()
        for file in (repository / "spark_prox").rglob("*.py")
        if "HEURISTIC" in file.read_text(encoding="utf-8")
    ]
    assert sorted(asks) == ["spark_prox/engines/registry.py", "spark_prox/writers.py"]
