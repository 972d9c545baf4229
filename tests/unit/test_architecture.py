from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
LIBRARY = sorted([*(ROOT / "spark_prox").rglob("*.py"), *(ROOT / "udfs").rglob("*.py")])
EVERYTHING = [*LIBRARY, *sorted((ROOT / "jobs").glob("*.py"))]
HEAVY = {"torch", "transformers", "vllm", "sklearn", "matplotlib", "joblib", "scipy", "openai"}
SPARK_HALF = (
    "spark_prox.session",
    "spark_prox.schemas",
    "spark_prox.scratch",
    "spark_prox.columns",
    "spark_prox.migrations",
    "spark_prox.maintenance",
    "spark_prox.tables",
    "spark_prox.stages",
    "spark_prox.shipping",
    "spark_prox.placement",
    "spark_prox.progress",
    "spark_prox.pipeline",
    "spark_prox.report",
    "spark_prox.doctor",
    "spark_prox.sql",
    "spark_prox.sources.frames",
)


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(file: Path, *, inside_functions: bool) -> Iterator[str]:
    """Modules that a file imports, TYPE_CHECKING blocks left out."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not inside_functions:
            continue
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        pending.extend(ast.iter_child_nodes(node))


def in_spark_half(module: str) -> bool:
    if module == "spark_prox.stages.keys":
        return False
    return any(module == name or module.startswith(name + ".") for name in SPARK_HALF)


@pytest.mark.parametrize("file", LIBRARY, ids=module_name)
def test_heavy_packages_are_imported_inside_functions_only(file: Path) -> None:
    found = {name.split(".")[0] for name in imports(file, inside_functions=False)} & HEAVY
    assert not found


@pytest.mark.parametrize("file", LIBRARY, ids=module_name)
def test_the_library_imports_neither_jobs_nor_tests_nor_upwards(file: Path) -> None:
    found = {name.split(".")[0] for name in imports(file, inside_functions=True)}
    assert not found & {"jobs", "tests", "conf", "bench", "examples"}
    if module_name(file).startswith("spark_prox"):
        assert "udfs" not in found


@pytest.mark.parametrize("file", LIBRARY, ids=module_name)
def test_the_pure_half_knows_no_spark(file: Path) -> None:
    module = module_name(file)
    names = set(imports(file, inside_functions=False))
    if module.startswith("udfs"):
        assert not any(in_spark_half(name) for name in names)
        assert all(name in ("pyspark", "pyspark.TaskContext") for name in names if name.startswith("pyspark"))
        assert not any(name.startswith("delta") for name in names)
    elif not in_spark_half(module):
        assert not any(name.split(".")[0] in ("pyspark", "delta") for name in names)
        assert not any(in_spark_half(name) for name in names)


def test_jobs_are_scripts_and_never_a_package() -> None:
    assert not (ROOT / "jobs" / "__init__.py").exists()
    for file in (ROOT / "jobs").glob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert 'if __name__ == "__main__":' in text, file.name
        assert "Example" in text or "job_parser" in text, f"{file.name} has no example in its help"


@pytest.mark.parametrize("file", EVERYTHING, ids=module_name)
def test_nothing_evaluates_text(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("eval", "exec", "compile"), f"{file}:{node.lineno}"


@pytest.mark.parametrize("file", LIBRARY, ids=module_name)
def test_every_module_says_what_it_does_and_stays_small(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), f"{file} has no docstring"
    assert text.count("\n") <= 300, f"{file} is more than one idea"
    assert file.stem not in ("utils", "common", "helpers", "misc")


@pytest.mark.parametrize("file", LIBRARY, ids=module_name)
def test_what_a_module_offers_exists(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    defined: set[str] = set()
    offered: list[str] = []
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            defined.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            defined.update(alias.asname or alias.name for alias in node.names)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in (name for whole in targets for name in ast.walk(whole)):
                if isinstance(target, ast.Name):
                    defined.add(target.id)
                    if target.id == "__all__" and isinstance(node.value, (ast.List, ast.Tuple)):
                        offered = [item.value for item in node.value.elts if isinstance(item, ast.Constant)]
    assert set(offered) <= defined
