"""Run a command and watch all of its processes: CPU seconds, resident memory, its log of answers; kill it on the way.

The command writes a line for each answer of its model, see `AnswerLog`. Knows no engine and no Spark.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["AnswerLog", "Watched", "watch"]

_TICKS = os.sysconf("SC_CLK_TCK")
_EVERY_S = 0.25


class AnswerLog:
    """A file that several processes append to: time, prompt tokens and output tokens of each answer."""

    def __init__(self, file: str | Path) -> None:
        self._file = Path(file)

    def add(self, answers: Sequence[tuple[int, int]]) -> None:
        """Answers that came just now, as (prompt tokens, output tokens)."""
        lines = "".join(json.dumps([time.time(), *answer]) + "\n" for answer in answers)
        with self._file.open("a", encoding="utf-8") as stream:
            stream.write(lines)

    def read(self) -> list[tuple[float, int, int]]:
        """All answers; a line that a kill cut is left out."""
        if not self._file.exists():
            return []
        lines = self._file.read_text(encoding="utf-8").splitlines()
        return [tuple(json.loads(line)) for line in lines if line.endswith("]")]


@dataclass(frozen=True, kw_only=True)
class Watched:
    """The end of a command, and what it took.

    Attributes:
        code: exit status; negative after a kill.
        wall_s, cpu_s: of all processes under the command, up to its end.
        first_s, first_cpu_s: the same up to the first answer of its model.
        peak_mib: most memory of all processes together, shared pages counted once (PSS).
        answers: how many answers its log holds.
    """

    code: int
    wall_s: float
    cpu_s: float
    first_s: float
    first_cpu_s: float
    peak_mib: float
    answers: int
    prompt_tokens: int
    output_tokens: int


def watch(
    command: Sequence[str], environment: Mapping[str, str], answers: Path, output: Path, kill_at: int = 0
) -> Watched:
    """Run a command to its end, or until its model has given so many answers.

    Args:
        answers: the log; emptied before.
        output: where the command's own lines go.
        kill_at: 0 for no kill.
    """
    answers.unlink(missing_ok=True)
    log, started, began = AnswerLog(answers), time.monotonic(), time.time()
    cpu: dict[tuple[int, str], float] = {}
    first_cpu = peak = 0.0
    with output.open("wb") as stream:
        process = subprocess.Popen(command, env=dict(environment), stdout=stream, stderr=subprocess.STDOUT)
        while process.poll() is None:
            time.sleep(_EVERY_S)
            pids = _tree(process.pid)
            cpu.update(_cpu(pids))
            peak = max(peak, _memory(pids))
            given = answers.stat().st_size if answers.exists() else 0
            if given and not first_cpu:
                first_cpu = sum(cpu.values())
            if kill_at and given and len(log.read()) >= kill_at:
                for pid in pids:
                    with suppress(OSError):
                        os.kill(pid, signal.SIGKILL)
    found = log.read()
    return Watched(
        code=process.returncode,
        wall_s=time.monotonic() - started,
        cpu_s=sum(cpu.values()),
        first_s=found[0][0] - began if found else 0.0,
        first_cpu_s=first_cpu,
        peak_mib=peak,
        answers=len(found),
        prompt_tokens=sum(prompt for _, prompt, _ in found),
        output_tokens=sum(new for _, _, new in found),
    )


def _tree(root: int) -> list[int]:
    """A process and all under it."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                children[int((entry / "stat").read_text().rpartition(")")[2].split()[1])].append(int(entry.name))
    found = [root]
    for pid in found:
        found += children[pid]
    return found


def _cpu(pids: Sequence[int]) -> dict[tuple[int, str], float]:
    """CPU seconds of each process by its number and its start: a number may come again."""
    found = {}
    for pid in pids:
        with suppress(OSError):
            words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            found[pid, words[19]] = (int(words[11]) + int(words[12])) / _TICKS
    return found


def _memory(pids: Sequence[int]) -> float:
    """MiB of processes, each shared page counted once among those that share it."""
    kib = 0
    for pid in pids:
        with suppress(OSError, IndexError):
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            kib += int(text.partition("\nPss:")[2].split()[0])
    return kib / 1024
