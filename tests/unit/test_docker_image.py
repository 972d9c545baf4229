"""`docker/Dockerfile` can be built from this checkout, twice with the same result, and does not run as root.

Not built here: that takes minutes and gigabytes, see dev/build_image.py. `hadolint` and `shellcheck` run where they are
installed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
DOCKERFILE = ROOT / "docker" / "Dockerfile"


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    """(INSTRUCTION, rest), comments left out and continued lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    joined = re.sub(r"\\\n\s*", " ", text)
    for name, value in re.findall(r"^ARG (\w+)=(\S+)$", joined, flags=re.MULTILINE):
        joined = joined.replace(f"${{{name}}}", value)
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]  # type: ignore[misc]


def rest_of(instructions: list[tuple[str, str]], name: str) -> list[str]:
    return [rest for instruction, rest in instructions if instruction == name]


def test_base_images_are_pinned_to_a_full_version(instructions: list[tuple[str, str]]) -> None:
    images = [rest.split()[0] for rest in rest_of(instructions, "FROM")]
    assert len(images) == 2
    for image in images:
        name, _, tag = image.partition(":")
        assert re.match(r"\d+\.\d+\.\d+-", tag), f"{name} is not pinned: {tag!r}"


def test_versions_are_those_of_requirements(instructions: list[tuple[str, str]]) -> None:
    requirements = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    spark = re.search(r"^pyspark==(\S+)", requirements, re.MULTILINE)
    assert spark is not None
    assert f"apache/spark:{spark.group(1)}-" in rest_of(instructions, "FROM")[0]
    installs = [rest for rest in rest_of(instructions, "RUN") if "pip install" in rest]
    assert installs
    for install in installs:
        packages = re.split(r"&&|\|", install.split("pip install", 1)[1])[0].split()
        named = [word for word in packages if not word.startswith(("-", "/"))]
        assert all("==" in word for word in named), named
        assert "--no-cache-dir" in packages
    assert any("-r /tmp/requirements.txt" in install for install in installs)


def test_it_does_not_run_as_root(instructions: list[tuple[str, str]]) -> None:
    last = [name for name, _ in instructions]
    user = rest_of(instructions, "USER")[-1]
    assert user not in ("root", "0")
    assert "RUN" not in last[last.index("USER") :]


def test_everything_that_is_copied_exists(instructions: list[tuple[str, str]]) -> None:
    copies = rest_of(instructions, "COPY")
    assert copies
    for copy in copies:
        *sources, target = [word for word in copy.split() if not word.startswith("--")]
        assert target.startswith("/")
        for source in sources:
            assert "--from=" in copy or (ROOT / source).exists(), source


def test_a_builder_is_sent_what_is_copied_and_little_else(instructions: list[tuple[str, str]]) -> None:
    """Without the list a daemon is sent the virtual environment."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    copied = {word for copy in rest_of(instructions, "COPY") if "--from=" not in copy for word in copy.split()[:-1]}
    assert rules[0] == "*"
    assert {rule.removeprefix("!") for rule in rules[1:] if rule.startswith("!")} == copied


def test_the_paths_of_the_kubernetes_properties_are_in_the_image(instructions: list[tuple[str, str]]) -> None:
    properties = (ROOT / "conf" / "spark-kubernetes-gpu.conf").read_text(encoding="utf-8")
    targets = [copy.split()[-1] for copy in rest_of(instructions, "COPY")]
    for path in re.findall(r"/opt/app/(?:jobs|conf)/[\w./-]+\w", properties):
        folder = path.rsplit("/", 1)[0]
        assert folder in targets, path
        assert (ROOT / path.removeprefix("/opt/app/")).exists(), path
    assert "/opt/venv/bin/python" in properties
    assert any("VIRTUAL_ENV=/opt/venv" in rest for rest in rest_of(instructions, "ENV"))


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("hadolint", ["--config", "docker/.hadolint.yaml", "docker/Dockerfile"]),
        ("shellcheck", ["conf/gpus.sh"]),
    ],
)
def test_linters_have_nothing_to_say(tool: str, arguments: list[str]) -> None:
    found = shutil.which(tool, path=str(Path(sys.executable).parent)) or shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} is not installed")
    done = subprocess.run([found, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
