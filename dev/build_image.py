"""Build docker/Dockerfile without a daemon and without a registry of images: buildah, on a base of Debian's packages.

    apt-get install buildah mmdebstrap
    python dev/build_image.py --gpu-packages ""      # needs root, 15 GB of disk, and ten minutes

Debian stands in for NVIDIA's base image, which says nothing but what a GPU's driver must offer, and a file of two lines
for the entry point of Apache's. So the image is a test of every step of the Dockerfile, and good for machines without
Kubernetes. At the end the doctor runs in it, in a chroot.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
ENTRYPOINT = '#!/bin/sh\nexec "$@"\n'
DOCTOR = "spark-submit --driver-memory 1g jobs/doctor.py --config conf/local.yaml --warehouse /tmp/warehouse"


def main() -> None:
    """Make the base, build, run the doctor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storage", type=Path, default=Path("build/images"), help="where images and layers are kept")
    parser.add_argument("--mirror", default="http://deb.debian.org/debian", help="of Debian's packages")
    parser.add_argument("--suite", default="bookworm", help="release of Debian; its python3 must be 3.10 or newer")
    parser.add_argument("--gpu-packages", help="in place of the Dockerfile's GPU_PACKAGES; empty for none")
    parser.add_argument("--certificates", type=Path, help="folder of further CA certificates, *.crt, for a proxy's own")
    parser.add_argument("--tag", default="spark_prox:local")
    arguments = parser.parse_args()
    for tool in ("buildah", "mmdebstrap"):
        if shutil.which(tool) is None:
            sys.exit(f"{tool} is not installed: apt-get install buildah mmdebstrap")
    storage = arguments.storage.absolute()
    storage.mkdir(parents=True, exist_ok=True)
    build(arguments, storage)
    name = said(storage, "from", arguments.tag)
    try:
        # No container runtime: a chroot of the layers, with the image's user, environment and working directory.
        # Nobody resolves its name: Spark takes the address instead.
        run(storage, "run", "--isolation", "chroot", "--env", "SPARK_LOCAL_IP=127.0.0.1", name, "--", *DOCTOR.split())
        run(storage, "images")
    finally:
        run(storage, "rm", name)


def build(arguments: argparse.Namespace, storage: Path) -> None:
    """The two base images, unless they are there, and the Dockerfile on them; layers are kept, for another try."""
    if not said(storage, "images", "--quiet", "--filter", "reference=localhost/base:local"):
        make_bases(arguments, storage)
    given = {"BASE_IMAGE": "localhost/base:local", "SPARK_IMAGE": "localhost/entrypoint:local"}
    if arguments.gpu_packages is not None:
        given["GPU_PACKAGES"] = arguments.gpu_packages
    words = [word for name, value in given.items() for word in ("--build-arg", f"{name}={value}")]
    # In Docker's layout: SHELL is no part of OCI's.
    run(storage, "build", "--layers", "--isolation", "chroot", "--format", "docker", "--pull-never", *words,
        "-f", str(ROOT / "docker" / "Dockerfile"), "-t", arguments.tag, str(ROOT))  # fmt: skip


def make_bases(arguments: argparse.Namespace, storage: Path) -> None:
    """Debian's packages in place of NVIDIA's image, and an entry point in place of Apache's."""
    with tempfile.TemporaryDirectory(dir=storage) as scratch:
        root = Path(scratch) / "base.tar"
        debian = ["mmdebstrap", "--variant=minbase", "--include=ca-certificates"]
        if arguments.certificates:
            # In the base, so that Java's key store, which is made of Debian's, has them too.
            debian.append(f"--customize-hook=copy-in {arguments.certificates}/. /usr/local/share/ca-certificates")
            debian.append('--customize-hook=chroot "$1" update-ca-certificates')
        subprocess.run([*debian, arguments.suite, str(root), arguments.mirror], check=True)
        image(storage, "base:local", root, "/")
        entrypoint = Path(scratch) / "entrypoint.sh"
        entrypoint.write_text(ENTRYPOINT, encoding="utf-8")
        entrypoint.chmod(0o755)
        image(storage, "entrypoint:local", entrypoint, "/opt/entrypoint.sh")


def image(storage: Path, tag: str, content: Path, target: str) -> None:
    """An image of one file, or of what a tar holds."""
    name = said(storage, "from", "scratch")
    run(storage, "add", name, str(content), target)
    run(storage, "commit", "--rm", name, tag)


def run(storage: Path, *words: str) -> None:
    """Run buildah; its output is shown."""
    # Not into /var/tmp: a layer of 6 GB is written there before it is committed.
    subprocess.run(_buildah(storage, words), check=True, env={**os.environ, "TMPDIR": str(storage)})


def said(storage: Path, *words: str) -> str:
    """The last line that buildah writes."""
    done = subprocess.run(_buildah(storage, words), check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip().rpartition("\n")[2]


def _buildah(storage: Path, words: Sequence[str]) -> list[str]:
    return ["buildah", "--root", str(storage / "root"), "--runroot", str(storage / "run"), *words]


if __name__ == "__main__":
    main()
