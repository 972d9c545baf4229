from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.jobs import ROOT, load_job

DOCUMENTS = (
    *("README.md", "CONTRIBUTING.md", "docs/map.md"),
    *("docs/cluster.md", "docs/export.md", "docs/filters.md", "docs/operations.md"),
    *("docs/programs.md", "docs/refiners.md", "docs/scale.md", "docs/sources.md"),
)


def test_the_map_is_what_the_files_say(repository: Path) -> None:
    wanted = runpy.run_path(str(repository / "dev" / "map.py"))["map_text"]()
    assert (repository / "docs" / "map.md").read_text(encoding="utf-8") == wanted, "run python dev/map.py"


def test_the_readme_is_short_and_names_every_folder(repository: Path) -> None:
    text = (repository / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 200
    table = text.partition("## What is where")[2]
    packages = {path.parent.name for path in (repository / "spark_prox").glob("*/__init__.py")}
    for name in packages | {"udfs", "jobs", "conf", "docs", "bench", "dev", "docker", "examples", "tests"}:
        assert f"| `{name}/` |" in table, name


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_name_only_files_that_exist(repository: Path, name: str) -> None:
    text = (repository / name).read_text(encoding="utf-8")
    named = re.findall(r"\b((?:conf|jobs|docs|bench|dev|docker|examples|tests|spark_prox|udfs)/[\w./-]+\w)", text)
    assert named
    for path in named:
        assert (repository / path).exists(), f"{name} names {path}"


def test_the_make_targets_that_documents_name_exist(repository: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (repository / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for name in DOCUMENTS:
        text = (repository / name).read_text(encoding="utf-8")
        for target in re.findall(r"(?:`|\$ )make ([a-z-]+)", text):
            assert target in targets, f"{name} names make {target}"


def test_continuous_integration_runs_exactly_check_and_test(repository: Path) -> None:
    lines = (repository / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    commands = [line for line in lines if line and not line.startswith(("#", "set ", "cd "))]
    assert commands == ["make check test"]


@pytest.mark.parametrize("job", [file.stem for file in sorted((ROOT / "jobs").glob("*.py"))])
def test_every_job_has_a_help_text_with_an_example(job: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        load_job(job).PARSER.parse_args(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "Example" in said
    assert "usage:" in said


def test_a_job_is_a_script_that_needs_no_session_to_say_what_it_takes(repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(repository / "jobs" / "refine.py"), "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "usage: refine.py" in done.stdout


def test_no_path_of_a_machine_is_in_the_repository(repository: Path) -> None:
    pattern = re.compile(r"/(?:home|root|work|farm)/\w")
    done = subprocess.run(["git", "ls-files"], cwd=repository, capture_output=True, text=True, check=True)
    for name in done.stdout.split():
        file = repository / name
        if file.suffix in (".py", ".md", ".yaml", ".conf", ".sh", ".toml", ".txt", "") and file.is_file():
            found = pattern.search(file.read_text(encoding="utf-8", errors="replace"))
            assert found is None or name.startswith("tests/unit/test_docs"), f"{name}: {found}"
