"""Install Chromium through apt, for the tests of the report's page. Run by `make test`.

Nothing else needs it: where it cannot be had (another system, no rights), those tests skip and say so.
"""

from __future__ import annotations

import os
import shutil
import subprocess

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def main() -> None:
    """Install, or say what to install; never a failure."""
    if any(shutil.which(name) for name in NAMES):
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        print("   no Chromium: the tests of the report's page will be skipped; on Debian: apt-get install chromium")
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
        done = subprocess.run(
            ["apt-get", "-qq", *arguments], check=False, env=environment, stdout=subprocess.DEVNULL, timeout=600
        )
        if done.returncode:
            print("   Chromium could not be installed: the tests of the report's page will be skipped")
            return


if __name__ == "__main__":
    main()
