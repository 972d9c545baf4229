from __future__ import annotations

import ast
import re
from pathlib import Path

FOLDERS = ("spark_prox", "udfs", "jobs", "bench", "dev", "docker", "examples")
NO_SUBJECT = re.compile(r"(What|Whether|Who|Where|Whatever|Judged)\b")


def test_docstrings_open_with_a_subject_or_a_verb(repository: Path) -> None:
    found = []
    for file in (file for folder in FOLDERS for file in sorted((repository / folder).rglob("*.py"))):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_docstring(node) or ""
                if NO_SUBJECT.match(text):
                    found.append(f"{file.relative_to(repository)}: {text.splitlines()[0]}")
    assert not found, "\n".join(found)
