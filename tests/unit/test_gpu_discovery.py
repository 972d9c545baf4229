"""`conf/gpus.sh` says what nvidia-smi says, in the form that Spark reads, and fails where a driver is broken."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

ONE_CUT_UP = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aaaa)
  MIG 3g.20gb     Device  0: (UUID: MIG-1111)
  MIG 3g.20gb     Device  1: (UUID: MIG-2222)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bbbb)
GPU 2: NVIDIA A100-SXM4-40GB (UUID: GPU-cccc)
"""


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A PATH with what the script needs, and no nvidia-smi yet."""
    for tool in ("bash", "awk", "tr", "env", "cat", "sh"):
        found = next(Path(folder) / tool for folder in os.environ["PATH"].split(":") if (Path(folder) / tool).exists())
        (tmp_path / tool).symlink_to(found)
    return tmp_path


def install_nvidia_smi(machine: Path, *, index: str, modes: str | None, listing: str = "", code: int = 0) -> None:
    """A fake that answers the script's queries; `modes=None` is a driver that does not know MIG."""
    for name, text in (("index", index), ("modes", modes or ""), ("listing", listing)):
        (machine / name).write_text(text)
    answer_modes = "exit 2" if modes is None else f"cat {machine}/modes"
    (machine / "nvidia-smi").write_text(
        f'#!/bin/sh\ncase "$*" in\n  *mig.mode*) {answer_modes} ;;\n  *query-gpu=index*) cat {machine}/index ;;\n'
        f"  -L) cat {machine}/listing ;;\nesac\nexit {code}\n"
    )
    (machine / "nvidia-smi").chmod(0o755)


def discover(repository: Path, machine: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(repository / "conf" / "gpus.sh")],
        env={"PATH": str(machine), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def addresses(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["name"] == "gpu"
    assert set(answer) == {"name", "addresses"}
    assert done.stdout.count("\n") == 1
    return list(answer["addresses"])


def test_whole_gpus_are_given_by_index(repository: Path, machine: Path) -> None:
    install_nvidia_smi(machine, index="0\n1\n10\n", modes="Disabled\nDisabled\n[N/A]\n")
    assert addresses(discover(repository, machine)) == ["0", "1", "10"]


def test_a_driver_that_does_not_know_mig_is_asked_for_indices(repository: Path, machine: Path) -> None:
    install_nvidia_smi(machine, index="0\n1\n", modes=None)
    assert addresses(discover(repository, machine)) == ["0", "1"]


def test_mig_instances_are_given_by_uuid_and_a_gpu_without_instances_is_left_out(
    repository: Path, machine: Path
) -> None:
    modes = "Enabled\nDisabled\nEnabled\n"
    install_nvidia_smi(machine, index="0\n1\n2\n", modes=modes, listing=ONE_CUT_UP)
    assert addresses(discover(repository, machine)) == ["MIG-1111", "MIG-2222", "GPU-bbbb"]


def test_a_machine_without_nvidia_smi_has_no_gpus_and_says_why(repository: Path, machine: Path) -> None:
    done = discover(repository, machine)
    assert addresses(done) == []
    assert "no nvidia-smi" in done.stderr


def test_a_driver_without_gpus_has_none(repository: Path, machine: Path) -> None:
    install_nvidia_smi(machine, index="No devices were found\n", modes="No devices were found\n")
    assert addresses(discover(repository, machine)) == []


def test_a_broken_driver_is_an_error_and_not_a_machine_without_gpus(repository: Path, machine: Path) -> None:
    install_nvidia_smi(machine, index="NVIDIA-SMI has failed\n", modes="", code=9)
    done = discover(repository, machine)
    assert done.returncode != 0
    assert done.stdout == ""
    assert "NVIDIA-SMI has failed" in done.stderr


@pytest.mark.parametrize(
    ("visible", "expected"),
    [("2,3", ["2", "3"]), ("MIG-1111", ["MIG-1111"]), ("", []), ("-1", []), ("1,-1,2", ["1"]), ("NoDevFiles", [])],
)
def test_cuda_visible_devices_says_which_gpus_to_offer(
    repository: Path, machine: Path, visible: str, expected: list[str]
) -> None:
    install_nvidia_smi(machine, index="0\n1\n2\n3\n", modes=None)
    assert addresses(discover(repository, machine, CUDA_VISIBLE_DEVICES=visible)) == expected
