"""The push to a hub, against one on this machine. In a process of its own: huggingface_hub is offline in the tests'."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spark_prox.errors import ConfigError
from spark_prox.export.push import check_push
from tests.unit.export.hub import local_hub

SCRIPT = "import sys\nfrom pathlib import Path\nfrom spark_prox.export.push import push_folder\n"
SCRIPT += "print(push_folder(Path(sys.argv[1]), sys.argv[2]))\n"


def push(folder: Path, repository: str, endpoint: str) -> subprocess.CompletedProcess[str]:
    hidden = ("HF_HUB_OFFLINE", "HF_TOKEN", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder.parent / "home"), "HF_HUB_DISABLE_XET": "1"}
    words = [sys.executable, "-c", SCRIPT, str(folder), repository]
    return subprocess.run(words, capture_output=True, text=True, check=False, env=environment, timeout=120)


def test_an_export_becomes_a_private_data_set(tmp_path: Path, repository: Path) -> None:
    files = {"README.md": b"# card", "manifest.json": b"{}", "train/shard-00000.parquet": b"PAR1" * 100}
    for name, data in files.items():
        path = tmp_path / "to" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (tmp_path / "to" / "mine.txt").write_text("not of the export")
    with local_hub() as hub:
        done = push(tmp_path / "to", "me/corpus", hub.address)
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.strip().startswith(f"{hub.address}/datasets/me/corpus/commit/")
        assert hub.files == {"me/corpus": files}
        assert hub.private == {"me/corpus": True}
    # The hub is gone.
    failed = push(tmp_path / "to", "me/corpus", hub.address)
    assert "[SPARK_PROX.EXPORT_PUSH_FAILED] The data set could not be pushed to 'me/corpus'" in failed.stderr


def test_only_a_local_export_can_be_pushed(tmp_path: Path) -> None:
    check_push(tmp_path)
    with pytest.raises(ConfigError, match="EXPORT_PUSH_REMOTE"):
        check_push(None)
