"""A disk that is full in the middle of a run: the run says so and loses nothing, and goes on when there is room."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.faults.job import refine_command
from tests.cluster.faults.outcome import violations
from tests.cluster.faults.rounds import Arena, Undisturbed
from tests.cluster.standalone import ROOT, clean_environment

# A file system of its own, of so many bytes, that nobody else sees and that ends with the script.
SCRIPT = """
small=$1 bytes=$2 kept=$3; shift 3
mount -t tmpfs -o size=$bytes tmpfs "$small" || exit 77
"$@"; echo "first run: $?"
mount -o remount,size=1g "$small"
"$@"; echo "second run: $?"
cp -a "$small/warehouse" "$kept"
"""


@pytest.mark.slow
def test_a_run_goes_on_after_the_disk_was_full(arena: Arena, undisturbed: Undisturbed, tmp_path: Path) -> None:
    small, kept = tmp_path / "small", tmp_path / "kept"
    small.mkdir()
    used = sum(file.stat().st_size for file in (arena.folder / "undisturbed").rglob("*") if file.is_file())
    command = refine_command(
        master="local[2]",
        python=sys.executable,
        source=arena.source,
        warehouse=small / "warehouse",
        settings=arena.settings,
    )
    try:
        done = subprocess.run(
            ["unshare", "-rm", "bash", "-c", SCRIPT, "bash", str(small), str(used * 6 // 10), str(kept), *command],
            cwd=ROOT,
            env=clean_environment(PYTHONPATH=str(ROOT)),
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("there is no unshare to mount a small disk with")
    codes = dict(re.findall(r"^(first|second) run: (\d+)$", done.stdout, re.MULTILINE))
    if not codes:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()[-200:]}")
    first, _, second = done.stdout.partition("first run:")
    assert codes["first"] != "0", "the disk was large enough"
    (line,) = (line for line in (first + done.stderr).splitlines() if line.startswith("[SPARK_PROX."))
    assert line.startswith("[SPARK_PROX.DISK_FULL]")
    assert codes["first"] == "2"
    assert codes["second"] == "0", second[-3000:]
    assert not violations(arena.read(kept), undisturbed.outcome, lines=arena.lines)
