"""Write docs/map.md, the tree of files, from the first sentence of each: `python dev/map.py`.

With --check it changes nothing and fails when the map is not what the files say.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = ("spark_prox", "udfs", "jobs", "conf", "bench", "dev", "docs", "docker", "examples", "tests")
MAP = ROOT / "docs" / "map.md"
HEAD = """# Map of the repository

The first sentence of every file. `python dev/map.py` writes this page; a test fails when it is out of date.
"""
SUMMARISED = {
    "examples/pages": "the pages, as HTML",
    "spark_prox/refiners/embedded": "the embedded refiner: weights, tokenizer, model card",
    "tests/golden": "the program language's examples, which are its tests",
    "tests/unit": "the pure tier: no Spark, seconds",
    "tests/spark": "the Spark tier: one local session with Delta",
    "tests/cluster": "the cluster tier: a standalone master and workers as processes",
}


def main() -> None:
    """Write the map, or compare it with the files."""
    if "--check" not in sys.argv[1:]:
        MAP.write_text(map_text(), encoding="utf-8")
    elif MAP.read_text(encoding="utf-8") != map_text():
        sys.exit("docs/map.md is out of date: run python dev/map.py")


def map_text() -> str:
    """The whole of docs/map.md."""
    return f"{HEAD}\n```\n{tree()}\n```\n"


def tree() -> str:
    """One line per folder and file."""
    lines: list[str] = []
    for name in FOLDERS:
        folder = ROOT / name
        if folder.is_dir():
            lines += _folder(folder, 0)
    return "\n".join(lines)


def _folder(folder: Path, depth: int) -> list[str]:
    relative = folder.relative_to(ROOT).as_posix()
    indent = "  " * depth
    init = folder / "__init__.py"
    clause = SUMMARISED.get(relative) or (_clause(init) if init.is_file() and init.stat().st_size else "")
    lines = [_line(f"{indent}{folder.name}/", clause)]
    if relative in SUMMARISED:
        return lines
    for item in sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name)):
        if item.name.startswith((".", "__")):
            continue
        if item.is_dir():
            lines += _folder(item, depth + 1)
        elif clause := _clause(item):
            lines.append(_line(f"{indent}  {item.name}", clause))
    return lines


def _line(name: str, clause: str) -> str:
    return f"{name:<34}{clause}".rstrip()


def _clause(file: Path) -> str:
    """A file's own words about itself: the first sentence of its docstring or of its first comment."""
    if file.suffix == ".py":
        text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    elif file.suffix in (".yaml", ".conf", ".sh", "") and file.stat().st_size < 100_000:
        comments = [line.strip("# ") for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("# ")]
        text = " ".join(comments[:2])
    elif file.suffix == ".md":
        text = file.read_text(encoding="utf-8").split("\n", 1)[0].strip("# ")
    else:
        return ""
    return re.split(r"(?<=[a-zA-Z0-9)`])[.;](?:\s|$)", " ".join(text.split()), maxsplit=1)[0].rstrip(".")


if __name__ == "__main__":
    main()
